"""The command line: measures all alterations on phantoms and patients, and writes the table."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from docs.invariance.alteration import Alteration
from docs.invariance.catalog import alterations
from docs.invariance.measure import Outcome, RememberingSegmenter, measure, unaltered
from docs.invariance.table import commit, machine, markdown, verdict
from training import __version__, atomic
from training.cases.case import Case
from training.cases.find import case_from_folder
from training.cli.common import err, out, progress
from training.clock import now
from training.hashes import file_sha256
from training.models import BUNDLED_MODELS
from training.models.store import ModelStore
from training.phantoms.files import write_case
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.phantoms.generate import generate

#: Patients below the folder of real cases.
PATIENTS = ("TCGA-FG-6692", "brats_tcga/Brats18_TCIA01_499_1")
_ROOT = Path(__file__).resolve().parents[2]
_DEFAULT_CASES = _ROOT / ".." / "shared" / "cases"


@dataclass
class Record:
    """All outcomes so far, kept in a file, so that an interrupted run continues.

    Attributes:
        file: Where they are kept.
        code: Hash of the code and of the model; outcomes of another one are dropped.
        results: By case and key of the alteration.
    """

    file: Path
    code: str
    results: dict[str, dict[str, Outcome]] = field(default_factory=dict)

    def load(self) -> None:
        """Read the outcomes of an earlier run of the same code."""
        if self.file.is_file():
            content = json.loads(self.file.read_text(encoding="utf-8"))
            if content["code"] == self.code:
                kept = content["results"].items()
                self.results = {case: {key: Outcome(**value) for key, value in row.items()} for case, row in kept}

    def add(self, case: str, key: str, outcome: Outcome) -> None:
        """Keep one outcome."""
        self.results.setdefault(case, {})[key] = outcome
        rows = {name: {one: asdict(value) for one, value in row.items()} for name, row in self.results.items()}
        atomic.write_json(self.file, {"code": self.code, "results": rows})


def main(
    phantoms: Annotated[int, typer.Option(min=0, max=len(FIXED_SEEDS), help="Number of phantoms.")] = 5,
    cases: Annotated[str, typer.Option(help="Patients below $TUMORLOOP_CASES, comma-separated.")] = ",".join(PATIENTS),
    only: Annotated[str, typer.Option("--alterations", help="Keys of some alterations, comma-separated.")] = "",
    output: Annotated[Path, typer.Option(help="The table.")] = Path("build/invariance/invariance.md"),
    work: Annotated[Path, typer.Option(help="Folder for phantoms and outcomes.")] = Path("build/invariance"),
) -> None:
    """Alter the files of phantoms and patients in ways that must not change the answer, and compare the answers.

    Ends with exit code 1 if an answer changed. An interrupted run continues where it was, unless the code has changed.
    """
    chosen = _chosen(only)
    patients, notes = _patients([name for name in cases.split(",") if name])
    synthetic = [f"phantom_{seed}" for seed in FIXED_SEEDS[:phantoms]]
    heads = {name: partial(_phantom, name, work / "phantoms") for name in synthetic}
    heads |= {name: partial(case_from_folder, folder) for name, folder in patients.items()}
    # an empty folder of versions: the bundled model, whatever the user has trained
    with tempfile.TemporaryDirectory() as empty:
        segmenter = RememberingSegmenter(ModelStore(Path(empty), BUNDLED_MODELS).current())
        record = Record(work / "outcomes.json", _code_hash(segmenter.version.id))
        record.load()
        _measure_all(heads, chosen, segmenter, record)
    results = {name: {one.key: record.results[name][one.key] for one in chosen} for name in heads}
    version = " ".join(filter(None, [__version__, commit(_ROOT)]))
    about = f"Written by `make invariance`. TumorLoop {version}, model {segmenter.version.id}, {now()}; {machine()}."
    atomic.write_text(output, markdown(results, chosen, synthetic, notes, about))
    _print(results, notes, output)
    raise typer.Exit(0 if all(outcome.good for row in results.values() for outcome in row.values()) else 1)


def _measure_all(
    heads: Mapping[str, Callable[[], Case]],
    chosen: Sequence[Alteration],
    segmenter: RememberingSegmenter,
    record: Record,
) -> None:
    """Measure what is not yet in the record."""
    with progress(steps=True, over_seconds=300) as bars:
        task = bars.add_task("", total=len(heads) * len(chosen))
        for name, open_case in heads.items():
            todo = [one for one in chosen if one.key not in record.results.get(name, {})]
            bars.update(task, advance=len(chosen) - len(todo), description=name)
            if not todo:
                continue
            before = unaltered(open_case(), segmenter)
            for alteration in todo:
                bars.update(task, description=f"{name}: {alteration.key}")
                record.add(name, alteration.key, measure(alteration, before, segmenter))
                bars.advance(task)


def _chosen(only: str) -> list[Alteration]:
    known = {one.key: one for one in alterations()}
    keys = [key.strip() for key in only.split(",") if key.strip()] or list(known)
    unknown = [key for key in keys if key not in known]
    if unknown:
        err.print(f"There is no alteration {unknown[0]!r}; known are {', '.join(known)}.", style="red", markup=False)
        raise typer.Exit(2)
    return [known[key] for key in keys]


def _patients(names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the folders of the patients that are there, and a sentence for each that is not."""
    folder = Path(os.environ.get("TUMORLOOP_CASES") or _DEFAULT_CASES).resolve()
    found: dict[str, Path] = {}
    notes: list[str] = []
    for name in names:
        if (folder / name).is_dir():
            found[Path(name).name] = folder / name
        else:
            notes.append(f"{Path(name).name} was left out: it is not in the folder of real cases ($TUMORLOOP_CASES).")
    return found, notes


def _phantom(name: str, folder: Path) -> Case:
    if not (folder / name).is_dir():
        write_case(generate(int(name.rpartition("_")[2])), folder, name)
    return case_from_folder(folder / name)


def _code_hash(model: str) -> str:
    """Return a hash of the code that is measured and that measures."""
    import hashlib

    digest = hashlib.sha256(model.encode())
    for package in ("training", "docs/invariance"):
        for file in sorted((_ROOT / package).rglob("*.py")):
            digest.update(file_sha256(file).encode())
    for file in sorted(path for path in BUNDLED_MODELS.rglob("*") if path.is_file()):
        digest.update(file_sha256(file).encode())
    return digest.hexdigest()


def _print(results: dict[str, dict[str, Outcome]], notes: Sequence[str], output: Path) -> None:
    for name, row in results.items():
        for key, outcome in row.items():
            if not outcome.good:
                said = [outcome.fault] if outcome.fault else []
                said += [f"{region} {value:.4f}" for region, value in outcome.dice.items()]
                out.print(f"{name}, {key}: {', '.join(said)}", style="red", markup=False, soft_wrap=True)
    for note in notes:
        out.print(note, style="yellow", markup=False, soft_wrap=True)
    out.print(verdict(results), soft_wrap=True)
    out.print(f"Written: {output}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
