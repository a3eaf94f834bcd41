"""A 3D Slicer for tests: real MRML and VTK from the ``slicer-core`` wheel, the desktop half stood in for over PySide6.

The panel's code runs unchanged on it, clicked with the mouse, in seconds and without a display. Two layers:

- :mod:`~tests.slicer_extension.harness.boot` makes a fresh MRML scene with its logics, ``slicer.app`` and
  ``slicer.modules``. It needs no Qt, and everything below it is Slicer's own C++ and Slicer's own ``slicer.util``.
- :mod:`~tests.slicer_extension.harness.desktop` adds ``qt``, ``ctk``, the qMRML widgets and the module's life cycle.
  They look like PythonQt does and are strict where PythonQt is: a misspelled property, signal, widget or enum fails.

Where PythonQt only warns (an unknown signal, a slot that raises) the harness raises or fails the test, since nobody
reads the warnings in a console. What it cannot prove is listed in docs/slicer-checks.md.
"""
