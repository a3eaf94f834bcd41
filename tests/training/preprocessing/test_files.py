import json

import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from training.cases.find import find_cases
from training.images.grid import Volume, transform_points
from training.preprocessing.files import SUMMARY, write_preprocessed, written_key
from training.preprocessing.preprocess import Preprocessed
from training.registration.alignment import Alignment

GRID = synthetic.brats_grid()


def alignment() -> Alignment:
    turn = np.radians(10)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:3, 3] = [3.0, -4.0, 5.0]
    found = {"similarity": 1.1, "similarity_before": 1.01, "similarity_mirrored": 1.02, "sharpness": 0.4}
    return Alignment(matrix, **found, degrees=10.0, mm=7.1, seconds=2.0)


def result() -> Preprocessed:
    brain = Volume(synthetic.brain(GRID).astype(np.uint8), GRID)
    return Preprocessed(
        synthetic.four_volumes(GRID), "t1ce", brain, {"flair": alignment()}, ("flair",), ("Registered.",), changed=True
    )


def test_a_folder_is_an_ordinary_case_with_its_label(tmp_path):
    folder = write_preprocessed(result(), tmp_path / "out" / "p1", "p1", key="k", label=synthetic.truth(GRID))
    (case,), problems = find_cases(tmp_path / "out")
    assert (case.id, problems) == ("p1", [])
    assert np.array_equal(case.read_label().data, synthetic.truth(GRID).data)
    for role, volume in case.read_all().items():
        assert np.array_equal(volume.data, result().volumes[role].data)
    about = json.loads((folder / SUMMARY).read_text())
    assert about["steps"] == ["Registered."]
    assert about["alignments"]["flair"]["moved"]
    assert about["brain_ml"] == pytest.approx(synthetic.brain(GRID).sum() / 1000, abs=0.1)


def test_a_transform_maps_points_of_the_reference_to_those_of_the_series_in_lps(tmp_path):
    folder = write_preprocessed(result(), tmp_path / "p1", "p1")
    transform = sitk.ReadTransform(str(folder / "p1_flair_to_t1ce.tfm"))
    point = np.array([10.0, -20.0, 30.0])
    expected = transform_points(alignment().matrix, point * [-1, -1, 1]) * [-1, -1, 1]
    assert np.allclose(transform.TransformPoint(point.tolist()), expected)


def test_a_folder_is_replaced_only_if_asked_and_knows_what_it_was_made_of(tmp_path):
    folder = write_preprocessed(result(), tmp_path / "p1", "p1", key="first")
    assert written_key(folder) == "first"
    with pytest.raises(FileExistsError):
        write_preprocessed(result(), folder, "p1", key="second")
    assert written_key(folder) == "first"
    write_preprocessed(result(), folder, "p1", key="second", overwrite=True)
    assert written_key(folder) == "second"
    assert written_key(tmp_path) is None
    (folder / SUMMARY).write_text("junk")
    assert written_key(folder) is None
    assert [path.name for path in tmp_path.iterdir()] == ["p1"]
