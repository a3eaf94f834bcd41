"""``fit``: train a model and store it as a new version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from training.cli.cases import PatientsOption, labeled_cases
from training.cli.common import ModelsOption, open_store, out, progress, tell_how_to_use, time_limit
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import Failures
from training.errors import InputError
from training.hashes import file_sha256
from training.retraining.split import VALIDATION_SHARE, is_validation

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.fitting.config import FitConfig, FitProgress, FitResult
    from training.models.store import ModelStore, ModelVersion, SeenCase
    from training.models.weights import Weights
    from training.network.unet import UNetConfig
    from training.preparation.store import PreparedCase


def fit(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Train with a recipe: the name of a bundled one (base), or the path of a TOML file. It determines "
            "everything but --work, --workers, --devices, --minutes, --models, --promote, --description and --bundle.",
            show_default=False,
        ),
    ] = None,
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", "-c", help="Folder of labeled cases; may be given several times.", show_default=False),
    ] = None,
    phantoms: Annotated[int, typer.Option(min=0, help="Number of synthetic cases to add.")] = 0,
    start: Annotated[
        str, typer.Option(help="Initial weights: scratch, current, or a version such as v0002.")
    ] = "scratch",
    epochs: Annotated[int, typer.Option(min=1, help="Maximum number of epochs.")] = 50,
    steps: Annotated[int, typer.Option(min=1, help="Batches per epoch.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches per batch.")] = 2,
    patch: Annotated[int, typer.Option(min=16, help="Side of a patch in voxels, a multiple of 16.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of the cosine schedule.")] = 2e-3,
    base_filters: Annotated[int, typer.Option(min=1, help="Width of a network trained from scratch.")] = 16,
    validation: Annotated[
        float,
        typer.Option(min=0.0, max=0.9, help="Fraction of patients held out for validation, by a hash of their id."),
    ] = VALIDATION_SHARE,
    average: Annotated[
        float, typer.Option(min=0.0, max=0.9999, help="Momentum of a moving average of the weights; 0 for none.")
    ] = 0.0,
    patience: Annotated[
        int, typer.Option(min=0, help="Epochs without improvement before early stopping; 0 for none.")
    ] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Threads that prepare batches.")] = 1,
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs that share each batch; more than one needs KERAS_BACKEND=jax.")
    ] = 1,
    minutes: Annotated[
        float,
        typer.Option(
            min=0,
            help="Stop after this many minutes of training, counted from the first batch, and keep the best weights so "
            "far; the same command resumes. 0 for no limit.",
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, patches and augmentation.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")] = "auto",
    work: Annotated[
        Path, typer.Option(help="Folder for prepared cases and the checkpoint; the same command resumes from it.")
    ] = Path("training-work"),
    promote: Annotated[bool, typer.Option(help="Make the new version the current one.")] = False,
    description: Annotated[str, typer.Option(help="One sentence for the model card.")] = "",
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="With --recipe: also write the model to this new folder in the form of the bundled model "
            "(half precision, version v0000).",
            show_default=False,
        ),
    ] = None,
    patients: PatientsOption = None,
    models: ModelsOption = None,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Train on labeled cases, synthetic ones, or both, and store the result as a new model version.

    An interrupted run resumes when the same command is given again. A case that cannot be used does not stop the
    others: it is listed at the end, and the exit code is 1. With a recipe, training runs in stages; the folder `--work`
    can be copied to another machine and continued there, also with `KERAS_BACKEND=jax`.

    **Examples**

    `python -m training fit --cases BraTS2020/training --epochs 100 --promote`

    `python -m training fit --phantoms 200 --epochs 20 --steps 50`

    `python -m training fit --recipe base --work base-work --promote`

    On a GPU that is lent for a short time (the phantoms are generated on all cores first, and kept):

    `KERAS_BACKEND=jax python -m training fit --recipe base --work base-work --workers 12 --minutes 12`
    """
    if recipe is not None:
        from training.cli.fit_recipe import fit_recipe

        return fit_recipe(
            context,
            recipe,
            work=work,
            workers=workers,
            devices=devices,
            minutes=minutes,
            promote=promote,
            description=description,
            bundle=bundle,
            models=models,
        )
    if bundle is not None:
        raise InputError("--bundle requires --recipe.", field="bundle")
    from pydantic import ValidationError

    from training.fitting.config import FitConfig
    from training.network.unet import UNetConfig

    store = open_store(models)
    parent = None if start == "scratch" else store.current() if start == "current" else store.get(start)
    network = parent.card.network if parent else UNetConfig(base_filters=base_filters)
    try:
        config = FitConfig(
            max_epochs=epochs,
            steps_per_epoch=steps,
            batch_size=batch_size,
            patch=(patch, patch, patch),
            learning_rate=learning_rate,
            average=average,
            early_stop_patience=patience,
            workers=workers,
            seed=seed,
            precision=precision,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(str(first["msg"]), field=str(first["loc"][0])) from error
    found = labeled_cases(cases, patients=patients, split=validation > 0, label_scheme=label_scheme)
    known = {case.id: case for case in found.cases}
    failures = found.failures()
    ready = _prepare(found.cases, phantoms, network, work, failures)
    held_out = [case for case in ready if is_validation(_patient(case, known), validation)]
    train = [case for case in ready if case not in held_out]
    if not train:
        failures.finish(0, "prepared")
        if held_out:
            raise InputError(
                f"All {len(held_out)} cases are held out for validation. Give more patients, or --validation 0.",
                field="validation",
            )
        raise InputError("There is no labeled case to train on. Give --cases or --phantoms.", field="cases")
    result = _run(config, network, train, held_out, work, parent.load_weights() if parent else None, devices, minutes)
    seen = [_seen(case, known, "train") for case in train] + [_seen(case, known, "validation") for case in held_out]
    version = _store(store, result, config, network, parent, seen, description)
    if promote:
        store.promote(version.id, "promoted by the fit command")
    _print(version, result, promoted=promote)
    failures.finish(len(ready), "prepared")


def _prepare(
    labeled: list[Case], phantoms: int, network: UNetConfig, work: Path, failures: Failures
) -> list[PreparedCase]:
    from training.preparation.prepare_cases import prepare_cases
    from training.preparation.store import PreparedStore, prepare_phantoms

    store = PreparedStore(work / "prepared")
    ready: list[PreparedCase] = []
    with progress(steps=True) as bars:
        if labeled:
            task = bars.add_task("preparing cases", total=len(labeled))
            ready, failed = prepare_cases(
                labeled, store, stride=network.stride, on_progress=lambda done, _: bars.update(task, completed=done)
            )
            for case, message in failed.items():
                failures.add(case, InputError(message.removeprefix(f"{case}: ")))
        if phantoms:
            other = bars.add_task("generating phantoms", total=phantoms)
            ready += prepare_phantoms(
                store, range(phantoms), on_progress=lambda done, _: bars.update(other, completed=done)
            )
            bars.update(other, completed=phantoms)
    return ready


def _run(
    config: FitConfig,
    network: UNetConfig,
    train: list[PreparedCase],
    held_out: list[PreparedCase],
    work: Path,
    weights: Weights | None,
    devices: int,
    minutes: float,
) -> FitResult:
    from training.fitting.fit import fit as run

    with progress() as bars:
        task = bars.add_task("starting", total=config.max_epochs * config.steps_per_epoch)

        def report(at: FitProgress) -> None:
            best = f", best Dice {at.best_metric:.3f}" if at.best_metric >= 0 else ""
            bars.update(
                task,
                completed=at.epoch * at.steps + (at.step if at.step < at.steps else 0),
                description=f"epoch {min(at.epoch + 1, at.total_epochs)}/{at.total_epochs}, loss {at.loss:.3f}{best}",
            )

        return run(
            config,
            network,
            train,
            held_out,
            work_dir=work,
            start=weights,
            devices=devices,
            on_progress=report,
            should_stop=time_limit(minutes),
        )


def _patient(case: PreparedCase, known: dict[str, Case]) -> str:
    return known[case.id].patient if case.id in known else case.id


def _seen(case: PreparedCase, known: dict[str, Case], split: str) -> SeenCase:
    from training.models.store import SeenCase

    label = known[case.id].label if case.id in known else case.label_path
    assert label is not None
    return SeenCase(case=case.id, patient=_patient(case, known), label_sha256=file_sha256(label), split=split)


def _store(
    store: ModelStore,
    result: FitResult,
    config: FitConfig,
    network: UNetConfig,
    parent: ModelVersion | None,
    seen: list[SeenCase],
    description: str,
) -> ModelVersion:
    from training.models.store import ModelCard

    card = ModelCard(
        parent=parent.id if parent else None,
        description=description or f"Trained on {sum(case.split == 'train' for case in seen)} cases.",
        network=network,
        data=seen,
        attribution=parent.card.attribution if parent else "",
        training={"settings": config.model_dump(mode="json"), "epochs": result.epochs, "history": result.history},
        metrics={"validation_mean_dice": result.best_metric} if result.best_metric >= 0 else {},
    )
    return store.add(result.weights, card)


def _print(version: ModelVersion, result: FitResult, *, promoted: bool) -> None:
    table = Table("version", "epochs", "validation Dice", "current", "folder")
    best = f"{result.best_metric:.3f}" if result.best_metric >= 0 else "none held out"
    table.add_row(version.id, str(result.epochs), best, "yes" if promoted else "no", str(version.folder))
    out.print(table)
    if not promoted:
        tell_how_to_use(version)
