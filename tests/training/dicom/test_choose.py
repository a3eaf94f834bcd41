"""Which series of a study is which modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.dicom.made_series import NAMES, SAGITTAL, Study, made_series, made_study, voxels, write, write_study
from training.dicom.choose import choose, only_series
from training.dicom.series import Series, find_series
from training.errors import InputError


def series_of(folder: Path, *more: tuple[str, dict[str, Any]], without: str = "") -> list[Series]:
    """Find the series of a study of four, and of more series in it."""
    study = Study()
    made: dict[str, Any] = {role: one for role, one in made_study(study).items() if role != without}
    for place, (role, attributes) in enumerate(more):
        made[f"more{place}"] = made_series(role, study=study, number=10 + place, **attributes)
    return find_series(write_study(made, folder))


def test_thinner_slices_are_preferred_and_the_others_are_told(tmp_path: Path) -> None:
    fine = {"step": 1.0, "data": voxels((20, 20, 40)), "SeriesDescription": "SAG 3D T1 POST", "orientation": SAGITTAL}
    found = choose(series_of(tmp_path, ("t1ce", fine)))
    assert found["t1ce"].key == "10"
    (note,) = found["t1ce"].notes
    assert note.startswith("Also T1 with contrast, and not taken: series 2 'AX T1 POST' (voxels of 5.0 mm).")
    assert "--t1ce SERIES" in note


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"step": 1.0, "data": voxels((12, 10, 6))}, "covers only 6 mm"),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "MPR"], "step": 4.0, "data": voxels((12, 10, 10))},
            "derived from another series",
        ),
        ({"SeriesDescription": "AX T1 POST FS"}, "with fat saturation"),
        ({"spacing": (1.5, 1.5)}, "pixels of 1.50 mm"),
        ({"AcquisitionTime": "090000"}, "equal, and earlier"),
    ],
)
def test_why_another_one_is_not_taken(tmp_path: Path, attributes: dict[str, Any], why: str) -> None:
    study = Study()
    made = made_study(study, AcquisitionTime="100000")
    other = made_series("t1ce", study=study, number=10, **{"AcquisitionTime": "110000", **attributes})
    found = choose(find_series(write_study({**made, "other": other}, tmp_path)))
    assert found["t1ce"].key == "2"
    assert f"series 10 {other[0].SeriesDescription!r} ({why})" in found["t1ce"].notes[-1]


def test_of_two_equal_ones_the_repeated_one_is_taken(tmp_path: Path) -> None:
    study = Study()
    made = made_study(study, AcquisitionTime="100000")
    repeated = made_series("t2", study=study, number=10, AcquisitionTime="110000")
    found = choose(find_series(write_study({**made, "other": repeated}, tmp_path)))
    assert found["t2"].key == "10"
    assert "series 3 'AX T2' (equal, and earlier)" in found["t2"].notes[0]


def test_a_damaged_one_is_not_preferred(tmp_path: Path) -> None:
    places = [(0, 0, height) for height in (0, 1, 2, 5, 6, 7, 8, 9)]
    found = choose(series_of(tmp_path, ("t2", {"positions": places})))
    assert found["t2"].key == "3"
    assert "series 10 'AX T2' (it cannot be used)" in found["t2"].notes[0]


def test_somebody_may_name_a_series_by_number_or_uid(tmp_path: Path) -> None:
    series = series_of(tmp_path, ("t2", {"SeriesDescription": "special"}))
    assert choose(series, {"t2": "10"})["t2"].description == "special"
    uid = next(one.uid for one in series if one.key == "10")
    assert choose(series, {"t1": uid})["t1"].key == "10"


def test_a_missing_modality_lists_what_was_found_and_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        choose(series_of(tmp_path, (None, {"SeriesDescription": "localizer"}), without="t2"))  # type: ignore[arg-type]
    assert caught.value.field == "t2"
    for part in (
        "Missing: T2 (t2).",
        "Series 1 'AX T1 PRE': its name",
        "'localizer': it is a localizer.",
        "--t2 SERIES",
    ):
        assert part in caught.value.message


def test_a_missing_modality_may_be_accepted(tmp_path: Path) -> None:
    assert list(choose(series_of(tmp_path, without="t2"), allow_missing=True)) == ["t1", "t1ce", "flair"]


def test_uncertain_series_are_asked_for(tmp_path: Path) -> None:
    plain = {"SeriesDescription": "AX T1", "ContrastBolusAgent": None}
    study = Study()
    made = {role: one for role, one in made_study(study).items() if role in ("t2", "flair")}
    made["a"] = made_series("t1", study=study, number=5, **plain)  # type: ignore[arg-type]
    made["b"] = made_series("t1", study=study, number=6, **plain)  # type: ignore[arg-type]
    series = find_series(write_study(made, tmp_path))
    with pytest.raises(InputError, match=r"Which series is T1 \(t1\)\?.*Say so: --t1 5 or --t1 6") as caught:
        choose(series, allow_missing=True)
    assert caught.value.field == "t1"
    found = choose(series, {"t1ce": 6})
    assert (found["t1"].key, found["t1ce"].key) == ("5", "6")
    assert "Taken as the only one left." in found["t1"].notes


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"t2": 99}, "There is no series 99 for T2"),
        ({"t2": 3, "flair": 3}, "Series 3 is named for both t2 and flair"),
        ({"pd": 3}, "There is no modality 'pd'"),
    ],
)
def test_wrong_choices_are_refused(tmp_path: Path, roles: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(series_of(tmp_path), roles)


def test_a_series_of_two_volumes_must_be_named_with_the_volume(tmp_path: Path) -> None:
    uid, study = "1.2.3.4", Study()
    for place in (1, 2):
        made = made_series("t2", study=study, data=voxels(seed=place), SeriesInstanceUID=uid, EchoNumbers=place)
        write(made, tmp_path / str(place))
    series = find_series(tmp_path)
    with pytest.raises(InputError, match=r"Series 1 holds 2 volumes: say 1\.1 or 1\.2 for t2"):
        choose(series, {"t2": 1}, allow_missing=True)
    assert choose(series, {"t2": "1.2"}, allow_missing=True)["t2"].key == "1.2"


def test_the_folder_of_one_series_is_that_series(tmp_path: Path) -> None:
    write_study(made_study(), tmp_path)
    assert only_series(tmp_path / "t2", "flair").description == NAMES["t2"]  # whoever names the folder decides
    assert only_series(tmp_path, "t2").description == NAMES["t2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="does not hold one series that is"):
        only_series(tmp_path / "empty", "t2")
