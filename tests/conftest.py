"""Fixtures shared by all test folders; ``tests/synthetic.py`` describes the small cases."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests import synthetic

# pytest-xdist sets the terminal width for its workers; Rich consoles would use it in every test.
os.environ.pop("COLUMNS", None)

_DEFAULT_CASES = Path(__file__).resolve().parents[1] / ".." / "shared" / "cases"


@pytest.fixture(scope="session")
def written_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small labeled cases of two patients, in the BraTS layout; tests must not change them."""
    folder = tmp_path_factory.mktemp("studies")
    second = shutil.copytree(synthetic.write_case(folder), folder / "BraTS20_Training_002")
    for file in second.iterdir():
        file.rename(file.with_name(file.name.replace("001", "002")))
    return folder


@pytest.fixture
def case_folder(written_studies: Path, tmp_path: Path) -> Path:
    """A copy of one of these cases, to be changed at will."""
    name = "BraTS20_Training_001"
    return Path(shutil.copytree(written_studies / name, tmp_path / "studies" / name, dirs_exist_ok=True))


@pytest.fixture
def studies(written_studies: Path, tmp_path: Path) -> Path:
    """A copy of both cases, to be changed at will."""
    return Path(shutil.copytree(written_studies, tmp_path / "studies", dirs_exist_ok=True))


@pytest.fixture(scope="session")
def real_cases() -> Path:
    """The folder of real cases (``TUMORLOOP_CASES``, default ``../shared/cases``); skips if it is absent."""
    folder = Path(os.environ.get("TUMORLOOP_CASES") or _DEFAULT_CASES).resolve()
    if not (folder / "TCGA-FG-6692").is_dir():
        pytest.skip(f"no real cases in {folder}; set TUMORLOOP_CASES to their folder")
    return folder
