"""Shared by all commands: consoles, progress bars, error handling, and options for cases and models."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

from training.errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError

    from training.models.store import ModelCard, ModelStore, ModelVersion
    from training.models.weights import Weights
    from training.prediction.segmenter import Segmenter
    from training.preprocessing.preprocess import Preprocessed
    from training.retraining.config import RetrainConfig

#: Results: tables and paths.
out = Console(highlight=False)
#: Progress, warnings and errors.
err = Console(stderr=True, highlight=False)

ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        envvar="TUMORLOOP_MODELS",
        help="Folder of model versions. Default: models/ in $TUMORLOOP_HOME or in the user's data folder; "
        "the bundled models are always available.",
        show_default=False,
    ),
]
MirrorOption = Annotated[
    bool,
    typer.Option(
        "--mirror/--no-mirror",
        help="Average the predictions for the head and its left-right mirror image; takes twice the time.",
    ),
]
WholeHeadOption = Annotated[
    bool,
    typer.Option(
        "--allow-whole-head",
        help="Segment volumes with skull as they are, with false positives: nothing is registered or stripped.",
    ),
]
AsScannedOption = Annotated[
    bool | None,
    typer.Option(
        "--as-scanned/--no-as-scanned",
        help="Whether the volumes are as they were scanned: register and strip all of them, or none. Default: each "
        "step runs where the images need it.",
        show_default=False,
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Compute also where a series does not fit the others, or the brain that is found cannot be one."
    ),
]
VersionOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "--version",
        metavar="VERSION|FOLDER",
        help="Model version to use, for instance v0001, or the folder of one (./v0001). Default: the current one.",
        show_default=False,
    ),
]


class InputErrorGroup(TyperGroup):
    """A command group that turns :class:`InputError` into one line on standard error and exit code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        from training.cli.arguments import with_ray_address

        return list(super().parse_args(ctx, with_ray_address(args)))

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        from training.cluster.jobs import ClusterError

        try:
            return super().invoke(ctx)
        except ClusterError as error:
            err.print(f"Error (ray): {error}", style="red", markup=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except InputError as error:
            where = f" ({error.field})" if error.field else ""
            err.print(f"Error{where}: {error.message}", style="red", markup=False, soft_wrap=True)
            raise typer.Exit(2) from None


def silence_native_libraries() -> None:
    """Hide what TensorFlow's C++ code prints to standard error; Python's output still goes there.

    TensorFlow 2.21 logs a dozen lines at each start, some before its log level applies. They are shown if
    ``TF_CPP_MIN_LOG_LEVEL`` is set.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # inputs of many sizes cause retracing warnings
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    faulthandler.enable(sys.stderr)  # a crash in native code would otherwise leave no trace


@contextmanager
def progress(*, steps: bool = False, over_seconds: float = 30.0) -> Iterator[Progress]:
    """Show bars with elapsed and remaining time on standard error.

    Args:
        steps: Count steps (``3/12``) instead of percent.
        over_seconds: The remaining time is estimated from the speed over this many seconds.
    """
    share = MofNCompleteColumn() if steps else TaskProgressColumn()
    columns = [TextColumn("{task.description}"), BarColumn(), share]
    columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
    with Progress(*columns, console=err, speed_estimate_period=over_seconds) as bars:
        yield bars


def warn(message: str) -> None:
    """Print a warning on standard error."""
    err.print(f"Warning: {message}", style="yellow", markup=False, soft_wrap=True)


def tell_steps(name: str, preprocessed: Preprocessed) -> None:
    """Print what registering and stripping did to a case, if there was anything to do."""
    if preprocessed.steps and preprocessed.brain is not None:
        for step in preprocessed.steps:
            err.print(f"{name}: {step}", markup=False, soft_wrap=True)
        for warning in preprocessed.warnings:
            warn(f"{name}: {warning}")


def models_folder(models: Path | None) -> Path:
    """Return the folder of model versions: the one given, or the default."""
    if models is not None:
        return models
    home = os.environ.get("TUMORLOOP_HOME")
    if home:
        return Path(home).expanduser() / "models"
    import platformdirs

    return Path(platformdirs.user_data_dir("tumorloop", appauthor=False)) / "models"


def open_store(models: Path | None) -> ModelStore:
    """Return the model store, including the bundled models."""
    from training.models import BUNDLED_MODELS
    from training.models.store import ModelStore

    return ModelStore(models_folder(models), BUNDLED_MODELS)


def chosen_version(models: Path | None, version: str | None) -> ModelVersion:
    """Return a model version.

    Args:
        models: Folder of model versions; ``None`` for the default.
        version: Its id, or the folder of a version; ``None`` for the current one.

    Raises:
        InputError: If there is no such version.
    """
    from training.models.bundle import is_version_id
    from training.models.store import read_version

    store = open_store(models)
    if version is None:
        return store.current()
    if not is_version_id(version) and Path(version).is_dir():
        return read_version(Path(version))
    return store.get(version)


def store_version(
    weights: Weights, card: ModelCard, output: Path | None, models: Path | None, *, half_precision: bool = False
) -> None:
    """Write a version into the new folder ``output``, or without one add it to the store; print where it is.

    Args:
        weights: Its weights.
        card: Its card.
        output: Its name is the id of the version.
        models: The store.
        half_precision: Whether to write half precision into ``output``.
    """
    from training.models.store import write_version

    if output is not None:
        named = card.model_copy(update={"version": output.name})
        version = write_version(output, weights, named, half_precision=half_precision)
        out.print(f"Written as {version.id} to {version.folder}", soft_wrap=True)
        return
    version = open_store(models).add(weights, card)
    out.print(f"Stored as {version.id} in {version.folder}", soft_wrap=True)
    tell_how_to_use(version)


def tell_how_to_use(version: ModelVersion) -> None:
    """Print the command that makes a stored version the current one."""
    out.print(f"To use it: python -m training models promote {version.id}", soft_wrap=True)


def load_segmenter(models: Path | None, version: str | None, mirror: bool = False) -> Segmenter:
    """Load a model version, showing its id.

    Args:
        models: Folder of model versions; ``None`` for the default.
        version: See :func:`chosen_version`.
        mirror: See :class:`training.prediction.segmenter.Segmenter`.

    Raises:
        InputError: If there is no such version.
    """
    return segmenter_of(chosen_version(models, version), mirror)


def segmenter_of(version: ModelVersion, mirror: bool = False) -> Segmenter:
    """Load a chosen model version, showing its id."""
    with err.status(f"Loading model {version.id} ..."):
        from training.prediction.segmenter import Segmenter

        return Segmenter(version, mirror=mirror)


def retrain_config(settings: Mapping[str, object]) -> RetrainConfig:
    """Return the settings of a retraining; those not given keep their defaults.

    Raises:
        InputError: If there is no such setting, or its value does not fit; ``field`` is its name.
    """
    from pydantic import ValidationError

    from training.retraining.config import RetrainConfig

    unknown = [name for name in settings if name not in RetrainConfig.model_fields]
    if unknown:
        known = ", ".join(RetrainConfig.model_fields)
        raise InputError(f"A retraining has no setting {unknown[0]!r}. Known: {known}.", field="set")
    try:
        return RetrainConfig.model_validate(settings)
    except ValidationError as error:
        raise unusable_setting(error) from error


def unusable_setting(error: ValidationError) -> InputError:
    """Return what is wrong with the first setting that does not fit; ``field`` is its name."""
    first = error.errors()[0]
    return InputError(f"{first['loc'][0]}: {first['msg']}", field=str(first["loc"][0]))


def time_limit(minutes: float) -> Callable[[], bool] | None:
    """Return a function that tells whether so many minutes have passed since its first call; ``None`` for 0 minutes."""
    end: float | None = None

    def is_over() -> bool:
        nonlocal end
        if end is None:
            end = time.monotonic() + 60 * minutes
        return time.monotonic() >= end

    return is_over if minutes else None
