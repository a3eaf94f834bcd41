import numpy as np

from tests.training import rejected
from training.cases.find import find_cases
from training.images.read import read_volume
from training.phantoms import files
from training.phantoms.files import BRATS_AFFINE, BRATS_SHAPE, on_brats_grid, write_case, write_cases
from training.phantoms.generate import generate
from training.preparation.prepare import prepare
from training.preparation.store import prepare_phantom


def test_a_written_phantom_is_a_labeled_case_on_the_brats_grid_and_prepared_like_the_generated_one(
    phantom_head, tmp_path
):
    write_case(phantom_head, tmp_path, "phantom_0003")
    (case,), problems = find_cases(tmp_path)
    assert (case.id, problems) == ("phantom_0003", [])
    volume, label = case.read("t1ce"), case.read_label()
    assert volume.data.shape == BRATS_SHAPE
    assert np.allclose(volume.grid.affine, BRATS_AFFINE)
    assert label.grid.matches(volume.grid)
    stored = read_volume(tmp_path / "phantom_0003" / "phantom_0003_seg.nii.gz").data
    assert set(np.unique(stored)) == {0, 1, 2, 4}
    counts = [[np.sum(data == value) for value in (1, 2, 3)] for data in (label.data, phantom_head.label)]
    assert counts[0] == counts[1]
    prepared = prepare(case.read_all())
    image, labels, brain = prepare_phantom(phantom_head)
    assert prepared.image.shape == image.shape
    assert np.mean(prepared.brain == brain) > 0.999
    assert np.abs(prepared.image - image)[brain].mean() < 0.01
    assert np.array_equal(prepared.frame.to_working(label), labels)


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
    assert (placed.shape, placed.sum()) == (BRATS_SHAPE, tall.sum())


def test_a_phantom_written_by_the_command_in_another_process_is_that_of_its_seed(run, tmp_path):
    code, stdout, _ = run("phantom", tmp_path / "cases", "--count", 2, "--seed", 4, "--workers", 2)
    assert code == 0
    assert "2 cases in" in stdout.replace("\n", "")
    assert sorted(folder.name for folder in (tmp_path / "cases").iterdir()) == ["phantom_0001", "phantom_0002"]
    names = {file.name: file for file in (tmp_path / "cases" / "phantom_0002").iterdir()}
    assert set(names) == {f"phantom_0002_{part}.nii.gz" for part in ("flair", "seg", "t1", "t1ce", "t2")}
    here = generate(4 * files._SEEDS_PER_BATCH + 1)
    flair = read_volume(names["phantom_0002_flair.nii.gz"]).data
    # BLAS may sum in another order with other threads: one gray value of difference at most
    assert np.mean(np.abs(flair - on_brats_grid(np.round(here.image[..., 3]))) > 1) < 1e-5
    for n, seed, field in ((0, 0, "n"), (1, -2, "seed")):
        with rejected("", field):
            write_cases(tmp_path, n, seed)
