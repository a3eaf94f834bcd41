"""The model's segmentations against what was submitted: which label counts, and what a version's summary holds."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from server_app.cases.correction_series import CorrectionSeries, VersionSummary
from server_app.labels.store import LabelStore
from training.atomic import write_json
from training.models.store import ModelCard, ModelStore, SeenCase


class Records:
    """Records of labels without voxels: nothing may be computed from these."""

    def __init__(self, folder: Path) -> None:
        self.labels, self.models = folder / "labels", folder / "models"
        self.card("v0001")

    def card(self, version: str, *cases: str, parent: str | None = None, label: str = "0") -> None:
        """Write the card of a model version that has learned from some cases, each of a patient of its own."""
        data = [SeenCase(case=case, patient=f"patient of {case}", label_sha256=label, split="train") for case in cases]
        write_json(self.models / version / "card.json", ModelCard(parent=parent, data=data).model_dump(mode="json"))

    def add(self, case: str, at: str, dice: float | None = 0.8, version: str | None = "v0001", **more: Any) -> Path:
        """Write a final label that was submitted on a day at a time such as 08:30."""
        number = len(list((self.labels / case).glob("v*"))) + 1
        folder = self.labels / case / f"v{number:04d}"
        record: dict[str, Any] = {"tag": "final", "patient": f"patient of {case}", "model_version": version}
        record["time"] = f"2026-01-01T{at}:00+00:00"
        if dice is not None:
            record["dice_against_model"] = {"WT": dice + 0.1, "TC": dice, "ET": dice - 0.1}
        write_json(folder / "label.json", {**record, **more})
        (folder / "label.nii.gz").write_bytes(b"no voxels")
        return folder

    def series(self) -> CorrectionSeries:
        return CorrectionSeries.of(LabelStore(self.labels), ModelStore(self.models))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def clock(at: str) -> str:
    return f"2026-01-01T{at}:00+00:00"


def test_cases_are_in_the_order_of_their_first_submission_with_dice_and_minutes(records: Records) -> None:
    records.add("b", "09:00", 0.7, answer_time=clock("08:50"), active_seconds=90, changed_ml=1.5)
    surfaces = {"WT": 0.9, "TC": 0.6, "ET": 0.3}
    records.add("a", "09:30", surface_dice_against_model=surfaces)
    records.add("b", "10:00", 0.9)
    found = records.series()
    assert [(one.case, one.submission) for one in found.cases] == [("b", 1), ("a", 1)]
    assert [(one.case, one.label, one.submission) for one in found.resubmissions] == [("b", "v0002", 2)]
    first, second = found.cases
    assert first.dice == pytest.approx({"WT": 0.8, "TC": 0.7, "ET": 0.6, "mean": 0.7})
    assert (first.minutes, first.active_minutes, first.changed_ml, first.surface_dice) == (10.0, 1.5, 1.5, None)
    assert (second.minutes, second.active_minutes, second.changed_ml) == (None, None, None)
    assert second.surface_dice == {**surfaces, "mean": 0.6}


def test_a_summary_counts_the_first_submissions_of_cases_that_the_version_had_not_seen(records: Records) -> None:
    records.card("v0002", "a", parent="v0001")
    records.card("v0003", "b", parent="v0002")
    records.add("a", "08:00", 0.6, answer_time=clock("07:50"), active_seconds=60)
    records.add("b", "08:30", 0.7, answer_time=clock("08:10"))
    records.add("c", "09:00", 0.8, "v0003", answer_time=clock("08:57"))
    records.add("a", "10:00", 0.9, "v0003")
    records.add("another visit", "11:00", 0.9, "v0002", patient="patient of a")
    found = records.series()
    assert [(one.version, one.cases) for one in found.versions] == [("v0001", 2), ("v0003", 1)]
    expected = VersionSummary("v0001", 2, {"WT": 0.75, "TC": 0.65, "ET": 0.55, "mean": 0.65}, 15.0, 1.0)
    assert found.versions[0] == expected
    assert (found.versions[1].median_minutes, found.versions[1].median_active_minutes) == (3.0, None)
    assert [(one.case, one.seen) for one in found.cases] == [
        ("a", False), ("b", False), ("c", False), ("another visit", True)
    ]  # fmt: skip
    assert [(one.case, one.seen) for one in found.resubmissions] == [("a", True)]


def test_a_label_that_corrects_nothing_or_cannot_be_compared_is_listed_without_numbers(records: Records) -> None:
    records.add("by hand", "08:00", None, None, active_seconds=1200)
    records.add("lost", "08:30", None, "v0001")
    records.add("unknown", "09:00", 0.8, "v0009")
    strange = {"dice_against_model": {"WT": "good"}, "changed_ml": float("nan"), "answer_time": clock("09:40")}
    records.add("damaged", "09:30", None, "v0001", **strange)
    found = records.series()
    assert [(one.case, one.version, one.seen) for one in found.cases] == [
        ("by hand", None, None), ("lost", "v0001", False), ("unknown", "v0009", None), ("damaged", "v0001", False)
    ]  # fmt: skip
    assert [one.dice is None for one in found.cases] == [True, True, False, True]
    assert (found.cases[0].active_minutes, found.cases[3].minutes) == (20.0, None)  # the clock was set back
    assert found.cases[3].changed_ml is None
    assert found.versions == ()


def test_drafts_the_models_own_segmentations_and_removed_labels_are_no_corrections(records: Records) -> None:
    records.add("draft", "08:00", tag="draft")
    records.add("batch", "08:00", 1.0, source="model")
    write_json(records.add("a", "08:30", 0.3) / "removed.json", {"user": "dr-a"})
    records.add("a", "09:00", 0.8)
    (only,) = records.series().cases
    assert (only.case, only.label, only.submission) == ("a", "v0002", 1)


def test_a_version_that_was_fitted_to_the_images_of_a_case_without_its_label_has_not_seen_it(records: Records) -> None:
    records.card("v0002", "a", parent="v0001", label="")
    records.add("a", "08:00", version="v0002")
    assert [(one.version, one.cases) for one in records.series().versions] == [("v0002", 1)]


def test_a_circle_of_parents_ends(records: Records) -> None:
    records.card("v0001", "a", parent="v0002")
    records.card("v0002", "b", parent="v0001")
    records.add("a", "08:00", version="v0002")
    records.add("c", "08:30", version="v0002")
    assert [one.seen for one in records.series().cases] == [True, False]


def test_the_table_has_a_line_per_submission_and_empty_cells_for_what_is_not_known(records: Records) -> None:
    records.add("b", "08:00", None, None)
    records.add("a", "09:00", 0.8, answer_time=clock("08:48"))
    records.add("b", "10:00", 0.9)
    rows = list(csv.DictReader(io.StringIO(records.series().to_csv())))
    assert [(row["case"], row["submission"], row["seen"]) for row in rows] == [
        ("b", "1", ""), ("a", "1", "False"), ("b", "2", "False")
    ]  # fmt: skip
    assert [(row["dice_mean"], row["minutes"], row["surface_dice_et"]) for row in rows] == [
        ("", "", ""), ("0.8", "12.0", ""), ("0.9", "", "")
    ]  # fmt: skip


def test_a_thousand_cases_take_less_than_a_second(records: Records) -> None:
    names = [f"case-{number:04d}" for number in range(1000)]
    records.card("v0002", *names[:500], parent="v0001")
    for name in names:
        records.add(name, "08:00", version="v0002")
    store, models = LabelStore(records.labels), ModelStore(records.models)
    CorrectionSeries.of(store, models)  # reads the records once
    begin = time.monotonic()
    found = CorrectionSeries.of(store, models)
    json.dumps(found.to_json())
    assert time.monotonic() - begin < 1.0
    assert found.versions[0].cases == 500
