import json
import shutil
from pathlib import Path

import pytest

from tests.training import rejected
from training.hashes import file_sha256
from training.labels import REGIONS
from training.models import BUNDLED_MODELS
from training.models.bundle import read_bundle
from training.models.store import ModelCard, ModelStore, ModelVersion, SeenCase, read_version
from training.network.unet import UNetConfig
from training.release import card as model_card
from training.release.card_text import render
from training.retraining.config import RetrainConfig
from training.retraining.folds import FinishedFold, HeldOutCase, HeldOutScore, summarize

REPOSITORY = Path(__file__).resolve().parents[3]
SEEN = [SeenCase(case="a", patient="p", label_sha256="0", split="train")]


def benchmark_of(folder: Path) -> dict[str, object]:
    """A benchmark of two phantoms and a head without tumor, with invented numbers."""
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
    made = Path(shutil.copytree(ModelStore(tiny_models).current().folder, tmp_path / "release"))
    card = json.loads((made / "card.json").read_text())
    (made / "card.json").write_text(json.dumps({**card, "version": "v0000", "metrics": {"validation": 0.5}}))
    return made


SECTIONS = """Model details, Intended use, Factors, Metrics, Evaluation data, Training data, Quantitative analyses,
Ethical considerations, Caveats and recommendations"""


@pytest.mark.parametrize("version", sorted(read_bundle(BUNDLED_MODELS).folders))
def test_the_document_of_each_bundled_model_matches_its_card_and_weights(version):
    document = REPOSITORY / "docs" / f"model-card-{version}.md"
    assert model_card.inconsistencies(BUNDLED_MODELS / version, document) == []
    assert read_version(BUNDLED_MODELS / version).card.version == version


def test_a_benchmark_is_written_into_the_card_and_from_there_into_the_document(folder, tmp_path):
    document = tmp_path / "card.md"
    assert "does not exist" in model_card.inconsistencies(folder, document)[0]
    text = model_card.write_document(folder, document).read_text()
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == SECTIONS.replace("\n", " ").split(", ")
    assert "Research use only" in text
    assert "have not been measured yet" in text
    model_card.record(folder, benchmark_of(folder))
    assert read_version(folder).card.metrics["validation"] == 0.5
    text = model_card.write_document(folder, document).read_text()
    for words in ("| WT (whole tumor) | 0.910 | 0.920 | 0.500 | 1 (50%) |", "0.0123", "It is small.", "1.8 million"):
        assert words in text
    assert model_card.inconsistencies(folder, document) == []
    document.write_text(text.replace("0.910", "0.990"))
    (folder / "weights.npz").write_bytes((folder / "weights.npz").read_bytes() + b"x")
    changed, other = model_card.inconsistencies(folder, document)
    assert "does not match" in changed
    assert "measured with other weights" in other


def test_the_summary_has_purpose_limits_and_means_and_numbers_of_other_weights_are_rejected(folder, tiny_models):
    model_card.record(folder, benchmark_of(folder))
    summary = model_card.summary(read_version(folder))
    assert summary["research_only"] is True
    assert summary["limits"][0] == "It was trained on synthetic heads only and has never seen a patient."
    means, medians = (dict.fromkeys(("WT", "TC", "ET"), value) for value in (0.91, 0.92))
    assert summary["metrics"]["phantoms"] == {"count": 2, "mean_dice": means, "median_dice": medians}
    assert summary["metrics"]["largest_ml_without_tumor"] == 0.1
    assert len(json.dumps(summary)) < 4000
    before = (folder / "card.json").read_text()
    with rejected("are not those that were measured"):
        model_card.record(folder, {**benchmark_of(folder), "weights_sha256": "0" * 64})
    assert (folder / "card.json").read_text() == before
    stored = ModelStore(tiny_models).current().folder
    with rejected("never change"):
        model_card.record(stored, benchmark_of(stored))


def test_a_version_trained_on_cases_is_not_called_synthetic(tiny_models):
    def version(**facts: object) -> ModelVersion:
        card = ModelCard.model_validate({"data": SEEN, **facts})
        return ModelVersion("v0002", ModelStore(tiny_models).current().folder, card)

    metrics = {"parent": {"WT": 0.6}, "candidate": {"WT": 0.7}, "cases": {"a": {}}}
    summary = model_card.summary(version(parent="v0000", metrics=metrics))
    assert "never seen a patient" not in json.dumps(summary)
    assert summary["cases_seen"] == 1
    assert summary["metrics"] == {"judge": {"mean_dice": {"WT": 0.7}, "parent": {"WT": 0.6}}}
    assert "- Trained on 1 cases.\n" in render(version(description="Trained on 1 cases."))
    assert "None" not in render(version())
    assert "\n- .\n" not in render(version())
    assert "; parent: v0001." in render(version(parent="v0001"))


def test_the_command_measures_prints_and_writes_and_then_agrees_with_itself(run, folder):
    code, stdout, stderr = run("card", "--model", folder, "--phantoms", 1, "--heads", 0, "--workers", 1, "--write")
    assert code == 0, stderr
    mean = f"{read_version(folder).card.metrics['benchmark']['phantoms']['regions']['WT']['mean']:.3f}"
    assert mean in stdout
    assert f"| WT (whole tumor) | {mean} |" in (folder / "model-card.md").read_text()
    assert run("card", "--model", folder, "--check")[0] == 0
    (folder / "model-card.md").write_text("something else")
    code, _, stderr = run("card", "--model", folder, "--check")
    assert (code, "does not match" in stderr) == (1, True)
    code, _, stderr = run("card", "--model", folder, "--render")
    assert (code, "--overwrite" in stderr) == (2, True)  # it is not the document that the command wrote
    assert run("card", "--model", folder, "--render", "--overwrite")[0] == 0
    assert run("card", "--model", folder, "--check")[0] == 0


def taught(network: UNetConfig, **facts: object) -> ModelCard:
    """The card of a version that was taught by public cases."""

    def score(value: float) -> HeldOutScore:
        return HeldOutScore(dice=dict.fromkeys(REGIONS, value), hd95_mm=dict.fromkeys(REGIONS), predicted_ml={})

    cases = [
        HeldOutCase(
            case=f"Brats_{n}", patient=str(n), fold=n, true_ml={}, parent=score(0.5 + n / 10), model=score(0.75)
        )
        for n in (1, 2)
    ]
    folds = [
        FinishedFold(fold=case.fold, trained_on=1, weights_sha256="", epochs=2, batch_size=2, cases=[case])
        for case in cases
    ]
    given: dict[str, object] = {
        "version": "v0001",
        "parent": "v0000",
        "network": network,
        "data": [SeenCase(case=case.case, patient=case.patient, label_sha256="0", split="train") for case in cases],
        "training": {"config": RetrainConfig().model_dump(), "replay_seeds": [5, 6], "epochs": 2, "batch_size": 2},
        "metrics": {"cross_validation": summarize(folds)},
        "attribution": "Somebody 2016, CC BY 3.0",
    }
    return ModelCard.model_validate({**given, **facts})


def test_a_version_taught_by_public_cases_shows_its_folds_cases_credit_and_that_it_may_carry_traces(tiny_models):
    current = ModelStore(tiny_models).current()
    version = ModelVersion("v0001", current.folder, taught(current.card.network))
    text = render(version)
    for words in (
        "### Dice of held-out cases in 2-fold cross-validation: v0000 / after training",
        "| Brats_1 | 1 | 0.600 / 0.750 | 0.600 / 0.750 | 0.600 / 0.750 |",
        "| **mean** |  | 0.650 / 0.750 |",
        "Cases: Brats_1, Brats_2.",
        "Somebody 2016, CC BY 3.0.",
        "2 labeled cases, named by id and hash of the label in `card.json`; parent: v0000.",
        "2 x 30 batches of 2 patches of 96 voxels a side, learning rate 0.001; averaged weights; 6 heads derived from "
        "each case, 60% of its patches; 2 phantoms, 40% of the patches.",
        "may carry traces of the cases",
        "public ones or those of the site",
    ):
        assert words in text
    assert "never seen a patient" not in text
    assert "without patient images" not in text
    summary = model_card.summary(version)
    assert summary["attribution"] == "Somebody 2016, CC BY 3.0"
    assert summary["metrics"]["cross_validation"]["parent"]["WT"] == 0.65
    assert "Brats_1" not in json.dumps(summary)


def test_cases_that_a_version_was_trained_on_are_left_out_of_its_measurement_and_named(run, folder, written_studies):
    card = json.loads((folder / "card.json").read_text())
    label = written_studies / "BraTS20_Training_002" / "BraTS20_Training_002_seg.nii.gz"
    seen = {"case": "renamed", "patient": "p", "label_sha256": file_sha256(label), "split": "train"}
    (folder / "card.json").write_text(json.dumps({**card, "data": [seen]}))
    code, _, stderr = run("card", "--model", folder, "--phantoms", 0, "--cases", written_studies)
    assert code == 2
    assert "Left out, since v0000 was trained on them: BraTS20_Training_001, BraTS20_Training_002" in stderr
    assert "nothing to measure" in stderr
