"""Checking the content of a workspace against the hashes that were recorded when it was stored; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from server_app.cases.case_ids import CaseIds, images_digest, parse_case_ids
from server_app.cases.catalog import Catalog
from server_app.cases.uploads import Uploads
from server_app.common.quarantine import Quarantine
from server_app.integrity.findings import Findings
from server_app.integrity.recovery import TOMBSTONE, problem_of_label, problem_of_promotions
from server_app.labels.split import parse_split
from server_app.labels.store import LABEL_FILE, RECORD_FILE, LabelStore, LabelVersion, read_object, version_folders
from server_app.workspace import Workspace
from training.cases.case import Case
from training.errors import InputError
from training.hashes import file_sha256
from training.images.read import read_labelmap
from training.models.store import ModelStore


def check_workspace(studies: Path, workspace: Workspace, models: ModelStore) -> Findings:
    """Check labels, uploads, model versions, and the lists of cases and patients; the server may be running."""
    findings = Findings()
    _check_lists(workspace, findings)
    cases = _cases(studies, workspace, findings)
    _check_labels(workspace, cases, findings)
    _check_uploads(workspace, findings)
    _check_models(models, findings)
    for entry in Quarantine.of(workspace.root).entries():
        text = f"{entry.get('why')} {entry.get('done')}".strip()
        findings.warning(str(entry.get("what")), f"Moved to the quarantine or repaired on {entry.get('time')}: {text}")
    return findings


def _check_lists(workspace: Workspace, findings: Findings) -> None:
    """Check the lists that a server rebuilds if necessary."""
    for path, parse in ((workspace.split_file, parse_split), (workspace.case_ids, parse_case_ids)):
        findings.checked["lists"] += 1
        try:
            parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            findings.error(path.name, f"It cannot be read: {error}. A server rebuilds it from the labels.")
    for path in sorted(workspace.notes.glob("*.json")) if workspace.notes.is_dir() else []:
        with findings.reading(f"notes/{path.name}"):
            if read_object(path) is None:
                findings.error(f"notes/{path.name}", "It cannot be read.")


def _cases(studies: Path, workspace: Workspace, findings: Findings) -> dict[str, Case]:
    ids = CaseIds(workspace.case_ids, LabelStore(workspace.labels), read_only=True)
    catalog = Catalog(studies, Uploads(workspace.uploads), workspace.cache, ids)
    for problem in catalog.problems(wait_seconds=None):
        findings.warning(f"studies: {problem['path']}", problem["message"])
    return catalog.all()


def _check_labels(workspace: Workspace, cases: Mapping[str, Case], findings: Findings) -> None:
    store = LabelStore(workspace.labels)
    split = _split(workspace)
    for case in store.cases():
        folders = version_folders(workspace.labels / case)
        _check_numbers(case, [int(folder.name[1:]) for folder in folders], findings)
        for folder in folders:
            if not (folder / TOMBSTONE).exists():  # those are in the quarantine's report
                findings.checked["labels"] += 1
                with findings.reading(f"labels/{case}/{folder.name}"):
                    _check_label(case, folder, findings)
        versions = store.versions(case)
        _check_split(versions, split, findings)
        if case not in cases:
            findings.warning(f"labels/{case}", "There is no case with this id now; its labels are kept for it.")
        elif versions:
            _check_images(versions[-1], cases[case], findings)


def _split(workspace: Workspace) -> dict[str, dict[str, str]]:
    try:
        return parse_split(workspace.split_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _check_split(versions: Sequence[LabelVersion], split: Mapping[str, Mapping[str, str]], findings: Findings) -> None:
    for label in versions:
        noted, entry = label.record.get("split"), split.get(str(label.record.get("patient")))
        if noted is not None and entry is not None and entry["split"] != noted:
            message = (
                f"It was stored for {noted}, but its patient is assigned to {entry['split']}: split.json was changed."
            )
            findings.error(f"labels/{label.case}/{label.version}", message)


def _check_numbers(case: str, numbers: list[int], findings: Findings) -> None:
    for number in sorted(set(range(1, max(numbers, default=0))) - set(numbers)):
        findings.error(f"labels/{case}/v{number:04d}", "This version is missing, but a later one exists.")


def _check_label(case: str, folder: Path, findings: Findings) -> None:
    what = f"labels/{case}/{folder.name}"
    problem = problem_of_label(folder)
    if problem is not None:
        findings.error(what, f"{problem} A server moves it to the quarantine when it starts.")
        return
    record = read_object(folder / RECORD_FILE) or {}
    for name in ("removed.json", "notes.json"):
        if (folder / name).exists() and read_object(folder / name) is None:
            findings.error(f"{what}/{name}", "It cannot be read.")
    try:
        digest = file_sha256(folder / LABEL_FILE)
        values = read_labelmap(folder / LABEL_FILE).data
    except InputError as error:
        findings.error(what, f"The label cannot be read: {error}. Restore it from a backup.")
        return
    if record.get("file_sha256") not in (None, digest):
        findings.error(what, "The label is not the file that was stored: its hash differs. Restore it from a backup.")
    if values.min() < 0 or values.max() > 3:
        findings.error(what, f"The label has values from {values.min()} to {values.max()}; 0 to 3 are known.")


def _check_images(label: LabelVersion, case: Case, findings: Findings) -> None:
    noted = label.record.get("images")
    try:
        same = noted is None or noted == images_digest(case)
    except InputError as error:
        findings.error(f"case {case.id}", f"Its images cannot be read: {error}")
        return
    if not same:
        findings.error(
            f"case {case.id}", f"Its images are not those on which {label.version} was drawn. Check the label."
        )


def _check_uploads(workspace: Workspace, findings: Findings) -> None:
    folders = sorted(workspace.uploads.iterdir()) if workspace.uploads.is_dir() else []
    readable = {case.id: case for case in Uploads(workspace.uploads).cases()}
    for folder in folders:
        if folder.name.startswith("."):
            continue
        findings.checked["uploads"] += 1
        with findings.reading(f"uploads/{folder.name}"):
            _check_upload(folder, readable.get(folder.name), findings)


def _check_upload(folder: Path, case: Case | None, findings: Findings) -> None:
    what, record = f"uploads/{folder.name}", read_object(folder / "case.json")
    if record is None or case is None:
        findings.error(
            what, "case.json is missing or cannot be read. A server repairs it or moves it to the quarantine."
        )
        return
    try:
        if images_digest(case) != record.get("sha256"):
            findings.error(what, "Its images are not those that were uploaded: the hash differs.")
    except InputError as error:
        findings.error(what, f"Its images cannot be read: {error}")


def _check_models(models: ModelStore, findings: Findings) -> None:
    problem = problem_of_promotions(models)
    if problem is not None:
        findings.error("models/current.json", f"{problem} A server rebuilds it from the versions' cards.")
    promoted = {promotion["version"] for promotion in models.history()} if problem is None else set()
    for version in sorted({*promoted, *models.ids()}):
        findings.checked["model versions"] += 1
        try:
            found = models.get(version)
            found.load_weights()
            if found.card.weights_sha256 not in ("", found.weights_sha256()):
                findings.error(f"models/{version}", "The weights are not those that were stored: the hash differs.")
        except (InputError, OSError) as error:
            findings.error(f"models/{version}", f"It cannot be used: {error}")
