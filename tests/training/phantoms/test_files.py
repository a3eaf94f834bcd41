"""Phantoms on disk: in the layout and on the grid of BraTS, readable like any case."""

import numpy as np
import pytest

from tests.training import rejected
from training.cases.find import find_cases
from training.images.read import read_volume
from training.phantoms import files
from training.phantoms.files import BRATS_AFFINE, BRATS_SHAPE, on_brats_grid, write_case, write_cases
from training.phantoms.generate import generate
from training.preparation.prepare import prepare
from training.preparation.store import prepare_phantom


@pytest.fixture(scope="module")
def written(phantom_head, tmp_path_factory):
    studies = tmp_path_factory.mktemp("studies")
    write_case(phantom_head, studies, "phantom_0003")
    return studies


def test_a_written_phantom_is_found_as_a_labeled_case_on_the_brats_grid(phantom_head, written):
    (case,), problems = find_cases(written)
    assert not problems
    assert case.id == "phantom_0003"
    volume, label = case.read("t1ce"), case.read_label()
    assert volume.data.shape == BRATS_SHAPE
    assert np.allclose(volume.grid.affine, BRATS_AFFINE)
    assert label.grid.matches(volume.grid)
    stored = read_volume(written / "phantom_0003" / "phantom_0003_seg.nii.gz").data
    assert set(np.unique(stored)) == {0, 1, 2, 4}
    counts = [[np.sum(data == value) for value in (1, 2, 3)] for data in (label.data, phantom_head.label)]
    assert counts[0] == counts[1]


def test_a_written_phantom_is_prepared_like_one_straight_from_the_generator(phantom_head, written):
    case = find_cases(written)[0][0]
    prepared = prepare(case.read_all())
    image, label, brain = prepare_phantom(phantom_head)
    assert prepared.image.shape == image.shape
    assert np.mean(prepared.brain == brain) > 0.999
    assert np.abs(prepared.image - image)[brain].mean() < 0.01
    assert np.array_equal(prepared.frame.to_working(case.read_label()), label)


def test_left_stays_left_on_the_brats_grid_and_a_taller_head_loses_its_lowest_slices():
    array = np.zeros((20, 20, 20), np.uint8)
    array[3, 5, 7] = 1  # RAS: index 3 of 20 lies left of the middle
    (x, y, z) = np.argwhere(on_brats_grid(array))[0]
    world = BRATS_AFFINE[:3, :3] @ (x, y, z) + BRATS_AFFINE[:3, 3]
    middle = BRATS_AFFINE[:3, :3] @ ((np.array(BRATS_SHAPE) - 1) / 2) + BRATS_AFFINE[:3, 3]
    assert np.allclose(world - middle, np.array([3, 5, 7]) - 9.5, atol=0.51)
    tall = np.zeros((30, 30, 170), np.uint8)
    tall[:, :, 15:] = 1
    placed = on_brats_grid(tall)
    assert placed.shape == BRATS_SHAPE
    assert placed.sum() == tall.sum()


def test_a_phantom_made_in_another_process_is_that_of_its_seed(tmp_path):
    told: list[tuple[int, int]] = []
    folders = write_cases(tmp_path, 2, seed=4, workers=2, on_progress=lambda done, total: told.append((done, total)))
    assert [folder.name for folder in folders] == ["phantom_0001", "phantom_0002"]
    assert told == [(1, 2), (2, 2)]
    here = generate(4 * files._SEEDS_PER_BATCH + 1)
    flair = read_volume(folders[1] / "phantom_0002_flair.nii.gz").data
    # BLAS may sum in another order with other threads: one gray value of difference at most
    assert np.mean(np.abs(flair - on_brats_grid(np.round(here.image[..., 3]))) > 1) < 1e-5


@pytest.mark.parametrize(("n", "seed", "field"), [(0, 0, "n"), (1, -2, "seed")])
def test_an_impossible_batch_is_rejected(tmp_path, n, seed, field):
    with rejected("", field):
        write_cases(tmp_path, n, seed)
