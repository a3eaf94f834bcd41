"""The measurement of alterations that must not change the answer: does it map back exactly, and notice a fault?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from docs.invariance import __main__ as command
from docs.invariance import measure as measuring
from docs.invariance.alteration import Alteration, map_back
from docs.invariance.catalog import alterations
from docs.invariance.measure import Outcome, RememberingSegmenter, dice_with_outside, measure, unaltered
from docs.invariance.table import markdown
from tests import synthetic
from training.cases.find import case_from_folder
from training.images.grid import Grid, Volume
from training.modalities import ROLES
from training.models import BUNDLED_MODELS
from training.models.store import ModelStore

BY_KEY = {alteration.key: alteration for alteration in alterations()}
GRID = synthetic.brats_grid()
HEAD: Mapping[str, Volume] = {role: synthetic.head(GRID, role) for role in ROLES}


class ThresholdSegmenter(RememberingSegmenter):
    """Thresholds in place of the network: bright in FLAIR is edema, in T1ce enhancing tumor."""

    def __init__(self, folder: Path) -> None:
        self.version = ModelStore(folder, BUNDLED_MODELS).current()
        self.mirror = False

    engine = "thresholds"

    def _probabilities(self, image, report):
        flair, t1ce = image[..., ROLES.index("flair")], image[..., ROLES.index("t1ce")]
        labels = np.where(t1ce > 2, 3, np.where(flair > 1.5, 2, 0))
        return np.eye(4, dtype=np.float32)[labels]


@pytest.fixture
def segmenter(tmp_path):
    return ThresholdSegmenter(tmp_path / "models")


@pytest.fixture
def before(tmp_path, segmenter):
    return unaltered(case_from_folder(synthetic.write_case(tmp_path, "head")), segmenter)


@pytest.mark.parametrize("alteration", BY_KEY.values(), ids=lambda alteration: alteration.key)
def test_labels_of_the_altered_head_are_mapped_back_voxel_by_voxel(alteration):
    altered = alteration.apply(HEAD)["t1ce"].grid
    where_it_was = Grid(altered.shape, np.linalg.inv(alteration.motion) @ altered.affine)
    labels, outside = map_back(Volume(synthetic.truth(where_it_was).data, altered), GRID, alteration.motion)
    assert np.array_equal(labels, synthetic.truth(GRID).data)
    assert outside.size == 0


def test_half_a_voxel_off_is_an_error_and_labels_outside_the_unaltered_grid_are_false():
    off = GRID.affine.copy()
    off[0, 3] += 0.5
    with pytest.raises(ValueError, match="do not fall on"):
        map_back(Volume(synthetic.truth(GRID).data, Grid(GRID.shape, off)), GRID, np.eye(4))
    truth = synthetic.truth(GRID)
    wider = BY_KEY["padded"].change({"t1ce": truth})["t1ce"]
    wider.data[0, 0, 0] = 3
    labels, outside = map_back(wider, GRID, np.eye(4))
    assert outside.tolist() == [3]
    enhancing = int((truth.data == 3).sum())
    assert dice_with_outside(labels, outside, truth.data)["ET"] == pytest.approx(2 * enhancing / (2 * enhancing + 1))


def test_there_are_enough_alterations_and_each_changes_the_files(tmp_path):
    assert len(BY_KEY) == len(alterations()) >= 20
    written = set()
    for key, alteration in BY_KEY.items():
        folder = tmp_path / key
        folder.mkdir()
        alteration.write(alteration.apply(HEAD), folder)
        files = [(file.name, file.read_bytes()) for file in sorted(folder.iterdir())]
        written.add(tuple(files))
        assert files
    assert len(written) == len(BY_KEY)


@pytest.mark.parametrize("key", ["nii", "turned-15", "different-extents", "oriented-each", "mha", "names-letters"])
def test_the_product_gives_the_same_answer_for_the_same_voxels(key, before, segmenter):
    outcome = measure(BY_KEY[key], before, segmenter)
    assert (outcome.dice, outcome.same_input) == ({"WT": 1.0, "TC": 1.0, "ET": 1.0}, True)


def test_normalization_that_outliers_spoil_is_noticed(before, segmenter, monkeypatch):
    def mean_and_deviation(image, brain, out):
        out[brain] = (image[brain] - image[brain].mean()) / image[brain].std()
        return out

    monkeypatch.setattr("training.preparation.prepare.zscore_channel", mean_and_deviation)
    monkeypatch.setattr("training.preparation.prepare.without_outliers", lambda data, _: (data, None))
    spoiled = measure(BY_KEY["hot-3"], before, segmenter)
    assert not spoiled.good
    assert spoiled.dice["ET"] < 0.5


def test_a_labelmap_off_its_reference_or_without_its_forms_is_noticed(before, segmenter, monkeypatch):
    def moved(volume, path):
        affine = volume.grid.affine.copy()
        affine[2, 3] += 1
        return _saved(volume.data, affine, path, "aligned")

    monkeypatch.setattr(measuring, "write_labelmap", moved)
    assert "up to 1.00 mm apart" in measure(BY_KEY["nii"], before, segmenter).fault
    monkeypatch.setattr(
        measuring, "write_labelmap", lambda volume, path: _saved(volume.data, volume.grid.affine, path, "mni")
    )
    assert measure(BY_KEY["nii"], before, segmenter).fault == "the labelmap has sform_code 4, T1ce 1"


def test_a_refusal_is_quoted_without_folders_and_any_other_error_is_a_fault(before, segmenter):
    def cut_off(head, folder):
        BY_KEY["nii"].write(head, folder)
        (folder / "t2.nii").write_bytes((folder / "t2.nii").read_bytes()[:5000])

    def nothing(head, folder):
        return None

    def impossible(head, folder):
        raise ZeroDivisionError("by zero")

    refused = measure(_writing(cut_off), before, segmenter)
    assert refused.refusal.startswith("T2 (t2): t2.nii is cut off")
    assert refused.good
    assert measure(_writing(nothing), before, segmenter).fault == (
        "RuntimeError: 0 cases were found, without a word about it"
    )
    assert measure(_writing(impossible), before, segmenter).fault == "ZeroDivisionError: by zero"


def test_the_table_shows_the_worst_dice_refusals_and_warnings():
    first, second = BY_KEY["nii"], BY_KEY["micron"]
    good = {"WT": 1.0, "TC": 0.99, "ET": 1.0}
    results = {
        "phantom_1": {
            "nii": Outcome(dice=good, same_input=True, warnings=["T1 holds 12 voxels."]),
            "micron": Outcome(refusal="In micrometers."),
        },
        "patient": {"nii": Outcome(dice={**good, "ET": 0.97999}), "micron": Outcome(dice=good)},
    }
    page = markdown(results, [first, second], ["phantom_1"], ["someone was left out."], "Written today.")
    assert "4 altered heads: 2 with the answer" in page
    assert "| .nii | 1.0000 / 0.9900 / 1.0000 | 1.0000 / 0.9900 / **0.9799** | **0.9799** | **changed** |" in page
    assert "| micrometers | refused: 1 of 1 | 1.0000 / 0.9900 / 1.0000 | 0.9900 |  |" in page
    assert "- micrometers (1): In micrometers." in page
    assert "- .nii (1): T1 holds … voxels." in page
    assert "someone was left out." in page


def test_an_interrupted_run_continues_unless_the_code_has_changed(tmp_path):
    record = command.Record(tmp_path / "outcomes.json", "today")
    record.add("phantom_1", "nii", Outcome(dice={"WT": 1.0}))
    again, changed = (command.Record(record.file, code) for code in ("today", "tomorrow"))
    again.load()
    changed.load()
    assert (again.results, changed.results) == (record.results, {})


def test_the_command_leaves_absent_patients_out_with_a_sentence_and_refuses_unknown_alterations(tmp_path, monkeypatch):
    monkeypatch.setenv("TUMORLOOP_CASES", str(tmp_path))
    app = command.typer.Typer()
    app.command()(command.main)
    some = ["--phantoms", "0", "--cases", "TCGA-FG-6692", "--work", str(tmp_path), "--output", str(tmp_path / "t.md")]
    done = CliRunner().invoke(app, some)
    assert done.exit_code == 0, done.output
    assert "TCGA-FG-6692 was left out" in (tmp_path / "t.md").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, [*some, "--alterations", "nii,upside-down"]).exit_code == 2


def _writing(writer) -> Alteration:
    return replace(BY_KEY["nii"], write=writer)


def _saved(data: np.ndarray, affine: np.ndarray, path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, code=code)
    nibabel.save(image, path)
    return path
