"""From a submitted file's values to labels, by name."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from server_app.labels.check import check_label, map_by_name
from tests import synthetic
from training.cases.find import case_from_folder
from training.errors import InputError
from training.images.grid import Grid, Volume
from training.images.read import read_labelmap
from training.images.write import write_labelmap


def info(*entries: tuple[str, int]) -> list[dict[str, object]]:
    return [{"name": name, "idx": number} for name, number in entries]


SCRIBBLES = info(("background_scribbles", 1), ("necrotic core", 2), ("peritumoral edema", 4), ("enhancing tumor", 5))


@pytest.mark.parametrize(
    ("values", "sent", "meant"),
    [
        ([0, 1, 2, 3], info(("enhancing tumor", 1), ("necrotic core", 2), ("ED", 3)), [0, 3, 1, 2]),
        ([0, 1, 2, 3], SCRIBBLES, [0, 1, 2, 3]),
        ([0, 3], SCRIBBLES, [0, 3]),
        ([0, 1, 2, 4], info(("necrotic core", 1), ("peritumoral edema", 2), ("enhancing tumor", 4)), [0, 1, 2, 3]),
        ([0, 1], info(("ET", 1), ("liver", 2)), [0, 3]),
        ([0, 1, 2, 3], info(("SNFH", 1), ("Resection cavity", 2), ("Enhancing tumour", 3)), [0, 2, 0, 3]),
    ],
    ids=[
        "names, not their order",
        "stock panel with scribbles",
        "and few values",
        "no positions",
        "unused segment",
        "synonyms",
    ],
)
def test_names_decide_what_a_value_means(values: list[int], sent: object, meant: list[int]) -> None:
    assert map_by_name(np.array(values), sent).tolist() == meant


@pytest.mark.parametrize(
    ("values", "sent", "why"),
    [
        ([0, 1, 2], info(("necrotic core", 1)), "value 2"),
        ([0, 1, 2], info(("necrotic core", 1), ("liver", 2)), "'liver'"),
        ([0, 1, 2], info(("ET", 1), ("ET", 2)), "twice"),
        ([0, 1, 2], "ET", "must be a list"),
        ([0, 1, 2], [{"idx": 1}], "no name"),
        ([0, 1, 2], [{"name": "ET", "idx": "one"}], "whole number"),
        ([0, 2, 3], info(("foreground_scribbles", 1), ("necrotic core", 2), ("ED", 3), ("ET", 4)), "two ways"),
    ],
)
def test_names_that_do_not_decide_are_refused(values: list[int], sent: object, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        map_by_name(np.array(values), sent)
    assert caught.value.field == "label_info"


def test_a_label_drawn_on_another_modality_is_recognized(tmp_path: Path) -> None:
    thick = synthetic.oblique_grid((1.0, 1.0, 2.0), (60, 60, 30))
    grids = {"t1": synthetic.brats_grid(), "t1ce": synthetic.brats_grid(), "t2": thick, "flair": thick}
    case = case_from_folder(synthetic.write_case(tmp_path, grids=grids, label=False))
    on_t1ce = synthetic.save(synthetic.truth(synthetic.brats_grid()), tmp_path / "a.nii.gz")
    on_flair = synthetic.save(synthetic.truth(thick), tmp_path / "b.nii.gz")
    assert check_label(on_t1ce, case).reference == "t1ce"
    assert check_label(on_flair, case).reference == "t2"
    assert check_label(on_flair, case, reference="flair").reference == "flair"
    with pytest.raises(InputError, match="64 x 72 x 60 against 60 x 60 x 30"):
        check_label(on_flair, case, reference="t1ce")


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".nii.gz"])
def test_a_label_where_slicer_shows_an_image_of_two_positions_is_kept_on_the_image(tmp_path: Path, ending: str) -> None:
    case = case_from_folder(synthetic.write_case(tmp_path, label=False))
    moved = synthetic.brats_grid().affine.copy()
    moved[0, 3] += 20.0
    for source in case.sources.values():
        image = nibabel.Nifti1Image.from_filename(source.path)
        image.set_sform(image.affine, code=2)
        image.set_qform(moved, code=1)  # which ITK prefers
        nibabel.save(image, source.path)
    truth = synthetic.truth(synthetic.brats_grid())
    by_slicer = write_labelmap(Volume(truth.data, Grid(truth.grid.shape, moved)), tmp_path / f"label{ending}")
    checked = check_label(by_slicer, case)
    assert (checked.reference, np.array_equal(checked.volume.data, truth.data)) == ("t1ce", True)
    stored = nibabel.Nifti1Image.from_filename(write_labelmap(checked.volume, tmp_path / "stored.nii.gz"))
    assert np.allclose(stored.affine, truth.grid.affine)
    assert np.allclose(stored.header.get_qform(), moved)
    assert (int(stored.header["sform_code"]), int(stored.header["qform_code"])) == (2, 1)
    assert np.array_equal(case.on_own_grid(read_labelmap(by_slicer)).grid.affine, truth.grid.affine)
    elsewhere = moved.copy()
    elsewhere[1, 3] += 5.0
    with pytest.raises(InputError, match="not on the grid of T1 with contrast"):
        check_label(
            write_labelmap(Volume(truth.data, Grid(truth.grid.shape, elsewhere)), tmp_path / f"label{ending}"), case
        )


def test_a_slicer_segmentation_brings_its_own_names_and_brats_values_need_none(tmp_path: Path) -> None:
    case = case_from_folder(synthetic.write_case(tmp_path))
    truth = synthetic.truth(synthetic.brats_grid())
    path = write_labelmap(truth, tmp_path / "label.seg.nrrd")
    checked = check_label(path, case, info(("NCR", 1), ("ED", 2), ("ET", 3)))
    assert np.array_equal(checked.volume.data, truth.data)
    assert case.label is not None
    brats = check_label(case.label, case)
    assert (brats.scheme, type(brats.volume)) == ("brats-2017", Volume)
    assert np.array_equal(brats.volume.data, truth.data)


def test_a_segmentation_that_slicer_cropped_to_its_extent_is_put_on_the_whole_grid(tmp_path: Path) -> None:
    case = case_from_folder(synthetic.write_case(tmp_path))
    truth = synthetic.truth(synthetic.brats_grid())
    where = np.argwhere(truth.data)
    low, high = where.min(0), where.max(0) + 1
    affine = truth.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    data = truth.data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    x, y, z = data.shape
    for ending in (".seg.nrrd", ".nrrd", ".nii.gz"):
        path = write_labelmap(Volume(data, Grid((x, y, z), affine)), tmp_path / f"cropped{ending}")
        checked = check_label(path, case)
        assert np.array_equal(checked.volume.data, truth.data)
        assert checked.volume.grid.matches(synthetic.brats_grid())
    affine[:3, 3] += 100.0
    path = write_labelmap(Volume(data, Grid((x, y, z), affine)), tmp_path / "elsewhere.seg.nrrd")
    with pytest.raises(InputError, match="not on the grid of T1 with contrast"):
        check_label(path, case)


def test_values_other_than_the_servers_and_those_of_brats_2017_must_be_named(tmp_path: Path) -> None:
    case = case_from_folder(synthetic.write_case(tmp_path, label=False))
    truth = synthetic.truth(synthetic.brats_grid())

    def sent(*values: int) -> Path:
        return synthetic.save(Volume(np.array([0, *values], np.uint8)[truth.data], truth.grid), tmp_path / "a.nii.gz")

    assert check_label(sent(1, 2, 3), case).scheme == "contiguous"  # without a name: the server's own values
    both = sent(1, 4, 3)
    with pytest.raises(InputError, match=r"holds both 3 and 4.*label_scheme") as caught:
        check_label(both, case)
    assert caught.value.field == "label"
    post = check_label(both, case, label_scheme="brats-2024-post")
    assert np.array_equal(post.volume.data, np.where(truth.data == 2, 0, truth.data))
    assert np.array_equal(check_label(sent(2, 1, 3), case, label_scheme="decathlon").volume.data, truth.data)
    for scheme, names, why in (("x", None, "no label scheme"), ("decathlon", info(("ET", 1)), "not both")):
        with pytest.raises(InputError, match=why) as caught:
            check_label(sent(2, 1, 3), case, names, label_scheme=scheme)
        assert caught.value.field == "label_scheme"
    with pytest.raises(InputError, match=r"holds the values \[5\]"):
        check_label(sent(1, 2, 5), case)
