"""Raw cases of the studies folder: preprocessed once, and not for every inference."""

from __future__ import annotations

from pathlib import Path

import pytest

from server_app.cases.preprocessed import RECORD, write_preprocessed
from server_app.cases.preprocessing_options import PreprocessingOptions
from server_app.inference import preprocessed_cache
from server_app.inference.preprocessed_cache import PreprocessedCache
from tests import synthetic
from training.cases.case import Case, case_from_files
from training.preprocessing.preprocess import Preprocessed

GRID = synthetic.brats_grid((20, 22, 18))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return case_from_files(sorted(synthetic.write_case(tmp_path / "studies", "x", grids=GRID, label=False).iterdir()))


def made(folder: Path, name: str) -> Path:
    found = Preprocessed(synthetic.four_volumes(GRID), "t1ce", steps=(name,), changed=True)
    write_preprocessed(found, folder / name)
    return folder / name


def test_what_was_made_is_found_for_the_same_images_and_the_same_question_only(case: Case, tmp_path: Path) -> None:
    cache = PreprocessedCache(tmp_path / "cache")
    assert cache.find(case) is None
    cache.keep(made(tmp_path, "first"), case)
    cache.keep(made(tmp_path, "second"), case)  # by another thread, at the same time
    found = cache.find(case)
    assert found is not None
    assert "first" in (found / RECORD).read_text()
    assert cache.find(case, reference="t1ce") == found
    assert cache.find(case, reference="flair") is None
    assert cache.find(case, options=PreprocessingOptions(as_scanned=True)) is None
    (found / RECORD).unlink()
    assert cache.find(case) is None  # not complete
    file = case.sources["t1"].path
    file.write_bytes(file.read_bytes() + b"\0")
    assert cache.find(case) is None


def test_the_least_recently_used_are_removed(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessed_cache, "KEEP", 2)
    cache = PreprocessedCache(tmp_path / "cache")
    for number, reference in enumerate(("t1", "t2", "flair")):
        cache.keep(made(tmp_path, str(number)), case, reference=reference)
        assert cache.find(case, reference="t1") is not None or number == 2  # used again, so the newest
    kept = [reference for reference in ("t1", "t2", "flair") if cache.find(case, reference=reference)]
    assert len(kept) == 2
    assert "flair" in kept
