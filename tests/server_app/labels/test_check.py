"""From a submitted file's values to labels, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server_app.labels.check import check_label, map_by_name
from tests import synthetic
from training.cases.find import case_from_folder
from training.errors import InputError
from training.images.grid import Volume

NAMES = ["necrotic core", "peritumoral edema", "enhancing tumor"]


def info(*entries: tuple[str, int]) -> list[dict[str, object]]:
    return [{"name": name, "idx": number} for name, number in entries]


def test_names_decide_and_not_the_order() -> None:
    found = map_by_name(np.array([0, 1, 2, 3]), info(("enhancing tumor", 1), ("necrotic core", 2), ("ED", 3)))
    assert found.tolist() == [0, 3, 1, 2]


def test_the_stock_panel_counts_scribbles_that_its_file_lacks() -> None:
    sent = info(("background_scribbles", 1), ("necrotic core", 2), ("peritumoral edema", 4), ("enhancing tumor", 5))
    assert map_by_name(np.array([0, 1, 2, 3]), sent).tolist() == [0, 1, 2, 3]
    assert map_by_name(np.array([0, 3]), sent).tolist() == [0, 3]


def test_numbers_are_taken_for_values_where_they_cannot_be_positions() -> None:
    sent = info(("necrotic core", 1), ("peritumoral edema", 2), ("enhancing tumor", 4))
    assert map_by_name(np.array([0, 1, 2, 4]), sent).tolist() == [0, 1, 2, 3]


def test_an_unused_segment_may_have_any_name() -> None:
    assert map_by_name(np.array([0, 1]), info(("edema?", 2), ("ET", 1))[::-1]).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (info(("necrotic core", 1)), "value 2"),
        (info(("necrotic core", 1), ("liver", 2)), "'liver'"),
        (info(("ET", 1), ("ET", 2)), "twice"),
        ("ET", "must be a list"),
        ([{"idx": 1}], "no name"),
        ([{"name": "ET", "idx": "one"}], "whole number"),
    ],
)
def test_names_that_decide_nothing_are_refused(sent: object, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        map_by_name(np.array([0, 1, 2]), sent)
    assert caught.value.field == "label_info"


def test_names_that_can_be_read_in_two_ways_are_refused() -> None:
    sent = info(("foreground_scribbles", 1), ("necrotic core", 2), ("ED", 3), ("ET", 4))
    with pytest.raises(InputError, match="two ways"):
        map_by_name(np.array([0, 2, 3]), sent)


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


def test_a_slicer_segmentation_brings_its_own_names(tmp_path: Path) -> None:
    from training.images.write import write_labelmap

    case = case_from_folder(synthetic.write_case(tmp_path))
    truth = synthetic.truth(synthetic.brats_grid())
    path = write_labelmap(truth, tmp_path / "label.seg.nrrd")
    checked = check_label(path, case, info(("NCR", 1), ("ED", 2), ("ET", 3)))
    assert np.array_equal(checked.volume.data, truth.data)


def test_brats_values_are_read_without_names(tmp_path: Path) -> None:
    case = case_from_folder(synthetic.write_case(tmp_path))
    assert case.label is not None
    checked = check_label(case.label, case)
    assert checked.scheme == "brats-2017"
    assert set(np.unique(checked.volume.data)) == {0, 1, 2, 3}
    assert isinstance(checked.volume, Volume)
