"""What the harness cannot see while the panel runs: spellings that PySide6 takes and PythonQt on Qt 5 does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.slicer_extension.extension import EXTENSION

_SOURCES = sorted(EXTENSION.rglob("*.py"))

_QT6_ENUM = re.compile(r"\bqt\.Q\w*\.[A-Z]\w*\.[A-Z]\w*")


@pytest.mark.parametrize("path", _SOURCES, ids=[str(path.relative_to(EXTENSION)) for path in _SOURCES])
def test_enums_are_spelled_as_in_qt_5(path: Path) -> None:
    found = _QT6_ENUM.findall(path.read_text(encoding="utf-8"))

    assert found == [], "Qt 5 has no scoped enums: qt.Qt.AlignLeft, not qt.Qt.AlignmentFlag.AlignLeft"


def test_the_pattern_finds_the_spelling_of_qt_6() -> None:
    assert _QT6_ENUM.findall("x = qt.Qt.AlignmentFlag.AlignLeft | qt.QFrame.Shape.HLine") != []
    assert _QT6_ENUM.findall("qt.Qt.AlignLeft; qt.QPainter.Antialiasing; qt.QFont.Bold") == []
