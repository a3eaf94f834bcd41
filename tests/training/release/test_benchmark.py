"""The numbers of a model card, measured end to end with a network whose answer is known beforehand."""

import json
from typing import Any

import numpy as np
import pytest

from training.evaluation.evaluate import evaluate_cases
from training.evaluation.result import LOW_DICE
from training.evaluation.subjects import Subject, phantom_subjects, subject_of_phantom
from training.modalities import ROLES
from training.models.store import ModelStore
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.prediction.segmenter import Segmenter
from training.release.benchmark import Plan, measure_phantoms, run_benchmark
from training.release.tables import tables


@pytest.fixture(scope="module")
def measured(tiny_segmenter, written_cases) -> tuple[dict[str, Any], list[tuple[int, int, str]]]:
    """One small benchmark of a network that labels the whole brain edema, and its progress."""
    told: list[tuple[int, int, str]] = []
    plan = Plan(phantoms=1, heads=1, cases=written_cases[:1])
    return run_benchmark(tiny_segmenter, plan, workers=1, on_progress=lambda *now: told.append(now)), told


def test_a_benchmark_is_plain_data_with_provenance_and_every_head_counts_once(measured):
    found, told = measured
    assert json.loads(json.dumps(found)) == found
    assert found["model"] == "v0001"
    assert len(found["weights_sha256"]) == 64
    assert found["phantoms"]["seeds"] == [FIXED_SEEDS[0], FIXED_SEEDS[0]]
    assert [done for done, _, _ in told] == list(range(1, 9))
    assert {total for _, total, _ in told} == {8}
    name = "BraTS20_Training_001"
    assert [what for _, _, what in told[:5]] == [name, *(f"{name} without {role}" for role in ROLES)]
    assert [row["missing"] for row in found["missing"]] == list(ROLES)
    assert all(row["dice"]["ET"] == 0.0 for row in found["missing"])


def test_a_network_that_labels_everything_tumor_scores_badly_and_is_overconfident(measured):
    found, _ = measured
    (low,) = found["phantoms"]["low"]
    assert low["dice"]["WT"] < LOW_DICE
    assert "as tumor" in low["why"]
    for part in ("tumor_free", "every_distractor"):
        assert found[part]["mean_ml"] > 500
        assert found[part]["over_bar"] == found[part]["count"] == 1
    brain = found["phantoms"]["calibration"]["brain"]
    (row,) = brain["bins"]  # it is entirely certain of every voxel
    assert row["confidence"] == 1.0
    assert brain["ece"] == pytest.approx(1 - row["accuracy"], abs=1e-4)


def test_the_tables_hold_what_was_measured(measured, tiny_segmenter):
    found, _ = measured
    drawn = {table.title: table for table in tables(found)}
    assert len(drawn) == 6  # without a comparison with mirrored answers
    mean = f"{found['phantoms']['regions']['WT']['mean']:.3f}"
    assert mean in drawn[f"Dice on 1 phantoms (seeds {FIXED_SEEDS[0]} to {FIXED_SEEDS[0]})"].rows[0]
    for table in drawn.values():
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert table.as_markdown().count("\n") >= len(table.rows) + 1
    assert tables(run_benchmark(tiny_segmenter, Plan(phantoms=0, heads=0))) == []


@pytest.fixture
def one_head(monkeypatch, phantom_head) -> Subject:
    """A whole head that stands for every phantom, so that none is generated anew."""
    subject = subject_of_phantom(phantom_head)
    for module in ("release.benchmark", "evaluation.evaluate"):
        monkeypatch.setattr(f"training.{module}.phantom_subjects", lambda seeds, **_: iter([subject] * len(seeds)))
    return subject


def test_mirrored_answers_are_compared_on_the_same_phantoms(tiny_segmenter, tiny_models, one_head):
    mirrored = Segmenter(ModelStore(tiny_models).current(), policy="float32", mirror=True)
    found = measure_phantoms(tiny_segmenter, FIXED_SEEDS[:1], mirrored=mirrored, workers=1)
    assert found["mirrored"] == found["regions"]


def test_a_poorly_segmented_phantom_gets_a_picture_and_an_explanation(tiny_segmenter, one_head, tmp_path):
    report = evaluate_cases([], tiny_segmenter, tmp_path, phantoms=[3], workers=1)
    (result,) = report.cases
    assert (result.case, result.kind) == (one_head.id, one_head.kind)
    assert result.kind
    assert result.why
    page = report.files["report"].read_text()
    assert f'src="poor/{result.case}.png"' in page
    assert result.why.split(".")[0] in page
    assert (tmp_path / "poor" / f"{result.case}.png").read_bytes().startswith(b"\x89PNG")


def test_phantom_subjects_hold_whole_numbers_as_files_do(phantom_head):
    (subject,) = phantom_subjects([3], workers=1)
    assert subject.id == "phantom-00000003"
    assert np.array_equal(subject.truth.data, phantom_head.label)
    assert np.array_equal(subject.volumes["flair"].data, np.round(phantom_head.image[..., 3]))
