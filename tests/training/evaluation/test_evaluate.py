import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case
from training.cases.find import case_from_folder, find_cases
from training.evaluation.evaluate import evaluate_cases, evaluate_subject
from training.evaluation.result import REFERENCE_DICE, CaseResult
from training.evaluation.subjects import subject_of_case
from training.images.grid import Volume
from training.images.write import write_labelmap
from training.labels import REGIONS
from training.prediction.segmenter import Segmentation, volumes_ml
from training.preparation.prepare import prepare


class Oracle:
    """Answers with the truth of the synthetic head, shifted by some voxels, so that the right scores are known."""

    def __init__(self, shift: int = 0, empty: bool = False, more: int = 0) -> None:
        self.shift, self.empty, self.more = shift, empty, more

    def segment(self, volumes, *, reference="t1ce", allow_whole_head=False, on_progress=None):
        grid = volumes[reference].grid
        self.shift += self.more
        data = np.roll(synthetic.truth(grid).data, self.shift, axis=0)
        labelmap = Volume(np.zeros_like(data) if self.empty else data, grid)
        return Segmentation(labelmap, volumes_ml(labelmap), {"network": 0.0}, ("a warning",), "v0007")


def evaluated(case: Case, oracle: Oracle) -> CaseResult:
    return evaluate_subject(subject_of_case(case), oracle)[1]


def test_perfect_shifted_and_empty_answers_have_known_scores_on_the_grid_of_the_label(written_cases, flair_case):
    result = evaluated(written_cases[0], Oracle())
    assert result.dice == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert result.hd95 == {"WT": 0.0, "TC": 0.0, "ET": 0.0}
    assert result.true_ml == result.predicted_ml
    assert result.label_dice == {"NCR": 1.0, "ED": 1.0, "ET": 1.0}
    shifted = evaluated(written_cases[0], Oracle(shift=2))
    assert 0.8 < shifted.dice["WT"] < 0.95
    assert shifted.hd95["WT"] == pytest.approx(2.0, abs=0.3)
    on_flair = evaluated(case_from_folder(flair_case), Oracle())
    assert (on_flair.reference, on_flair.dice["WT"]) == ("flair", 1.0)


def test_an_unreadable_case_is_reported_a_label_on_another_grid_or_none_is_an_error(studies, tmp_path, written_cases):
    cases, _ = find_cases(studies)
    (studies / "BraTS20_Training_001" / "BraTS20_Training_001_t2.nii.gz").write_text("junk")
    report = evaluate_cases(cases, Oracle(), tmp_path)
    assert [result.case for result in report.cases] == ["BraTS20_Training_002"]
    assert "is not a NIfTI file" in report.failures["BraTS20_Training_001"]
    assert "NOT EVALUATED" in report.files["csv"].read_text()
    case = written_cases[0]
    row = evaluate_cases([case], Oracle(empty=True), tmp_path, pictures=False).summary()[0]
    assert (row.mean_dice, row.mean_hd95, row.undefined_hd95) == (0.0, None, 1)
    assert (row.mean_lesion_hd95, row.missed_lesions, row.mean_surface_dice) == (374.0, 1, 0.0)
    assert row.median_volume_error_percent == -100.0
    other = write_labelmap(synthetic.truth(synthetic.brats_grid((64, 72, 61))), tmp_path / "seg.nii")
    with rejected("64 x 72 x 61 against 64 x 72 x 60", "label"):
        evaluated(replace(case, label=other), Oracle())
    for cases, message in (([], "no labeled case"), ([replace(case, label=None)], "has no label")):
        with rejected(message):
            evaluate_cases(cases, Oracle(), tmp_path)


def test_ctrl_c_keeps_the_report_of_the_finished_cases(written_cases, tmp_path):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    report = evaluate_cases(written_cases, Oracle(), tmp_path, on_result=stop)
    assert (report.stopped, len(report.cases)) == (True, 1)
    assert json.loads((tmp_path / "report.json").read_text())["stopped"]
    with pytest.raises(KeyboardInterrupt):
        evaluate_cases(written_cases, Oracle(), tmp_path, stop)


def test_the_report_has_means_and_extremes_and_a_real_network_is_evaluated(written_cases, tmp_path, tiny_segmenter):
    report = evaluate_cases(written_cases, Oracle(more=3), tmp_path, pictures=False)
    rows = {row.region: row for row in report.summary()}
    assert tuple(rows) == tuple(REGIONS)
    first, second = report.cases
    assert rows["WT"].mean_dice == pytest.approx((first.dice["WT"] + second.dice["WT"]) / 2)
    assert rows["WT"].best_case == first.case == report.best().case == "BraTS20_Training_001"
    assert report.worst().case == "BraTS20_Training_002"
    assert rows["WT"].mean_lesion_dice == pytest.approx(rows["WT"].mean_dice)  # one lesion in each
    assert (rows["WT"].found_lesions, rows["WT"].missed_lesions, rows["WT"].false_lesions) == (2, 0, 0)
    assert 0 < rows["WT"].mean_surface_dice < 1
    assert rows["WT"].median_volume_error_percent == 0.0
    with open(report.files["csv"], newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert [line["case"] for line in lines] == [case.id for case in written_cases]
    assert float(lines[0]["dice_ET"]) == pytest.approx(first.dice["ET"], abs=1e-4)
    assert lines[0]["model_version"] == "v0007"
    content = json.loads(report.files["json"].read_text())
    assert content["reference_dice"]["WT"] == REFERENCE_DICE["WT"]
    assert "comparable only" in content["reference_dice"]["caveat"]
    assert len(content["cases"]) == 2
    assert content["uncertainty_against_dice"] is None  # this segmenter has no uncertainty
    assert "Uncertainty and Dice" not in report.files["report"].read_text()
    seen: list[object] = []
    case = written_cases[0]
    report = evaluate_cases(
        [case], tiny_segmenter, tmp_path, lambda *at: seen.append(at), on_result=lambda *at: seen.append(at[0])
    )
    assert (seen[0], seen[2]) == ((0, 1, case.id), (1, 1, ""))
    brain = prepare(case.read_all()).brain.sum() / 1000
    assert report.cases[0].predicted_ml["peritumoral edema"] == pytest.approx(brain, rel=1e-3)
    assert (report.cases[0].dice["ET"], report.model_version) == (0.0, "v0001")
    assert set(report.cases[0].expected_dice) == set(REGIONS)
    assert "Uncertainty and Dice" in report.files["report"].read_text()
