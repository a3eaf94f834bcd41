"""The translation function of 3D Slicer, or none where there is no Slicer.

Modules that also run in plain Python (tests, scripts) import ``_`` from here. Inside Slicer it is Slicer's own
function, unwrapped, because that one looks at its caller to find the translation.

It is the one function of Slicer that worker threads call, for the sentences of errors: it ends in
``QCoreApplication::translate``, which Qt documents as thread-safe.
"""

from __future__ import annotations

try:
    from slicer.i18n import tr as _
except ImportError:

    def _(text: str) -> str:
        """Return ``text`` as it is: outside Slicer nothing is translated."""
        return text


__all__ = ["_"]
