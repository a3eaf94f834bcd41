"""The server's status, training plan and model versions.

Plain functions for worker threads; see :mod:`TumorLoopLib.jobs.segment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from TumorLoopLib.client import DEFAULT_MODEL, TumorLoopClient
from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.client.training_calls import SITE
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.corrections import Corrections, corrections_of
from TumorLoopLib.jobs.judgment import Judgment, judgment_of, number_of
from TumorLoopLib.jobs.open_case import Counts

#: States of a running training.
ACTIVE = frozenset({"starting", "preparing", "training", "judging"})


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: its number from 1, the loss, and the mean Dice if it was validated."""

    number: int
    loss: float
    dice: float | None = None


@dataclass(frozen=True)
class Training:
    """The server's last training; all fields are empty if there was none.

    Attributes:
        run: Its id.
        state: One of :data:`ACTIVE`, ``done``, ``failed`` or ``stopped``.
        epoch: Finished epochs, of at most ``total_epochs``.
        eta: Seconds left, if known.
        version: The new model version, when done; ``verdict`` says why it was ``promoted``, or why not.
        site: Whether it fits the model to the site's scanners, without labels, instead of learning from corrections.
        outcome: How it compares with its parent; see :class:`TumorLoopLib.jobs.judgment.Judgment`.
    """

    run: str = ""
    state: str = ""
    message: str = ""
    epoch: int = 0
    total_epochs: int = 0
    eta: float | None = None
    epochs: tuple[Epoch, ...] = ()
    version: str = ""
    promoted: bool = False
    verdict: str = ""
    site: bool = False
    outcome: str = ""

    @property
    def active(self) -> bool:
        """Whether it is running."""
        return self.state in ACTIVE


@dataclass(frozen=True)
class ServerStatus:
    """The reply of ``/info``, which the panel polls.

    Attributes:
        model_version: The model in use; empty if there is none.
        info: The whole reply, which has the labels.
    """

    server: str
    name: str
    version: str
    model_version: str
    counts: Counts
    training: Training
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run would do, from the server's ``/train/{model}/plan``.

    Attributes:
        site_needs: Cases that a fit to the site's scanners needs at least; 0 if the server does not offer that.
    """

    parent: str = ""
    new: int = 0
    total: int = 0
    cases: tuple[str, ...] = ()
    max_epochs: int = 0
    expected_seconds: float | None = None
    site_needs: int = 0


@dataclass(frozen=True)
class ModelVersion:
    """A model version, and its comparison with its parent.

    Attributes:
        current: Whether it is in use.
        parent: The version it was trained from; empty for the first.
        verdict: Promoted or not, and why.
        before: Mean Dice of the parent by region and ``mean``, over the cases that ``judgment`` names; where that is
            empty, over ``evaluated_on`` validation cases.
        after: The same of this version, on the same cases.
        judgment: The comparison with its parent.
    """

    id: str
    current: bool
    parent: str = ""
    created: str = ""
    verdict: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    evaluated_on: int = 0
    judgment: Judgment = field(default_factory=Judgment)


@dataclass(frozen=True)
class Overview:
    """What changes rarely: the plan of the next training run, the model versions, oldest first, and the corrections."""

    plan: TrainingPlan
    versions: tuple[ModelVersion, ...] = ()
    corrections: Corrections = field(default_factory=Corrections)


def fetch_status(client: TumorLoopClient) -> ServerStatus:
    """Fetch the server's status.

    Raises:
        ClientError: If it does not answer, or is not a TumorLoop server.
    """
    info = client.info()
    if not info.get("label_details") or DEFAULT_MODEL not in (info.get("models") or {}):
        name = str(info.get("name") or "?")[:60]
        raise BadReply(
            _("The server at {address} is not a TumorLoop server ({name}).").format(
                address=client.server_url, name=name
            )
        )
    store = info.get("datastore") or {}
    stats = (info.get("train_stats") or {}).get(DEFAULT_MODEL) or {}
    return ServerStatus(
        server=client.server_url,
        name=str(info.get("name") or ""),
        version=str(info.get("version") or ""),
        model_version=str(info.get("model_version") or ""),
        counts=Counts(_whole(store.get("total")), _whole(store.get("completed"))),
        training=training_of(stats),
        info=info,
    )


def training_of(stats: Mapping[str, Any]) -> Training:
    """Read a training run's statistics; missing or malformed values are left out."""
    epochs = []
    for record in stats.get("history") or ():
        loss = number_of(record.get("loss"))
        if loss is not None:
            epochs.append(Epoch(_whole(record.get("epoch")), loss, number_of(record.get("mean"))))
    return Training(
        run=str(stats.get("run") or ""),
        site=stats.get("mode") == SITE,
        state=str(stats.get("state") or ""),
        message=str(stats.get("message") or ""),
        epoch=_whole(stats.get("epoch")),
        total_epochs=_whole(stats.get("total_epochs")),
        eta=number_of(stats.get("eta")),
        epochs=tuple(epochs),
        version=str(stats.get("version") or ""),
        promoted=bool(stats.get("promoted")),
        verdict=str(stats.get("verdict") or ""),
        outcome=str(stats.get("outcome") or ""),
    )


def fetch_overview(client: TumorLoopClient) -> Overview:
    """Fetch the plan of the next training run, the model versions and what corrections show."""
    plan = client.training_plan()
    return Overview(
        TrainingPlan(
            parent=str(plan.get("parent") or ""),
            new=_whole(plan.get("new")),
            total=_whole(plan.get("total")),
            cases=tuple(str(case) for case in plan.get("cases") or ()),
            max_epochs=_whole(plan.get("max_epochs")),
            expected_seconds=number_of(plan.get("expected_seconds")),
            site_needs=_whole((plan.get("site") or {}).get("needed")),
        ),
        tuple(version_of(version) for version in client.versions()),
        corrections_of(client.corrections() or {}),
    )


def version_of(version: Mapping[str, Any]) -> ModelVersion:
    """Read one entry of the server's list of versions."""
    metrics = (version.get("card") or {}).get("metrics") or {}
    return ModelVersion(
        id=str(version.get("id")),
        current=bool(version.get("current")),
        parent=str(version.get("parent") or ""),
        created=str(version.get("created") or ""),
        verdict=str(version.get("verdict") or ""),
        before=dict(metrics.get("parent") or {}),
        after=dict(metrics.get("candidate") or {}),
        evaluated_on=len(metrics.get("cases") or ()),
        judgment=judgment_of(metrics),
    )


def _whole(value: Any) -> int:
    number = number_of(value)
    return int(number) if number is not None else 0
