"""The model card: one home for the numbers, and what is told of them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.cli import app
from training.errors import InputError
from training.hashes import file_sha256
from training.models.store import ModelCard, ModelStore, SeenCase, read_version
from training.release import card as model_card
from training.release.card_text import render

REPOSITORY = Path(__file__).resolve().parents[3]


def benchmark_of(folder: Path) -> dict[str, object]:
    """A benchmark as it looks when two phantoms and a head without tumor were measured; the numbers are invented."""
    region = {"mean": 0.91, "median": 0.92, "lowest": 0.5, "low": 1, "present": 2, "mean_present": 0.91}
    where = {"ece": 0.0123, "bins": []}
    free = {"seeds": [920000000, 920000000], "count": 1, "bar_ml": 0.3, "mean_ml": 0.1, "max_ml": 0.1, "over_bar": 0}
    return {
        "date": "2026-01-01T00:00:00+00:00", "code_version": "0.1.0", "generator_version": 3, "model": "v0000",
        "weights_sha256": file_sha256(folder / "weights.npz"), "parameters": 1_800_000, "mirror": False,
        "phantoms": {
            "seeds": [910000000, 910000001], "count": 2, "regions": dict.fromkeys(("WT", "TC", "ET"), region),
            "kinds": {"ring": {"count": 2, "WT": 0.91, "TC": 0.91, "ET": 0.91}},
            "low": [{"case": "phantom-910000001", "kind": "ring", "dice": {"WT": 0.5}, "why": "It is small."}],
            "calibration": {"brain": where, "near_tumor": where},
        },
        "tumor_free": free, "every_distractor": free, "cases": [], "missing": [],
    }  # fmt: skip


@pytest.fixture
def folder(tiny_models, tmp_path) -> Path:
    """A version that is to be released."""
    made = tmp_path / "release"
    shutil.copytree(ModelStore(tiny_models).current().folder, made)
    card = json.loads((made / "card.json").read_text())
    (made / "card.json").write_text(json.dumps({**card, "version": "v0000", "metrics": {"validation": 0.5}}))
    return made


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["card", *[str(argument) for argument in arguments]])
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_the_document_in_the_repository_is_what_the_bundled_card_says():
    bundled = REPOSITORY / "training" / "models" / "bundled"
    assert model_card.inconsistencies(bundled, REPOSITORY / "docs" / "model-card.md") == []


def test_numbers_go_into_the_card_and_from_there_into_the_document(folder, tmp_path):
    model_card.record(folder, benchmark_of(folder))
    card = read_version(folder).card
    assert card.metrics["validation"] == 0.5
    text = model_card.write_document(folder, tmp_path / "card.md").read_text()
    for words in ("| WT (whole tumor) | 0.910 | 0.920 | 0.500 | 1 (50 %) |", "0.0123", "It is small.", "1.8 million"):
        assert words in text
    assert model_card.inconsistencies(folder, tmp_path / "card.md") == []


def test_the_document_has_the_sections_of_mitchell_and_says_research_only(folder, tmp_path):
    text = model_card.write_document(folder, tmp_path / "card.md").read_text()
    sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert sections == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert "Research use only" in text
    assert "have not been measured yet" in text


def test_a_changed_document_other_weights_and_a_missing_document_are_told(folder, tmp_path):
    document = tmp_path / "card.md"
    assert "is not there" in model_card.inconsistencies(folder, document)[0]
    document.write_text("")
    assert "is not what" in model_card.inconsistencies(folder, document)[0]
    model_card.record(folder, benchmark_of(folder))
    model_card.write_document(folder, document)
    document.write_text(document.read_text().replace("0.910", "0.990"))
    (folder / "weights.npz").write_bytes((folder / "weights.npz").read_bytes() + b"x")
    changed, other = model_card.inconsistencies(folder, document)
    assert "is not what" in changed
    assert "measured with other weights" in other


def test_numbers_of_other_weights_are_refused(folder):
    before = (folder / "card.json").read_text()
    with pytest.raises(InputError, match="are not those that were measured"):
        model_card.record(folder, {**benchmark_of(folder), "weights_sha256": "0" * 64})
    assert (folder / "card.json").read_text() == before


def test_the_cards_of_a_store_never_change(tiny_models):
    stored = ModelStore(tiny_models).current().folder
    with pytest.raises(InputError, match="never change"):
        model_card.record(stored, benchmark_of(stored))


def test_the_summary_tells_purpose_limits_and_means_but_no_history(folder):
    model_card.record(folder, benchmark_of(folder))
    told = model_card.summary(read_version(folder))
    assert told["research_only"] is True
    assert told["limits"][0] == "It was trained on synthetic heads only and has never seen a patient."
    assert told["metrics"]["phantoms"] == {
        "count": 2,
        "mean_dice": {"WT": 0.91, "TC": 0.91, "ET": 0.91},
        "median_dice": {"WT": 0.92, "TC": 0.92, "ET": 0.92},
    }
    assert told["metrics"]["largest_ml_without_tumor"] == 0.1
    assert len(json.dumps(told)) < 4000


def test_a_version_that_saw_cases_is_not_called_synthetic(tiny_models):
    version = ModelStore(tiny_models).current()
    seen = [SeenCase(case="a", patient="p", label_sha256="0", split="train")]
    metrics = {"parent": {"WT": 0.6}, "candidate": {"WT": 0.7}, "cases": {"a": {}}}
    card = ModelCard(parent="v0000", data=seen, metrics=metrics)
    told = model_card.summary(type(version)("v0002", version.folder, card))
    assert "never seen a patient" not in json.dumps(told)
    assert told["cases_seen"] == 1
    assert told["metrics"] == {"judge": {"mean_dice": {"WT": 0.7}, "parent": {"WT": 0.6}}}


def test_a_description_with_its_own_full_stop_and_no_parent_are_told_as_they_are(tiny_models):
    version = ModelStore(tiny_models).current()
    seen = [SeenCase(case="a", patient="p", label_sha256="0", split="train")]

    def told(**facts: object) -> str:
        return render(type(version)("v0002", version.folder, ModelCard(data=seen, **facts)))

    assert "- Trained on 1 cases.\n" in told(description="Trained on 1 cases.")
    assert "None" not in told()
    assert "\n- .\n" not in told()
    assert "; parent: v0001." in told(parent="v0001")


def test_the_command_measures_prints_and_writes_and_then_agrees_with_itself(run, folder):
    code, stdout, stderr = run("--model", folder, "--phantoms", 1, "--heads", 0, "--workers", 1, "--write")
    assert code == 0, stderr
    card = read_version(folder).card
    mean = f"{card.metrics['benchmark']['phantoms']['regions']['WT']['mean']:.3f}"
    assert mean in stdout
    assert f"| WT (whole tumor) | {mean} |" in (folder / "model-card.md").read_text()
    assert run("--model", folder, "--check")[0] == 0
    (folder / "model-card.md").write_text("something else")
    code, _, stderr = run("--model", folder, "--check")
    assert (code, "is not what" in stderr) == (1, True)
    assert run("--model", folder, "--render")[0] == 0
    assert run("--model", folder, "--check")[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--write", "--check"], "Give one of"),
        (["--phantoms", "0"], "nothing to measure"),
        (["--model", "absent", "--check"], "no readable model card"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_one_line(run, options, words):
    code, _, stderr = run(*options)
    assert code == 2
    assert words in stderr
    assert len(stderr.strip().splitlines()) == 1
