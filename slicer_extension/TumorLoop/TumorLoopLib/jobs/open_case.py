"""Downloading cases and earlier labels, on a worker thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import RequestRejected
from TumorLoopLib.files.nrrd import read_nrrd
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.preparation import Image
from TumorLoopLib.jobs.stages import CHECKING, GENERATING, RECEIVING
from TumorLoopLib.jobs.upload import temporary_folder
from TumorLoopLib.scene.roles import ROLES

#: The server's strategy that proposes the case with the most uncertain prediction.
UNCERTAINTY_STRATEGY = "uncertainty"
_MAX_REASON = 300


@dataclass(frozen=True)
class Counts:
    """How many cases the server has, and how many have a final label."""

    total: int = 0
    labeled: int = 0

    @property
    def left(self) -> int:
        """Cases without a final label."""
        return max(0, self.total - self.labeled)


@dataclass(frozen=True)
class OpenedCase:
    """A case that was downloaded, with its volumes by role and its labels, oldest first."""

    server: str
    case_id: str
    volumes: dict[str, Image]
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class NextCase:
    """The next case (``None`` if all are labeled), and why the server chose it (empty if it gives no reason)."""

    case: OpenedCase | None
    counts: Counts
    reason: str = ""


def open_case(client: TumorLoopClient, case_id: str, reporter: Reporter, folder: Path) -> OpenedCase:
    """Download the four volumes and the label history of a case.

    Raises:
        ClientError: If a volume cannot be downloaded completely.
    """
    reporter.stage(CHECKING)
    history = client.labels(case_id)
    volumes: dict[str, Image] = {}
    with temporary_folder(folder) as downloads:
        for position, role in enumerate(ROLES):
            reporter.waiting(RECEIVING, share=position / len(ROLES))

            def received(done: int, total: int, before: int = position) -> None:
                share = before + (done / total if total else 0.0)
                reporter.waiting(RECEIVING, share=share / len(ROLES))

            path = client.download_volume(case_id, role, downloads, received, reporter.cancel)
            volumes[role] = read_nrrd(path)
    return OpenedCase(client.server_url, case_id, volumes, history)


def next_case(client: TumorLoopClient, current: str, reporter: Reporter, folder: Path) -> NextCase:
    """Open the case that should be labeled next: the one with the most uncertain prediction.

    A case that is open and was not labeled is passed over.

    Args:
        client: Of the server.
        current: Id of the case that is open; empty if none is.
        reporter: Of the job.
        folder: For temporary files.
    """
    reporter.stage(CHECKING)
    cases = client.cases()
    counts = Counts(len(cases), sum(bool(case.get("labeled")) for case in cases))
    sample = _chosen(client, current)
    if sample is None:
        return NextCase(None, counts)
    chosen, reason = str(sample.get("id")), sample.get("reason")
    reason = reason[:_MAX_REASON] if isinstance(reason, str) else ""
    if chosen == current:  # an older server, without "after"
        unlabeled = (str(case["id"]) for case in cases if not case.get("labeled"))
        chosen, reason = after(current, unlabeled), ""
    return NextCase(open_case(client, chosen, reporter, folder), counts, reason)


def sample_case(client: TumorLoopClient, reporter: Reporter, folder: Path) -> OpenedCase:
    """Have the server generate a synthetic case with a tumor, and open it."""
    reporter.stage(GENERATING)
    sample = client.make_sample(cancel=reporter.cancel)
    return open_case(client, str(sample["id"]), reporter, folder)


def label_version(client: TumorLoopClient, case_id: str, version: str, reporter: Reporter, folder: Path) -> Image:
    """Download one version of a case's label."""
    reporter.stage(RECEIVING)
    with temporary_folder(folder) as downloads:
        path = client.download_label(case_id, version, downloads, cancel=reporter.cancel, ending=".nrrd")
        return read_nrrd(path)


def label_history(client: TumorLoopClient, case_id: str) -> list[dict[str, Any]]:
    """Return the labels of a case, oldest first; none if the server does not have the case."""
    try:
        return client.labels(case_id)
    except RequestRejected as error:
        if error.status == 404:
            return []
        raise


def _chosen(client: TumorLoopClient, current: str) -> dict[str, Any] | None:
    """Request the next case; from an older server, which does not know the strategy, the first one."""
    try:
        return client.next_sample(UNCERTAINTY_STRATEGY, after=current)
    except RequestRejected as error:
        if error.status != 404:
            raise
        return client.next_sample(after=current)


def after(current: str, names: Iterable[str]) -> str:
    """Return the name after ``current`` in alphabetical order; after the last, the first.

    Examples:
        >>> after("b", ["a", "b", "c"]), after("c", ["a", "b", "c"]), after("b", ["b"])
        ('c', 'a', 'b')
    """
    ordered = sorted(names)
    return next((name for name in ordered if name > current), ordered[0] if ordered else current)
