"""``python -m server_app check`` says what is wrong, and nothing else."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from server_app.__main__ import commands
from server_app.integrity.findings import ERROR, WARNING
from server_app.integrity.recovery import recover
from tests import synthetic
from tests.server_app.conftest import tree_digest
from tests.server_app.store.conftest import CASES, GRID, UPLOAD, Place


def check(place: Place) -> tuple[int, dict[str, Any]]:
    """Run the command; returns its exit code and its findings."""
    command = ["check", "--studies", str(place.studies), "--workspace", str(place.root), "--model", str(place.model)]
    result = CliRunner().invoke(commands, [*command, "--json"])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.output)


def flip(place: Place, path: str) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray((place.root / path).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (place.root / path).write_bytes(content)


def test_a_sound_workspace_has_no_findings_and_stays_as_it_is(place: Place) -> None:
    before = tree_digest(place.root)
    code, found = check(place)
    assert (code, found["sound"], found["findings"]) == (0, True, [])
    assert found["checked"] == {"lists": 2, "labels": 3, "uploads": 1, "model versions": 3}
    assert tree_digest(place.root) == before


def another_label(place: Place) -> None:
    """Put a label there that is fine by itself, but is not the one that was stored."""
    label = place.workspace.labels / CASES[0] / "v0001" / "label.nii.gz"
    label.write_bytes(gzip.compress(gzip.decompress(label.read_bytes()), 1))


def other_images(place: Place) -> None:
    synthetic.save(synthetic.head(GRID, "t2"), place.studies / CASES[0] / f"{CASES[0]}_t1.nii.gz")


def strange_values(place: Place) -> None:
    label = synthetic.truth(GRID)
    label.data[:] = 7
    synthetic.save(label, place.workspace.labels / CASES[0] / "v0001" / "label.nii.gz")


def redrawn(place: Place) -> None:
    entries = json.loads(place.workspace.split_file.read_text())
    entries[UPLOAD]["split"] = "validation"
    place.workspace.split_file.write_text(json.dumps(entries))


DAMAGE: list[tuple[Callable[[Place], Any], str, str]] = [
    (lambda place: flip(place, f"labels/{CASES[0]}/v0001/label.nii.gz"), f"labels/{CASES[0]}/v0001", "label"),
    (another_label, f"labels/{CASES[0]}/v0001", "hash differs"),
    (lambda place: shutil.rmtree(place.workspace.labels / CASES[0] / "v0001"), f"labels/{CASES[0]}/v0001", "gone"),
    (lambda place: (place.workspace.labels / CASES[0] / "v0002" / "label.json").write_text("{"), "v0002", "label.json"),
    (lambda place: (place.workspace.labels / CASES[0] / "v0002" / "removed.json").write_text(""), "removed", "read"),
    (strange_values, f"labels/{CASES[0]}/v0001", "values from 7 to 7"),
    (other_images, f"case {CASES[0]}", "not those on which v0002 was drawn"),
    (lambda place: flip(place, f"uploads/{UPLOAD}/t1.nii.gz"), f"uploads/{UPLOAD}", "hash differs"),
    (lambda place: (place.root / "uploads" / UPLOAD / "t2.nii.gz").unlink(), f"uploads/{UPLOAD}", "cannot be read"),
    (lambda place: (place.root / "uploads" / UPLOAD / "case.json").unlink(), f"uploads/{UPLOAD}", "case.json"),
    (lambda place: flip(place, "models/v0001/weights.npz"), "models/v0001", ""),
    (lambda place: shutil.rmtree(place.root / "models" / "v0001"), "models/v0001", "no model version"),
    (lambda place: (place.root / "models" / "v0002" / "card.json").write_text("{"), "models/v0002", "card"),
    (lambda place: (place.root / "models" / "current.json").write_text("{"), "models/current.json", "cannot be read"),
    (lambda place: place.workspace.split_file.write_text("[]"), "split.json", "cannot be read"),
    (redrawn, f"labels/{UPLOAD}/v0001", "split.json was changed"),
    (lambda place: place.workspace.case_ids.write_text("{"), "cases.json", "cannot be read"),
]


@pytest.mark.parametrize(("damage", "what", "why"), DAMAGE)
def test_damage_is_found_named_and_left_alone(
    place: Place, damage: Callable[[Place], Any], what: str, why: str
) -> None:
    damage(place)
    before = tree_digest(place.root)
    code, found = check(place)
    errors = [finding for finding in found["findings"] if finding["severity"] == ERROR]
    assert code == 1
    assert any(what in error["what"] and why in error["message"] for error in errors), errors
    assert tree_digest(place.root) == before


def test_a_case_that_is_not_there_now_is_a_warning(place: Place) -> None:
    shutil.rmtree(place.studies / CASES[0])
    code, found = check(place)
    assert code == 0
    assert [(finding["severity"], finding["what"]) for finding in found["findings"]] == [
        (WARNING, f"labels/{CASES[0]}")
    ]


def test_what_was_set_aside_stays_in_sight(place: Place) -> None:
    (place.workspace.labels / CASES[0] / "v0002" / "label.json").write_text("{")
    assert check(place)[0] == 1
    recover(place.workspace, place.models)
    code, found = check(place)
    assert code == 0
    (finding,) = found["findings"]
    assert finding["what"] == f"labels/{CASES[0]}/v0002"
    assert "label.json" in finding["message"]


def test_people_read_sentences(place: Place) -> None:
    command = ["check", "--studies", str(place.studies), "--workspace", str(place.root), "--model", str(place.model)]
    assert "Checked 2 lists, 3 labels" in CliRunner().invoke(commands, command).output
    flip(place, "uploads/patient-7/t1.nii.gz")
    result = CliRunner().invoke(commands, command)
    assert result.exit_code == 1
    assert "error: uploads/patient-7: Its images are not those that were sent" in result.output


def test_a_folder_without_a_workspace_is_told(place: Place) -> None:
    result = CliRunner().invoke(commands, ["check", "--studies", str(place.studies), "--workspace", "/nowhere"])
    assert result.exit_code == 2
    assert "There is no workspace at /nowhere" in result.output
