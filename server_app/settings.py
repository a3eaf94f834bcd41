"""The settings of a server: ``--conf name value`` of MONAI Label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from training.errors import InputError
from training.label_schemes import parse_scheme
from training.models import BUNDLED_MODELS
from training.models.bundle import model_folder
from training.prediction.engine import checked_engine, default_engine
from training.retraining.config import RetrainConfig
from training.retraining.site import SiteConfig

#: What a training run does, by the parameter ``mode``: it learns from the final labels, or it fits the model to this
#: site's scanners without labels.
RETRAIN, SITE = "retrain", "site"

_Config = TypeVar("_Config", RetrainConfig, SiteConfig)

#: What MONAI Label's clients send along with the settings of a training run; ignored.
STOCK_KEYS = frozenset(
    {
        *("client_id", "user", "name", "model", "comment", "run"),
        *("device", "gpus", "multi_gpu", "local_rank", "amp", "pretrained", "model_filename"),
        *("dataset", "dataset_source", "dataset_limit", "dataset_max_region", "dataset_randomize"),
        *("train_batch_size", "val_batch_size", "val_interval", "val_split", "early_stop_fast"),
        *("run_id", "tracking", "tracking_uri", "tracking_experiment_name"),
    }
)


class Limits(BaseModel):
    """The limits of one server, with defaults for a hospital department; ``--conf max_upload_mb=4096`` sets one.

    Attributes:
        max_upload_mb: MiB of the files of one request.
        max_unpacked_mb: MiB of the files in an archive.
        max_body_kb: KiB of any other body.
        max_voxels: Voxels of an uploaded file, all its volumes together, after decompression.
        min_free_mb: MiB that must stay free on the workspace's disk when volumes are uploaded; they are for labels.
        max_requests: Concurrent requests, including those that wait for an inference; at most three quarters of them
            may be slow ones.
        max_connections: Open connections.
        max_connections_per_client: Open connections from one address; 0 for no limit. Behind a reverse proxy all
            connections come from one address.
        header_seconds: Until the head of a request must be complete, from its first byte or the start of the
            connection.
        body_seconds: How long the server waits for a body that does not grow.
        slowest_kb: KiB per second by which it must grow after that.
        reply_seconds: Until a client must have accepted the next part of a response.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_upload_mb: float = Field(2048.0, gt=0)
    max_unpacked_mb: float = Field(4096.0, gt=0)
    max_body_kb: float = Field(1024.0, gt=0)
    max_voxels: int = Field(2**27, gt=0)
    min_free_mb: float = Field(512.0, ge=0)
    max_requests: int = Field(64, gt=0)
    max_connections: int = Field(256, gt=1)
    max_connections_per_client: int = Field(64, ge=0)
    header_seconds: float = Field(15.0, gt=0)
    body_seconds: float = Field(20.0, gt=0)
    slowest_kb: float = Field(16.0, gt=0)
    reply_seconds: float = Field(60.0, gt=0)

    @classmethod
    def from_conf(cls, conf: Mapping[str, object]) -> Limits:
        """Read MONAI Label's configuration; other names are ignored.

        Raises:
            ValidationError: If a value cannot be used.
        """
        return cls.model_validate({name: conf[name] for name in cls.model_fields if name in conf})

    @classmethod
    def of_server(cls) -> Limits:
        """Return the limits of the server that runs in this process."""
        from monailabel.config import settings

        return cls.from_conf(settings.MONAI_LABEL_APP_CONF or {})

    @property
    def upload_bytes(self) -> int:
        """Maximum number of bytes in a request with files."""
        return int(self.max_upload_mb * 2**20)

    @property
    def unpacked_bytes(self) -> int:
        """Maximum number of bytes of the files in an archive."""
        return int(self.max_unpacked_mb * 2**20)

    @property
    def min_free_bytes(self) -> float:
        """Bytes that must stay free on the workspace's disk when volumes are uploaded."""
        return self.min_free_mb * 2**20

    @property
    def body_bytes(self) -> int:
        """Maximum number of bytes in any other request."""
        return int(self.max_body_kb * 2**10)


class ServerSettings(BaseModel):
    """Settings of one server.

    Attributes:
        workspace: Where everything is written; ``None`` is the default.
        model: What is current until a version is promoted: the id of a bundled model (``v0000``), or the folder of a
            version. The default is in :mod:`training.models.bundle`.
        engine: What computes inferences: ``auto``, ``openvino`` or ``tensorflow``; the default is that of the
            environment (:mod:`training.prediction.engine`).
        source_labels: Whether labels that came with the cases count as final ones, and train.
        warm_up: Load the network when the server starts, not at the first request.
        reuse_results: Answer a repeated question with the earlier result.
        stall_seconds: A training run that has not reported for so long counts as stalled.
        resume_trainings: Continue an interrupted training when the server starts.
        require_token: Require a token from programs on this machine even if there are no users.
        follow_links: Read cases that links in the studies folder point to, wherever they are.
        patients: File with the columns case and patient, for cases whose names do not say of which patient they are.
        label_scheme: What the values of the labels in the studies folder mean, as ``--label-scheme`` of
            ``python -m training``; ``None`` to recognize it.
        limits: Of requests.
        claim_minutes: How long a case stays claimed by default.
        retrain: Defaults of training runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    workspace: Path | None = None
    model: Path = BUNDLED_MODELS
    engine: str = Field(default_factory=default_engine, validate_default=True)
    source_labels: bool = False
    warm_up: bool = True
    reuse_results: bool = True
    stall_seconds: float = Field(900.0, gt=0)
    resume_trainings: bool = False
    require_token: bool = False
    follow_links: bool = False
    patients: Path | None = None
    label_scheme: str | None = None
    limits: Limits = Limits()
    claim_minutes: float = Field(60.0, ge=1, le=1440)
    retrain: RetrainConfig = RetrainConfig()

    @field_validator("model", mode="before")
    @classmethod
    def _existing_model(cls, value: object) -> object:
        return model_folder(value) if isinstance(value, str) else value

    @field_validator("engine")
    @classmethod
    def _usable_engine(cls, value: str) -> str:
        return checked_engine(value)

    @field_validator("label_scheme")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is not None:
            parse_scheme(value)
        return value

    @classmethod
    def from_conf(cls, conf: Mapping[str, str]) -> ServerSettings:
        """Read MONAI Label's configuration; a name of :class:`RetrainConfig` sets that default.

        Raises:
            InputError: If a value cannot be used; other programs' names are ignored.
        """
        own = {name: conf[name] for name in cls.model_fields if name not in ("limits", "retrain") and name in conf}
        training = {name: value for name, value in conf.items() if name in RetrainConfig.model_fields}
        try:
            return cls(**own, limits=Limits.from_conf(conf), retrain=RetrainConfig(**training))
        except ValidationError as error:
            raise _first_error(error) from error


def training_settings(defaults: RetrainConfig, request: Mapping[str, Any], trainer: str) -> RetrainConfig:
    """Read the settings of one training from a request.

    Args:
        defaults: For settings that the request leaves out.
        request: Settings by name, or under the trainer's name, as the MONAI Label panel sends them.
        trainer: The name of the trainer.

    Raises:
        InputError: If a value cannot be used or a name is unknown; ``field`` is the name.
    """
    return _checked(RetrainConfig, defaults.model_dump(), _given(request, trainer), "A training run")


def site_settings(request: Mapping[str, Any], trainer: str) -> SiteConfig:
    """Read the settings of one fit to this site's scanners from a request; see :func:`training_settings`.

    Raises:
        InputError: If a value cannot be used or a name is unknown; ``field`` is the name.
    """
    return _checked(SiteConfig, {}, _given(request, trainer), f"A training run with mode {SITE}")


def training_mode(request: Mapping[str, Any], trainer: str) -> str:
    """Return what a training run is to do: :data:`RETRAIN` or :data:`SITE`.

    Raises:
        InputError: If ``mode`` is neither.
    """
    mode = _flat(request, trainer).get("mode", RETRAIN)
    if mode not in (RETRAIN, SITE):
        raise InputError(f"mode must be {RETRAIN} or {SITE}, not {str(mode)[:40]!r}.", field="mode")
    return str(mode)


def _flat(request: Mapping[str, Any], trainer: str) -> dict[str, Any]:
    """Return the settings in a request, wherever they are in it."""
    nested = request.get(trainer)
    given = {name: value for name, value in request.items() if name != trainer}
    given = {**nested, **given} if isinstance(nested, Mapping) else given
    return {name: value for name, value in given.items() if name not in STOCK_KEYS}


def _given(request: Mapping[str, Any], trainer: str) -> dict[str, Any]:
    return {name: value for name, value in _flat(request, trainer).items() if name != "mode"}


def _checked(kind: type[_Config], defaults: Mapping[str, Any], given: Mapping[str, Any], what: str) -> _Config:
    unknown = sorted(set(given) - set(kind.model_fields))
    if unknown:
        raise InputError(
            f"{what} has no setting {unknown[0]!r}. Known: {', '.join(kind.model_fields)}.", field=unknown[0]
        )
    try:
        return kind(**{**defaults, **given})
    except ValidationError as error:
        raise _first_error(error) from error


def _first_error(error: ValidationError) -> InputError:
    first = error.errors()[0]
    field = ".".join(str(step) for step in first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # says it all
        return InputError(cause.message, field=field)
    return InputError(f"{field} cannot be {first['input']!r}: {first['msg']}.", field=field)
