import json
from typing import Any

import numpy as np
import pytest

from training.evaluation.evaluate import evaluate_cases
from training.evaluation.result import LOW_DICE
from training.evaluation.subjects import phantom_subjects
from training.modalities import ROLES
from training.models.store import ModelStore
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.prediction.segmenter import Segmenter
from training.release.benchmark import Plan, measure_phantoms, run_benchmark
from training.release.tables import tables


@pytest.fixture(scope="module")
def found(tiny_segmenter, written_cases) -> dict[str, Any]:
    """One small benchmark of a network that labels the whole brain edema."""
    progress: list[tuple[int, int, str]] = []
    plan = Plan(phantoms=1, heads=1, cases=written_cases[:1])
    found = run_benchmark(tiny_segmenter, plan, workers=1, on_progress=lambda *now: progress.append(now))
    assert [(done, total) for done, total, _ in progress] == [(done, 8) for done in range(1, 9)]
    name = "BraTS20_Training_001"
    assert [what for _, _, what in progress[:5]] == [name, *(f"{name} without {role}" for role in ROLES)]
    return found


def test_a_benchmark_is_plain_data_with_provenance_and_every_head_counts_once(found):
    assert json.loads(json.dumps(found)) == found
    assert (found["model"], len(found["weights_sha256"])) == ("v0001", 64)
    assert found["phantoms"]["seeds"] == [FIXED_SEEDS[0], FIXED_SEEDS[0]]
    assert [(row["missing"], row["dice"]["ET"]) for row in found["missing"]] == [(role, 0.0) for role in ROLES]
    (low,) = found["phantoms"]["low"]  # the network labels everything tumor
    assert low["dice"]["WT"] < LOW_DICE
    assert "as tumor" in low["why"]
    for part in ("tumor_free", "every_distractor"):
        assert found[part]["mean_ml"] > 500
        assert found[part]["over_bar"] == found[part]["count"] == 1
    brain = found["phantoms"]["calibration"]["brain"]
    (row,) = brain["bins"]  # it is entirely certain of every voxel
    assert (row["confidence"], brain["ece"]) == (1.0, pytest.approx(1 - row["accuracy"], abs=1e-4))


def test_the_tables_hold_what_was_measured(found, tiny_segmenter):
    drawn = {table.title: table for table in tables(found)}
    assert len(drawn) == 6  # without a comparison with mirrored answers
    mean = f"{found['phantoms']['regions']['WT']['mean']:.3f}"
    assert mean in drawn[f"Dice on 1 phantoms (seeds {FIXED_SEEDS[0]} to {FIXED_SEEDS[0]})"].rows[0]
    for table in drawn.values():
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert table.as_markdown().count("\n") >= len(table.rows) + 1
    assert tables(run_benchmark(tiny_segmenter, Plan(phantoms=0, heads=0))) == []


def test_a_poor_answer_gets_a_picture_and_an_explanation_and_mirrored_ones_are_compared(
    tiny_segmenter, tiny_models, phantom_head, tmp_path, monkeypatch
):
    (head,) = phantom_subjects([3], workers=1)
    assert head.id == "phantom-00000003"
    assert np.array_equal(head.truth.data, phantom_head.label)
    assert np.array_equal(head.volumes["flair"].data, np.round(phantom_head.image[..., 3]))  # as in files
    for module in ("release.benchmark", "evaluation.evaluate"):  # the head stands for every phantom
        monkeypatch.setattr(f"training.{module}.phantom_subjects", lambda seeds, **_: iter([head] * len(seeds)))
    report = evaluate_cases([], tiny_segmenter, tmp_path, phantoms=[3], workers=1)
    (result,) = report.cases
    assert (result.case, result.kind) == (head.id, phantom_head.kind)
    assert result.why
    page = report.files["report"].read_text()
    assert f'src="poor/{result.case}.png"' in page
    assert result.why.split(".")[0] in page
    assert (tmp_path / "poor" / f"{result.case}.png").read_bytes().startswith(b"\x89PNG")
    mirrored = Segmenter(ModelStore(tiny_models).current(), policy="float32", mirror=True)
    found = measure_phantoms(tiny_segmenter, FIXED_SEEDS[:1], mirrored=mirrored, workers=1)
    assert found["mirrored"] == found["regions"]
