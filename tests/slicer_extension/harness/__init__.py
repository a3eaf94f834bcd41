"""A 3D Slicer for tests: real MRML and VTK from the ``slicer-core`` wheel, its user interface replaced over PySide6.

The panel's code runs unchanged on it, without a display. Two layers:

- :mod:`~tests.slicer_extension.harness.mrml_scene` makes a fresh MRML scene with its logics, ``slicer.app`` and
  ``slicer.modules``. It needs no Qt, and everything below it is Slicer's own C++ and Slicer's own ``slicer.util``.
- :mod:`~tests.slicer_extension.harness.desktop` adds ``qt``, ``ctk``, the qMRML widgets and scripted modules.

Where PythonQt only prints a warning (an unknown signal, a slot that raises) the harness raises or fails the test, since
nobody reads the warnings in a console. What it cannot prove is listed in docs/slicer-checks.md.
"""
