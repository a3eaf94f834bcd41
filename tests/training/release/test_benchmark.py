"""What the model card states is measured on the real parts, with a network whose answer is known beforehand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import synthetic
from training.cases.find import case_from_folder
from training.errors import InputError
from training.evaluation.evaluate import LOW_DICE, evaluate_cases
from training.evaluation.subjects import Subject, subject_of_case, subject_of_phantom
from training.evaluation.why import contrasts, why
from training.images.grid import Volume
from training.models.store import ModelStore
from training.phantoms.fixed_seeds import DISTRACTOR_SEEDS, FIXED_SEEDS, HEALTHY_SEEDS, refuse_fixed
from training.phantoms.generate import Phantom
from training.prediction.segmenter import Segmenter
from training.preparation.store import PreparedStore, prepare_phantoms
from training.release.benchmark import Plan, of_phantoms, run_benchmark
from training.release.tables import tables


@pytest.fixture(scope="module")
def edema_everywhere(tiny_models: Path) -> Segmenter:
    """A network that calls all of the brain edema."""
    return Segmenter(ModelStore(tiny_models).current(), policy="float32")


@pytest.fixture(scope="module")
def measured(
    edema_everywhere: Segmenter, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], list[tuple[int, int, str]]]:
    """One small benchmark, and what it told while it ran."""
    case = case_from_folder(synthetic.write_case(tmp_path_factory.mktemp("cases"), "TCGA-XX-0001"))
    told: list[tuple[int, int, str]] = []
    plan = Plan(phantoms=1, heads=1, cases=[case])
    return (
        run_benchmark(edema_everywhere, plan, workers=1, on_progress=lambda *now: told.append(now)),
        told,
    )


@pytest.fixture
def head(case_folder: Path) -> Subject:
    return subject_of_case(case_from_folder(case_folder))


def test_a_benchmark_is_plain_data_with_its_provenance(measured):
    benchmark, _ = measured
    assert json.loads(json.dumps(benchmark)) == benchmark
    assert benchmark["model"] == "v0001"
    assert len(benchmark["weights_sha256"]) == 64
    assert benchmark["phantoms"]["seeds"] == [FIXED_SEEDS[0], FIXED_SEEDS[0]]


def test_every_head_counts_once_towards_the_end(measured):
    _, told = measured
    assert [done for done, _, _ in told] == list(range(1, 9))
    assert {total for _, total, _ in told} == {8}
    assert [what for _, _, what in told[:5]] == [
        "TCGA-XX-0001",
        *(f"TCGA-XX-0001 without {role}" for role in ("t1", "t1ce", "t2", "flair")),
    ]  # what may be refused comes before what takes long


def test_a_network_that_calls_everything_tumor_is_seen_through(measured):
    benchmark, _ = measured
    (low,) = benchmark["phantoms"]["low"]
    assert low["dice"]["WT"] < LOW_DICE
    assert "were called tumor as well" in low["why"]
    for part in ("tumor_free", "every_distractor"):
        assert benchmark[part]["mean_ml"] > 500
        assert benchmark[part]["over_bar"] == benchmark[part]["count"] == 1


def test_its_certainty_is_as_wrong_as_its_answers(measured):
    benchmark, _ = measured
    brain = benchmark["phantoms"]["calibration"]["brain"]
    (row,) = brain["bins"]  # it is entirely sure of every voxel
    assert row["confidence"] == 1.0
    assert brain["ece"] == pytest.approx(1 - row["accuracy"], abs=1e-4)


def test_each_modality_is_left_out_once(measured):
    benchmark, _ = measured
    assert [row["missing"] for row in benchmark["missing"]] == ["t1", "t1ce", "t2", "flair"]
    assert all(row["dice"]["ET"] == 0.0 for row in benchmark["missing"])


def test_the_tables_hold_what_was_measured(measured):
    benchmark, _ = measured
    drawn = {table.title: table for table in tables(benchmark)}
    assert len(drawn) == 6  # without a comparison with mirrored answers
    mean = f"{benchmark['phantoms']['regions']['WT']['mean']:.3f}"
    assert mean in drawn[f"Dice on 1 phantoms (seeds {FIXED_SEEDS[0]} to {FIXED_SEEDS[0]})"].rows[0]
    for table in drawn.values():
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert table.as_markdown().count("\n") >= len(table.rows) + 1


def test_mirrored_answers_are_compared_on_the_same_phantoms(edema_everywhere, tiny_models):
    mirrored = Segmenter(ModelStore(tiny_models).current(), policy="float32", mirror=True)
    found = of_phantoms(edema_everywhere, FIXED_SEEDS[:1], mirrored=mirrored, workers=1)
    assert found["mirrored"] == found["regions"]


def test_nothing_measured_gives_no_table(edema_everywhere):
    assert tables(run_benchmark(edema_everywhere, Plan(phantoms=0, heads=0))) == []


def test_evaluation_on_a_phantom_leaves_a_report_with_picture_and_sentence(edema_everywhere, tmp_path):
    report = evaluate_cases([], edema_everywhere, tmp_path, phantoms=FIXED_SEEDS[:1], workers=1)
    (result,) = report.cases
    assert (result.case, result.kind) == (f"phantom-{FIXED_SEEDS[0]}", result.kind)
    assert result.kind
    assert result.why
    page = report.files["report"].read_text()
    assert f'src="poor/{result.case}.png"' in page
    assert result.why.split(".")[0] in page
    assert (tmp_path / "poor" / f"{result.case}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("seeds", [FIXED_SEEDS, HEALTHY_SEEDS, DISTRACTOR_SEEDS])
def test_phantoms_kept_for_measuring_are_refused_in_training(seeds, tmp_path):
    with pytest.raises(InputError, match=f"Phantom {seeds[-1]} is kept for measuring"):
        prepare_phantoms(PreparedStore(tmp_path), [1, seeds[-1]])
    assert list(tmp_path.iterdir()) == []
    refuse_fixed([1000, 900_000, FIXED_SEEDS[-1] + 1])


def test_a_missed_tumor_is_told_with_its_size_and_contrast(head):
    nothing = Volume(np.zeros_like(head.truth.data), head.truth.grid)
    told = why(head, nothing)
    volume = np.count_nonzero(head.truth.data) / 1000
    assert f"measures {volume:.1f} mL. Nothing was found." in told
    assert "FLAIR +" in told
    assert "no enhancing" not in told


def test_tumor_elsewhere_is_told_apart_from_tumor_that_reaches_too_far(head):
    found = np.zeros_like(head.truth.data)
    found[5:15, 5:15, 5:15] = 2
    told = why(head, Volume(found, head.truth.grid))
    assert "0 % of it were found, and 1.0 mL around it or elsewhere" in told
    assert "(1.0 mL of that in lesions apart from it)" in told


def test_tumor_in_a_healthy_head_is_told(head):
    healthy = Subject(head.id, head.patient, head.volumes, Volume(np.zeros_like(head.truth.data), head.truth.grid))
    assert why(healthy, head.truth).startswith("There is no tumor, but")
    assert contrasts(healthy) == {}


def test_contrast_counts_standard_deviations_of_the_brain_around():
    rng = np.random.default_rng(0)
    image = np.zeros((60, 60, 60, 4), np.float32)
    image[8:52, 8:52, 8:52] = rng.normal(1000, 20, (44, 44, 44, 4))
    label = np.zeros((60, 60, 60), np.uint8)
    label[25:35, 25:35, 25:35] = 2
    image[label > 0, 3] += 60  # FLAIR alone: three standard deviations
    head = subject_of_phantom(Phantom(image, label, image[..., 0] > 0, np.eye(4), 1, "low"))
    found = contrasts(head)
    assert found["flair"] == pytest.approx(3.0, abs=0.2)
    assert abs(found["t1"]) < 0.2
    faint = np.where(label[..., None] > 0, image - [0, 0, 0, 60], image)
    empty = Volume(np.zeros_like(label), head.truth.grid)
    told = why(subject_of_phantom(Phantom(faint, label, image[..., 0] > 0, np.eye(4), 1, "low")), empty)
    assert "The tumor is small, 1.0 mL: 49 % of its voxels lie at its border." in told
    assert "It has no enhancing tumor. It hardly stands out" in told
