"""Phantoms on disk: BraTS's layout and grid, readable by everything that reads cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.cases.find import find_cases
from training.errors import InputError
from training.images.read import read_volume
from training.parallel import each_on_all_cores
from training.phantoms.files import BRATS_AFFINE, BRATS_SHAPE, on_brats_grid, write_case, write_cases
from training.phantoms.generate import generate
from training.preparation.prepare import prepare
from training.preparation.store import prepare_phantom


@pytest.fixture(scope="module")
def head():
    return generate(3)


@pytest.fixture(scope="module")
def written(head, tmp_path_factory):
    studies = tmp_path_factory.mktemp("studies")
    write_case(head, studies, "phantom_0003")
    return studies


def test_a_written_phantom_is_found_as_a_labeled_case_on_the_grid_of_brats(written):
    cases, problems = find_cases(written)
    assert not problems
    (case,) = cases
    assert case.id == "phantom_0003"
    volume = case.read("t1ce")
    assert volume.data.shape == BRATS_SHAPE
    assert np.allclose(volume.grid.affine, BRATS_AFFINE)
    assert case.read_label().grid.matches(volume.grid)


def test_the_label_file_has_the_values_of_brats(head, written):
    values = set(np.unique(read_volume(written / "phantom_0003" / "phantom_0003_seg.nii.gz").data))
    assert values == {0, 1, 2, 4}
    read = find_cases(written)[0][0].read_label().data
    assert [np.sum(read == value) for value in (1, 2, 3)] == [np.sum(head.label == value) for value in (1, 2, 3)]


def test_the_network_sees_a_written_phantom_as_one_straight_from_the_generator(head, written):
    case = find_cases(written)[0][0]
    prepared = prepare(case.read_all())
    image, label, brain = prepare_phantom(head)
    assert prepared.image.shape == image.shape
    assert np.mean(prepared.brain == brain) > 0.999
    assert np.abs(prepared.image - image)[brain].mean() < 0.01
    assert np.array_equal(prepared.frame.to_working(case.read_label()), label)


def test_left_stays_left_on_the_grid_of_brats():
    array = np.zeros((20, 20, 20), np.uint8)
    array[3, 5, 7] = 1  # RAS: index 3 of 20 lies left of the middle
    (x, y, z) = np.argwhere(on_brats_grid(array))[0]
    world = BRATS_AFFINE[:3, :3] @ (x, y, z) + BRATS_AFFINE[:3, 3]
    middle = BRATS_AFFINE[:3, :3] @ ((np.array(BRATS_SHAPE) - 1) / 2) + BRATS_AFFINE[:3, 3]
    assert np.allclose(world - middle, np.array([3, 5, 7]) - 9.5, atol=0.51)


def test_a_head_taller_than_the_grid_loses_its_lowest_slices():
    tall = np.zeros((30, 30, 170), np.uint8)
    tall[:, :, 15:] = 1
    placed = on_brats_grid(tall)
    assert placed.shape == BRATS_SHAPE
    assert placed.sum() == tall.sum()


def test_cases_made_by_other_processes_are_those_of_their_seeds(tmp_path):
    told: list[tuple[int, int]] = []
    folders = write_cases(tmp_path, 2, seed=4, workers=2, on_progress=lambda done, total: told.append((done, total)))
    assert [folder.name for folder in folders] == ["phantom_0001", "phantom_0002"]
    assert told == [(1, 2), (2, 2)]
    here = generate(4_000_001)
    flair = read_volume(folders[1] / "phantom_0002_flair.nii.gz").data
    # BLAS may add up in another order with other threads: a gray value apart at most
    assert np.mean(np.abs(flair - on_brats_grid(np.round(here.image[..., 3]))) > 1) < 1e-5


@pytest.mark.parametrize(("n", "seed", "field"), [(0, 0, "n"), (1, -2, "seed")])
def test_an_impossible_batch_is_refused(tmp_path, n, seed, field):
    with pytest.raises(InputError) as caught:
        write_cases(tmp_path, n, seed)
    assert caught.value.field == field


def test_work_on_all_cores_raises_what_a_job_raises():
    for workers in (1, 2):
        with pytest.raises(ValueError, match="math domain"):
            list(each_on_all_cores(math.sqrt, [4.0, -1.0, 9.0], workers=workers))


def test_work_on_all_cores_does_every_job_once():
    assert sorted(each_on_all_cores(math.sqrt, [float(k * k) for k in range(20)], workers=2)) == list(range(20))
