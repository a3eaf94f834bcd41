"""The command line: measures raw phantoms, and writes the tables."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from docs.invariance.table import commit, machine
from docs.raw.measure import DEGREES, MILLIMETERS, Outcome, measure, run
from docs.raw.pictures import draw
from docs.raw.table import markdown, put
from training import __version__, atomic
from training.cli.common import out, progress
from training.clock import now
from training.models import BUNDLED_MODELS
from training.models.store import ModelStore
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.prediction.segmenter import Segmenter

_ROOT = Path(__file__).resolve().parents[2]


def main(
    phantoms: Annotated[int, typer.Option(min=1, max=len(FIXED_SEEDS), help="Number of raw phantoms.")] = 40,
    output: Annotated[Path, typer.Option(help="Document whose tables are replaced.")] = Path("build/raw/raw.md"),
    work: Annotated[Path, typer.Option(help="Folder for outcomes and pictures.")] = Path("build/raw"),
    again: Annotated[bool, typer.Option("--again", help="Forget the outcomes of earlier runs.")] = False,
) -> None:
    """Segment raw phantoms from their DICOM files, and compare with what is true.

    A head takes a minute or two on two cores. An interrupted run continues where it was; outcomes are kept until
    `--again`, also if the code has changed.
    """
    file = work / "outcomes.json"
    outcomes = {} if again else _load(file)
    todo = [seed for seed in FIXED_SEEDS[:phantoms] if seed not in outcomes]
    # an empty folder of versions: the bundled model, whatever the user has trained
    with tempfile.TemporaryDirectory() as empty, progress(steps=True, over_seconds=300) as bars:
        segmenter = Segmenter(ModelStore(Path(empty), BUNDLED_MODELS).current())
        task = bars.add_task("phantoms", total=len(todo))
        for seed in todo:
            outcomes[seed] = _one(seed, segmenter, work)
            atomic.write_json(file, {str(key): asdict(value) for key, value in outcomes.items()})
            bars.advance(task)
    version = " ".join(filter(None, [__version__, commit(_ROOT)]))
    about = (
        f"Written by `make raw`: {len(outcomes)} raw phantoms, motion up to {DEGREES:g} degrees and "
        f"{MILLIMETERS:g} mm. TumorLoop {version}, model {segmenter.version.id}, {now()}; {machine()}."
    )
    document = output.read_text(encoding="utf-8") if output.is_file() else "# Raw studies, measured\n"
    atomic.write_text(output, put(document, markdown(dict(sorted(outcomes.items())), about)))
    out.print(f"Written: {output}", soft_wrap=True)


def _one(seed: int, segmenter: Segmenter, work: Path) -> Outcome:
    try:
        made = run(seed, segmenter)
        draw(made, work / "pictures" / f"{seed}.png")
        return measure(made, segmenter)
    except Exception as error:  # noqa: BLE001 (what the table must show)
        return Outcome(fault=" ".join(f"{type(error).__name__}: {error}".split()))


def _load(file: Path) -> dict[int, Outcome]:
    if not file.is_file():
        return {}
    return {int(seed): Outcome(**values) for seed, values in json.loads(file.read_text(encoding="utf-8")).items()}


if __name__ == "__main__":
    typer.run(main)
