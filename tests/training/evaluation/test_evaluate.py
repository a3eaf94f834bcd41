import csv
import json

import numpy as np
import pytest

from tests import synthetic
from training.cases.find import case_from_folder, find_cases
from training.errors import InputError
from training.evaluation.evaluate import REFERENCE_DICE, evaluate_case, evaluate_cases
from training.images.grid import Volume
from training.labels import REGIONS
from training.models.store import ModelStore
from training.prediction.segmenter import Segmentation, Segmenter, volumes_ml
from training.preparation.prepare import prepare


class Oracle:
    """Answers with the truth of the synthetic head, moved by some voxels: the right scores are known beforehand."""

    def __init__(self, shift: int = 0, empty: bool = False) -> None:
        self.shift, self.empty = shift, empty

    def segment(self, volumes, *, reference="t1ce", on_progress=None):
        grid = volumes[reference].grid
        data = np.roll(synthetic.truth(grid).data, self.shift, axis=0)
        labelmap = Volume(np.zeros_like(data) if self.empty else data, grid)
        return Segmentation(labelmap, volumes_ml(labelmap), {"network": 0.0}, ("a doubt",), "v0007")


def test_the_truth_scores_1_and_0_mm(case_folder):
    _, result = evaluate_case(case_from_folder(case_folder), Oracle())
    assert result.dice == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert result.hd95 == {"WT": 0.0, "TC": 0.0, "ET": 0.0}
    assert result.true_ml == result.predicted_ml
    assert result.label_dice == {"NCR": 1.0, "ED": 1.0, "ET": 1.0}


def test_an_answer_two_voxels_off_scores_2_mm(case_folder):
    _, result = evaluate_case(case_from_folder(case_folder), Oracle(shift=2))
    assert 0.8 < result.dice["WT"] < 0.95
    assert result.hd95["WT"] == pytest.approx(2.0, abs=0.3)


def test_an_empty_answer_scores_0_and_its_distance_is_undefined(case_folder, tmp_path):
    report = evaluate_cases([case_from_folder(case_folder)], Oracle(empty=True), tmp_path)
    (row, *_) = report.summary()
    assert (row.mean_dice, row.mean_hd95, row.undefined_hd95) == (0.0, None, 1)


def test_the_table_has_mean_and_best_with_the_cases_id(studies, tmp_path):
    cases, _ = find_cases(studies)

    class Uneven(Oracle):
        def segment(self, volumes, **options):
            self.shift += 3
            return super().segment(volumes, **options)

    report = evaluate_cases(cases, Uneven(), tmp_path)
    rows = {row.region: row for row in report.summary()}
    assert tuple(rows) == tuple(REGIONS)
    first, second = report.cases
    assert rows["WT"].mean_dice == pytest.approx((first.dice["WT"] + second.dice["WT"]) / 2)
    assert rows["WT"].best_case == first.case == report.best().case == "BraTS20_Training_001"
    assert report.worst().case == "BraTS20_Training_002"


def test_reports_are_written_as_csv_and_json(studies, tmp_path):
    cases, _ = find_cases(studies)
    report = evaluate_cases(cases, Oracle(shift=1), tmp_path / "out")
    with open(report.files["csv"], newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["case"] for row in rows] == [case.id for case in cases]
    assert float(rows[0]["dice_ET"]) == pytest.approx(report.cases[0].dice["ET"], abs=1e-4)
    assert rows[0]["model_version"] == "v0007"
    content = json.loads(report.files["json"].read_text())
    assert content["reference_dice"]["WT"] == REFERENCE_DICE["WT"]
    assert "comparable only" in content["reference_dice"]["caveat"]
    assert len(content["cases"]) == 2


def test_a_broken_case_is_reported_and_the_others_are_evaluated(studies, tmp_path):
    cases, _ = find_cases(studies)
    (studies / "BraTS20_Training_001" / "BraTS20_Training_001_t2.nii.gz").write_text("junk")
    report = evaluate_cases(cases, Oracle(), tmp_path)
    assert [result.case for result in report.cases] == ["BraTS20_Training_002"]
    assert "is not a NIfTI file" in report.failures["BraTS20_Training_001"]
    assert "NOT EVALUATED" in report.files["csv"].read_text()


def test_a_label_on_another_grid_is_an_error_with_numbers(case_folder):
    other = synthetic.truth(synthetic.brats_grid((64, 72, 61)))
    synthetic.save(other, case_folder / "BraTS20_Training_001_seg.nii.gz")
    with pytest.raises(InputError, match="64 x 72 x 61 against 64 x 72 x 60") as caught:
        evaluate_case(case_from_folder(case_folder), Oracle())
    assert caught.value.field == "label"


def test_a_label_drawn_on_flair_is_compared_on_the_grid_of_flair(tmp_path):
    grids = dict.fromkeys(("t1", "t1ce", "t2"), synthetic.brats_grid())
    grids["flair"] = synthetic.oblique_grid((1.0, 1.0, 3.0), (60, 70, 20), degrees=(10.0, 0.0, 0.0))
    folder = synthetic.write_case(tmp_path, grids=grids)
    synthetic.save(synthetic.truth(grids["flair"]), folder / "BraTS20_Training_001_seg.nii.gz")
    _, result = evaluate_case(case_from_folder(folder), Oracle())
    assert result.reference == "flair"
    assert result.dice["WT"] == 1.0


def test_nothing_to_evaluate_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no labeled case"):
        evaluate_cases([], Oracle(), tmp_path)
    unlabeled = case_from_folder(synthetic.write_case(tmp_path, label=False))
    with pytest.raises(InputError, match="has no label"):
        evaluate_cases([unlabeled], Oracle(), tmp_path)


def test_a_real_network_is_evaluated_and_each_answer_handed_on(case_folder, tiny_models, tmp_path):
    seen: list[object] = []
    case = case_from_folder(case_folder)
    report = evaluate_cases(
        [case],
        Segmenter(ModelStore(tiny_models).current(), policy="float32"),
        tmp_path,
        lambda done, total, name: seen.append((done, total, name)),
        on_result=lambda case, segmentation, result: seen.append(segmentation.labelmap),
    )
    assert seen[0] == (0, 1, case.id)
    assert seen[2] == (1, 1, "")
    brain = prepare(case.read_all()).brain.sum() / 1000
    assert report.cases[0].predicted_ml["peritumoral edema"] == pytest.approx(brain, rel=1e-3)
    assert report.cases[0].dice["ET"] == 0.0
    assert report.model_version == "v0001"
