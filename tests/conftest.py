"""Fixtures shared by all rooms; see ``tests/synthetic.py`` for what the small cases hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import synthetic

# The workers of pytest-xdist are told the terminal's width, and Rich's consoles would keep to it in all tests.
os.environ.pop("COLUMNS", None)

_DEFAULT_CASES = Path(__file__).resolve().parents[1] / ".." / "shared" / "cases"


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    """A small four-modality case with a label, named and laid out as BraTS does."""
    return synthetic.write_case(tmp_path / "studies")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder with two small cases of two patients."""
    for name in ("BraTS20_Training_001", "BraTS20_Training_002"):
        synthetic.write_case(tmp_path / "studies", name)
    return tmp_path / "studies"


@pytest.fixture(scope="session")
def real_cases() -> Path:
    """The folder of real cases (``TUMORLOOP_CASES``, default ``../shared/cases``); skips where it is absent."""
    folder = Path(os.environ.get("TUMORLOOP_CASES") or _DEFAULT_CASES).resolve()
    if not (folder / "TCGA-FG-6692").is_dir():
        pytest.skip(f"no real cases in {folder}; set TUMORLOOP_CASES to their folder")
    return folder
