import numpy as np
import pytest

from tests import synthetic
from training.cases.find import case_from_folder, find_cases
from training.errors import InputError
from training.preparation.prepare import prepare
from training.preparation.prepare_cases import prepare_case, prepare_cases
from training.preparation.store import PreparedStore


@pytest.fixture
def store(tmp_path):
    return PreparedStore(tmp_path / "prepared")


def test_a_prepared_case_holds_what_the_network_would_see(case_folder, store):
    case = case_from_folder(case_folder)
    stored = prepare_case(case, store)
    prepared = prepare(case.read_all())
    assert np.array_equal(stored.image(), prepared.image.astype(np.float16))
    assert np.array_equal(stored.label(), prepared.frame.to_working(case.read_label()))


def test_an_unchanged_case_is_not_prepared_again_and_a_changed_one_is(case_folder, store, monkeypatch):
    case = case_from_folder(case_folder)
    first = prepare_case(case, store)
    with monkeypatch.context() as patched:
        patched.setattr("training.preparation.prepare_cases.prepare", None)  # would fail if it were called
        assert prepare_case(case, store).key == first.key
    seg = case_folder / "BraTS20_Training_001_seg.nii.gz"
    empty = synthetic.truth(synthetic.brats_grid())
    empty.data[:] = 0
    synthetic.save(empty, seg)
    assert not prepare_case(case, store).label().any()


def test_a_label_drawn_on_flair_is_prepared_on_the_grid_of_flair(tmp_path, store):
    grids = dict.fromkeys(("t1", "t1ce", "t2"), synthetic.brats_grid())
    grids["flair"] = synthetic.oblique_grid((1.0, 1.0, 3.0), (60, 70, 20), degrees=(10.0, 0.0, 0.0))
    folder = synthetic.write_case(tmp_path, grids=grids)
    synthetic.save(synthetic.truth(grids["flair"]), folder / "BraTS20_Training_001_seg.nii.gz")
    stored = prepare_case(case_from_folder(folder), store)
    assert stored.label().any()


def test_a_label_on_another_grid_is_refused_and_names_the_case(case_folder, store):
    other = synthetic.truth(synthetic.brats_grid((64, 72, 61)))
    synthetic.save(other, case_folder / "BraTS20_Training_001_seg.nii.gz")
    with pytest.raises(InputError, match="BraTS20_Training_001: The label lies on the grid of none") as caught:
        prepare_case(case_from_folder(case_folder), store)
    assert caught.value.field == "label"


def test_one_broken_case_does_not_stop_the_others(studies, store):
    cases, _ = find_cases(studies)
    (studies / "BraTS20_Training_001" / "BraTS20_Training_001_t1.nii.gz").write_text("junk")
    seen = []
    ready, failures = prepare_cases(cases, store, on_progress=lambda done, total: seen.append((done, total)))
    assert [case.id for case in ready] == ["BraTS20_Training_002"]
    assert "is not a NIfTI file" in failures["BraTS20_Training_001"]
    assert seen == [(1, 2), (2, 2)]
