"""Tests of the panel. The module under test is put on the path before any of them is imported."""

from tests.slicer_extension.extension import put_on_path

put_on_path()
