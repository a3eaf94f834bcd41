"""Why the demo stops."""

from __future__ import annotations


class DemoFailed(Exception):
    """A step did not happen, or not as it should; the message says which and why."""
