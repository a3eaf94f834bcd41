"""Labelmaps that share the voxels of a reference, but not its shape."""

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.images.grid import Grid, Volume
from training.images.lattice import on_grid, on_one_of
from training.images.write import write_labelmap

GRID = synthetic.oblique_grid((0.9, 1.1, 3.0), (40, 36, 20), degrees=(12.0, -8.0, 20.0))
TRUTH = synthetic.truth(GRID)


def placed(data: np.ndarray, affine: np.ndarray) -> Volume:
    x, y, z = data.shape
    return Volume(data, Grid((x, y, z), affine))


def part(box: tuple[slice, ...], label: Volume = TRUTH) -> Volume:
    affine = label.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [one.start for one in box]
    return placed(label.data[box], affine)


def turned(label: Volume) -> Volume:
    """The same voxels with two axes exchanged and one flipped."""
    affine = label.grid.affine[:, [1, 0, 2, 3]].copy()
    affine[:3, 3] += affine[:3, 2] * (label.grid.shape[2] - 1)
    affine[:3, 2] *= -1
    return placed(np.ascontiguousarray(label.data.transpose(1, 0, 2)[..., ::-1]), affine)


def extent() -> tuple[slice, ...]:
    where = np.argwhere(TRUTH.data)
    return tuple(slice(int(low), int(high) + 1) for low, high in zip(where.min(0), where.max(0), strict=True))


@pytest.mark.parametrize("label", [TRUTH, part(extent()), turned(TRUTH), turned(part(extent()))])
def test_a_cropped_or_turned_labelmap_is_put_exactly_where_it_was(label):
    found = on_grid(label, GRID)
    assert found is not None
    assert np.array_equal(found.data, TRUTH.data)
    assert found.grid is GRID


def test_a_larger_one_is_accepted_if_what_lies_outside_is_background_and_labels_outside_are_never_cut_off():
    box = extent()
    smaller = part(box)
    again = on_grid(TRUTH, smaller.grid)
    assert again is not None
    assert np.array_equal(again.data, smaller.data)
    half = part((slice(0, box[0].start + 3), *box[1:])).grid
    with rejected(r"labeled voxels \(\d+\.\d mL\) lie outside", "label"):
        on_grid(TRUTH, half)
    with rejected("lie outside", "label"):
        on_one_of(TRUTH, {"t1": half})
    assert on_one_of(TRUTH, {"t1": half, "t2": GRID})[0] == "t2"  # type: ignore[index]


def test_between_the_voxels_it_does_not_fit_and_an_exact_grid_comes_before_a_shared_one():
    shifted = GRID.affine.copy()
    shifted[:3, 3] += 0.5 * shifted[:3, 0]
    assert on_grid(Volume(TRUTH.data, Grid(GRID.shape, shifted)), GRID) is None
    whole = GRID.affine.copy()
    whole[:3, 3] += 2 * whole[:3, 0]
    assert on_grid(Volume(TRUTH.data, Grid(GRID.shape, whole)), GRID) is None  # the same shape elsewhere
    larger = Grid((44, 36, 20), GRID.affine)
    assert on_one_of(TRUTH, {"t1ce": larger, "t2": GRID})[0] == "t2"  # type: ignore[index]
    assert on_one_of(TRUTH, {"t2": Grid(GRID.shape, shifted)}) is None


def test_a_file_that_says_its_scheme_keeps_saying_it_when_it_is_cropped(tmp_path):
    from training.images.read import label_statement
    from training.label_schemes import stated_scheme, value_counts

    for ending in (".nii.gz", ".nrrd"):
        path = write_labelmap(TRUTH, tmp_path / f"seg{ending}")
        assert stated_scheme(label_statement(path), value_counts(part(extent()).data)) is not None
