"""``python -m server_app check`` says what is wrong, and changes nothing."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server_app.__main__ import commands
from server_app.integrity.findings import ERROR, WARNING
from server_app.integrity.recovery import recover
from tests import synthetic
from tests.server_app.conftest import tree_digest
from tests.server_app.server_files import CASES, GRID, UPLOAD, ServerFiles

Damage = Callable[[ServerFiles], Any]
LABEL, UPLOADED = f"labels/{CASES[0]}", f"uploads/{UPLOAD}"


def run_check(files: ServerFiles, *options: str) -> Result:
    command = ["check", "--studies", str(files.studies), "--workspace", str(files.root), "--model", str(files.model)]
    return CliRunner().invoke(commands, [*command, *options])


def check(files: ServerFiles) -> tuple[int, dict[str, Any]]:
    result = run_check(files, "--json")
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.output)


def flip(path: str) -> Damage:
    """Change one byte in the middle of a file."""

    def damage(files: ServerFiles) -> None:
        content = bytearray((files.root / path).read_bytes())
        content[len(content) // 2] ^= 0xFF
        (files.root / path).write_bytes(content)

    return damage


def write(path: str, content: str) -> Damage:
    return lambda files: (files.root / path).write_text(content)


def remove(path: str) -> Damage:
    def damage(files: ServerFiles) -> None:
        whole = files.root / path
        shutil.rmtree(whole) if whole.is_dir() else whole.unlink()

    return damage


def another_label(files: ServerFiles) -> None:
    """Put a label there that is fine by itself, but is not the one that was stored."""
    label = files.root / LABEL / "v0001" / "label.nii.gz"
    label.write_bytes(gzip.compress(gzip.decompress(label.read_bytes()), 1))


def other_images(files: ServerFiles) -> None:
    synthetic.save(synthetic.head(GRID, "t2"), files.studies / CASES[0] / f"{CASES[0]}_t1.nii.gz")


def unknown_values(files: ServerFiles) -> None:
    label = synthetic.truth(GRID)
    label.data[:] = 7
    synthetic.save(label, files.root / LABEL / "v0001" / "label.nii.gz")


def another_split(files: ServerFiles) -> None:
    entries = json.loads(files.workspace.split_file.read_text())
    entries[UPLOAD]["split"] = "validation"
    files.workspace.split_file.write_text(json.dumps(entries))


@pytest.mark.parametrize(
    ("damage", "what", "why"),
    [
        (flip(f"{LABEL}/v0001/label.nii.gz"), f"{LABEL}/v0001", "label"),
        (another_label, f"{LABEL}/v0001", "hash differs"),
        (remove(f"{LABEL}/v0001"), f"{LABEL}/v0001", "missing"),
        (write(f"{LABEL}/v0002/label.json", "{"), "v0002", "label.json"),
        (write(f"{LABEL}/v0002/removed.json", ""), "removed", "read"),
        (unknown_values, f"{LABEL}/v0001", "values from 7 to 7"),
        (other_images, f"case {CASES[0]}", "not those on which v0002 was drawn"),
        (flip(f"{UPLOADED}/t1.nii.gz"), UPLOADED, "hash differs"),
        (remove(f"{UPLOADED}/t2.nii.gz"), UPLOADED, "cannot be read"),
        (remove(f"{UPLOADED}/case.json"), UPLOADED, "case.json"),
        (flip("models/v0001/weights.npz"), "models/v0001", ""),
        (remove("models/v0001"), "models/v0001", "no model version"),
        (write("models/v0002/card.json", "{"), "models/v0002", "card"),
        (write("models/current.json", "{"), "models/current.json", "cannot be read"),
        (write("split.json", "[]"), "split.json", "cannot be read"),
        (another_split, f"labels/{UPLOAD}/v0001", "split.json was changed"),
        (write("cases.json", "{"), "cases.json", "cannot be read"),
    ],
)
def test_damage_is_found_named_and_left_alone(files: ServerFiles, damage: Damage, what: str, why: str) -> None:
    damage(files)
    before = tree_digest(files.root)
    code, found = check(files)
    errors = [finding for finding in found["findings"] if finding["severity"] == ERROR]
    assert code == 1
    assert any(what in error["what"] and why in error["message"] for error in errors), errors
    assert tree_digest(files.root) == before


def test_a_missing_case_and_a_label_that_was_set_aside_are_warnings(files: ServerFiles) -> None:
    write(f"{LABEL}/v0002/label.json", "{")(files)
    assert check(files)[0] == 1
    recover(files.workspace, files.models)
    code, found = check(files)
    (set_aside,) = found["findings"]
    assert (code, set_aside["what"]) == (0, f"{LABEL}/v0002")
    assert "label.json" in set_aside["message"]
    shutil.rmtree(files.studies / CASES[0])
    code, found = check(files)
    warnings = {(finding["severity"], finding["what"]) for finding in found["findings"]}
    assert (code, warnings) == (0, {(WARNING, LABEL), (set_aside["severity"], f"{LABEL}/v0002")})


def test_a_sound_workspace_has_no_findings_and_stays_as_it_is_and_findings_are_sentences(files: ServerFiles) -> None:
    before = tree_digest(files.root)
    code, found = check(files)
    assert (code, found["sound"], found["findings"]) == (0, True, [])
    assert found["checked"] == {"lists": 2, "labels": 3, "uploads": 1, "model versions": 3}
    assert "Checked 2 lists, 3 labels" in run_check(files).output
    assert tree_digest(files.root) == before
    flip(f"{UPLOADED}/t1.nii.gz")(files)
    result = run_check(files)
    assert result.exit_code == 1
    assert f"error: {UPLOADED}: Its images are not those that were uploaded" in result.output
    missing = run_check(files, "--workspace", "/nowhere")
    assert missing.exit_code == 2
    assert "There is no workspace at /nowhere" in missing.output
