"""``learning-curve``: measure what corrected cases of a hospital gain on its unseen cases, and cost elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.cases import PatientsOption, labeled_cases
from training.cli.common import (
    ModelsOption,
    VersionOption,
    chosen_version,
    out,
    progress,
    retrain_config,
    unusable_setting,
)
from training.cli.labels import LabelSchemeOption
from training.cli.ray import RayCpusOption, RayOption, cluster, training_gigabytes
from training.cli.resumable import told_when_stopped, work_progress
from training.errors import InputError
from training.parallel import available_cores

if TYPE_CHECKING:
    from training.learning.hospital import Hospital
    from training.learning.settings import CurveSettings


def learning_curve(
    cases: Annotated[
        list[str] | None,
        typer.Option(
            "--cases",
            "-c",
            metavar="[NAME=]FOLDER",
            help="A hospital: a folder of labeled cases, and its name in the report (default: that of the folder). May "
            "be given several times.",
            show_default=False,
        ),
    ] = None,
    made: Annotated[
        str, typer.Option(help="Made hospitals: protocol,habit,surgery,poor-flair or some of them; none for none.")
    ] = "protocol,habit,surgery,poor-flair",
    made_cases: Annotated[int, typer.Option(min=2, help="Cases of each made hospital.")] = 12,
    only: Annotated[
        str, typer.Option(help="Correct cases of these hospitals only, and measure the others.", show_default="all")
    ] = "",
    counts: Annotated[str, typer.Option(help="Numbers of corrected cases to measure after; a retraining each.")] = (
        "0,1,2,4,8"
    ),
    orders: Annotated[int, typer.Option(min=1, help="Orders of the cases; more can be added later.")] = 3,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="How the next case is chosen: random, stratified, least-sure, noisy-entropy. May be given several "
            "times; more can be added later.",
            show_default="random",
        ),
    ] = None,
    unseen: Annotated[int, typer.Option(min=1, help="Patients of a hospital that stay unseen in an order.")] = 4,
    others: Annotated[int, typer.Option(min=0, help="Cases of each other hospital to measure on.")] = 2,
    phantoms: Annotated[int, typer.Option(min=0, help="Fixed phantoms to measure on.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the robot that corrects.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the retraining, such as learning_rate=1e-4.",
            show_default=False,
        ),
    ] = None,
    model: VersionOption = None,
    work: Annotated[
        Path, typer.Option(help="Folder for cases, models and finished stages; the same command resumes from it.")
    ] = Path("learning-curve"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The page to write (.md), with .json and images/ beside it; replaced if it exists. "
            "Default: learning.md in --work.",
            show_default=False,
        ),
    ] = None,
    patients: PatientsOption = None,
    models: ModelsOption = None,
    label_scheme: LabelSchemeOption = None,
    ray: RayOption = None,
    ray_cpus: RayCpusOption = 0,
) -> None:
    """Measure the learning curve: Dice of unseen cases against the number of corrected ones.

    For each hospital and order, a robot corrects the model's answers case by case, and a retraining as on the server
    follows. It takes hours: each retraining takes minutes, and there is one for each hospital, strategy, order and
    count.

    **Examples**

    `python -m training learning-curve --made habit --orders 1 --counts 0,1,2`

    `python -m training learning-curve --cases tcga=studies --made none --set learning_rate=1e-4 --strategy random`
    """
    from training.learning.curve import LearningCurve
    from training.learning.elsewhere import run_lines
    from training.learning.learned import draw_learned
    from training.learning.report import report_of, write_curve

    page = output or work / "learning.md"
    if page.suffix.lower() != ".md":
        raise InputError(f"The page must be a .md file; it is {page.name!r}.", field="output")
    settings = _settings(counts, orders, strategy, unseen=unseen, others=others, phantoms=phantoms, seed=seed)
    config = retrain_config(_pairs(set_ or []))
    parent = chosen_version(models, model)
    hospitals = [_real(text, patients, label_scheme) for text in cases or []]
    stopped = f"Stopped. All finished stages and epochs are kept in {work}; the same command resumes."
    with told_when_stopped(stopped):
        hospitals += _made(_names(made) if made != "none" else [], made_cases, work)
        if not hospitals:
            raise InputError("Give a hospital: --cases FOLDER, or --made with names.", field="cases")
        need = training_gigabytes(parent.card.network, config)
        cpus = ray_cpus or available_cores()
        with (
            cluster(ray, gigabytes=need, cpus=cpus, shared=work) as connected,
            work_progress() as report,
        ):
            curve = LearningCurve(
                parent,
                hospitals,
                settings=settings,
                config=config,
                work_dir=work,
                only=_names(only),
                on_progress=report,
            )
            if connected is not None:
                run_lines(curve, tuple(_names(only)), connected, curve.tell_line)
            stages = curve.run()
            learned = draw_learned(curve, page.parent / "images")
    for path in write_curve(report_of(curve, stages, learned), page):
        out.print(str(path), soft_wrap=True, markup=False)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pairs(texts: list[str]) -> dict[str, str]:
    """Return the settings given as NAME=VALUE."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(
                f"Give a setting as NAME=VALUE, such as learning_rate=1e-4; {text!r} is none.", field="set"
            )
        pairs[name.strip()] = value.strip()
    return pairs


def _settings(counts: str, orders: int, strategies: list[str] | None, **numbers: int) -> CurveSettings:
    from pydantic import ValidationError

    from training.learning.settings import CurveSettings

    try:
        return CurveSettings(
            counts=tuple(_names(counts)),
            orders=orders,
            strategies=tuple(dict.fromkeys(strategies or ["random"])),
            **numbers,
        )
    except ValidationError as error:
        raise unusable_setting(error) from error


def _real(text: str, patients: Path | None, label_scheme: str | None) -> Hospital:
    """Return the hospital of ``NAME=FOLDER`` or ``FOLDER``."""
    from training.cases.names import slug
    from training.learning.hospital import Hospital

    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        name, rest = slug(Path(text).absolute().name)[:40], text
    found = labeled_cases([Path(rest)], patients=patients, split=True, label_scheme=label_scheme)
    failures = found.failures()
    if failures.entries:
        failures.finish(0, "used")  # it is told before hours of training
    return Hospital(name, tuple(found.cases), "labeled cases of patients")


def _made(names: list[str], count: int, work: Path) -> list[Hospital]:
    """Make the heads of the made hospitals that are not there yet."""
    from training.learning.made import make_hospital

    hospitals = []
    with progress(steps=True) as bars:
        task = bars.add_task("making heads", total=count * len(names))
        for number, name in enumerate(names):

            def report(ready: int, before: int = number * count, name: str = name) -> None:
                bars.update(task, description=f"making heads of {name}", completed=before + ready)

            report(0)
            hospitals.append(make_hospital(name, work / "made", count, on_progress=report))
        bars.update(task, description="made heads", completed=count * len(names))
    return hospitals
