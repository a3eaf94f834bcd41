"""A 3D Slicer for tests, without a display: MRML and VTK of the ``slicer-core`` wheel, user interface over PySide6.

:mod:`~tests.slicer_extension.harness.mrml_scene` makes a fresh scene and needs no Qt;
:mod:`~tests.slicer_extension.harness.desktop` adds ``qt``, ``ctk``, the qMRML widgets and scripted modules. Where
PythonQt only prints a warning, the harness fails the test. What it cannot prove is listed in docs/slicer-checks.md.
"""
