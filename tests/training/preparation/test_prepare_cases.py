from dataclasses import replace

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.find import case_from_folder, find_cases
from training.images.grid import Volume
from training.images.write import write_labelmap
from training.preparation.prepare import prepare
from training.preparation.prepare_cases import prepare_case, prepare_cases, prepare_unlabeled
from training.preparation.store import PreparedStore

SEG = "BraTS20_Training_001_seg.nii.gz"


@pytest.fixture
def store(tmp_path):
    return PreparedStore(tmp_path / "prepared")


def test_a_case_is_stored_as_prepared_and_prepared_again_only_after_a_change(case_folder, store, monkeypatch):
    case = case_from_folder(case_folder)
    stored = prepare_case(case, store)
    prepared = prepare(case.read_all())
    assert np.array_equal(stored.image(), prepared.image.astype(np.float16))
    assert np.array_equal(stored.label(), prepared.frame.to_working(case.read_label()))
    with monkeypatch.context() as patched:
        patched.setattr("training.preparation.prepare_cases.prepare", None)  # would fail if it were called
        assert prepare_case(case, store).key == stored.key
    empty = synthetic.truth(synthetic.brats_grid())
    empty.data[:] = 0
    synthetic.save(empty, case_folder / SEG)
    assert not prepare_case(case, store).label().any()


def test_the_images_of_a_case_are_prepared_without_reading_its_label(case_folder, store, tmp_path):
    labeled = prepare_case(case_from_folder(case_folder), PreparedStore(tmp_path / "labeled"))
    (case_folder / SEG).write_bytes(b"no label")
    stored = prepare_unlabeled(replace(case_from_folder(case_folder), label=case_folder / SEG), store)
    assert np.array_equal(stored.image(), labeled.image())
    assert not stored.label().any()
    (case_folder / SEG).unlink()
    assert prepare_unlabeled(case_from_folder(case_folder), store).key == stored.key
    (case_folder / "BraTS20_Training_001_t1.nii.gz").write_text("junk")
    with rejected("BraTS20_Training_001: .*is not a NIfTI file"):
        prepare_unlabeled(case_from_folder(case_folder), store)


def test_a_label_may_lie_on_the_grid_of_flair_but_on_no_other(case_folder, flair_case, store):
    assert prepare_case(case_from_folder(flair_case), store).label().any()
    write_labelmap(synthetic.truth(synthetic.brats_grid((64, 72, 61))), case_folder / SEG)
    with rejected("BraTS20_Training_001: The label lies on the grid of none", "label"):
        prepare_case(case_from_folder(case_folder), store)


def test_an_unreadable_case_does_not_stop_the_others(studies, store):
    cases, _ = find_cases(studies)
    (studies / "BraTS20_Training_001" / "BraTS20_Training_001_t1.nii.gz").write_text("junk")
    seen = []
    ready, failures = prepare_cases(cases, store, on_progress=lambda done, total: seen.append((done, total)))
    assert [case.id for case in ready] == ["BraTS20_Training_002"]
    assert "is not a NIfTI file" in failures["BraTS20_Training_001"]
    assert seen == [(1, 2), (2, 2)]


def test_a_whole_head_is_stripped_and_then_trained_on(store, tmp_path):
    folder = tmp_path / "cohort" / "head"
    volumes = synthetic.whole_head()
    for role, volume in volumes.items():
        synthetic.save(volume, folder / f"head_{role}.nii.gz")
    label = Volume(np.zeros(volumes["t1"].grid.shape, np.uint8), volumes["t1"].grid)
    label.data[20:24, 30:34, 25:28] = [1, 2, 4]
    synthetic.save(label, folder / "head_seg.nii.gz")
    ready, failures = prepare_cases([case_from_folder(folder)], store)
    assert failures == {}
    assert 1000 < np.count_nonzero(ready[0].image()[..., 1]) / 1000 < 2000  # mL at 1 mm; the whole head has 3,100
    assert np.count_nonzero(ready[0].label()) == pytest.approx(4 * 4 * 3 * 64, rel=0.1)
