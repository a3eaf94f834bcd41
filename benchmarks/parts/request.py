"""Click to labelmap: upload of four volumes, segmentation, download, over HTTP, against the networks alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from TumorLoopLib.client import TumorLoopClient

from benchmarks import ours
from benchmarks.alone import Alone
from benchmarks.context import Context
from benchmarks.heads import write_head
from benchmarks.measure import in_turns
from benchmarks.outcome import Figure, Outcome, median_of
from benchmarks.peers import bundle, without_tensorflow
from benchmarks.server import serving, warm_up
from training.phantoms.files import BRATS_SHAPE

#: What the project wants of a request.
FASTER, OVER_NETWORK, OVER_NETWORK_UNCHANGED = 8.0, 1.5, 1.2
#: Grids for the answer, so that a question about the same volumes is a new one.
_OTHER_GRIDS = ("t1", "t2", "flair")
#: The bundle's network takes longer than all others together and runs only in every third round.
_PEER_EVERY = 3


class Clicks:
    """Requests as the panel makes them, in seconds.

    Args:
        client: Of a server.
        folder: For the answers.
    """

    def __init__(self, client: TumorLoopClient, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._session = ""

    def new_case(self, files: Mapping[str, Path]) -> float:
        """Upload a case that the server does not know, have it segmented, and save the labelmap."""
        started = time.perf_counter()
        self._session = self._client.create_session(files)
        return self._infer({}, computed=True, started=started)

    def unchanged(self) -> float:
        """Ask the same of the last case once more."""
        return self._infer({}, computed=False, started=time.perf_counter())

    def known_volumes(self, grid: str) -> float:
        """Ask for the labelmap of the last case on another grid, which has to be computed."""
        return self._infer({"reference": grid}, computed=True, started=time.perf_counter())

    def _infer(self, params: dict[str, Any], *, computed: bool, started: float) -> float:
        given = {"result_extension": ".nrrd", **params}
        result = self._client.infer(session_id=self._session, params=given, folder=self._folder)
        seconds = time.perf_counter() - started
        if bool(result.params.get("reused")) == computed:
            raise RuntimeError(f"The server was expected to {'compute a' if computed else 'know the'} result.")
        return seconds


def measure(context: Context) -> Outcome:
    """Measure requests in turns with our network and the bundle's, each in a process of its own."""
    rounds = context.choose(7, 2)
    cases = [write_head(context.work / "cases" / str(number), shift=number) for number in range(rounds)]
    done = context.counter(5 * rounds)
    with serving(context.work) as running, Alone() as network, Alone(without_tensorflow) as peer:
        warm_up(running, context.work / "cases")
        network.call(ours.load, cases[0])
        peer.call(bundle.load, BRATS_SHAPE)
        clicks = Clicks(running.client, context.work / "answers")
        runs: dict[str, Callable[[int], float]] = {
            "new": lambda number: clicks.new_case(cases[number % rounds]),
            "network": lambda number: network.timed(ours.compute).seconds,
            "known": lambda number: clicks.known_volumes(_OTHER_GRIDS[number % 3]),
            "unchanged": lambda number: clicks.unchanged(),
            "bundle": lambda number: 0.0 if number % _PEER_EVERY else peer.timed(bundle.segment).seconds,
        }
        clicks.new_case(write_head(context.work / "cases" / "first", shift=rounds))
        found = in_turns(rounds, runs, done)
    found["bundle"] = found["bundle"][::_PEER_EVERY]
    return Outcome(_figures(found), remarks=[_REMARK])


def _figures(found: Mapping[str, list[float]]) -> list[Figure]:
    new, network, bundle_alone = (statistics.median(found[name]) for name in ("new", "network", "bundle"))
    return [
        median_of(
            "click to labelmap, new case uploaded",
            found["new"],
            peer="the bundle's network alone",
            peer_value=bundle_alone,
            bar=f"at least {FASTER:g} times faster",
            kept=bundle_alone >= FASTER * new,
        ),
        _over_network("the same, against its limit", found["new"], network, OVER_NETWORK),
        _over_network("volumes known, computed anew", found["known"], network, OVER_NETWORK_UNCHANGED),
        _over_network("unchanged case, answer known", found["unchanged"], network, OVER_NETWORK_UNCHANGED),
    ]


def _over_network(name: str, seconds: Sequence[float], network: float, most: float) -> Figure:
    return median_of(
        name,
        seconds,
        peer="our network alone",
        peer_value=network,
        bar=f"at most {most:g} times the network",
        kept=statistics.median(seconds) <= most * network,
    )


_REMARK = (
    "A case is four int16 `.nii.gz` of 240 x 240 x 155 voxels; every round sends another one. Our network alone: "
    "`Segmenter.probabilities` on the same prepared case, in a process of its own. The bundle: SegResNet of "
    "`brats_mri_segmentation` with its sliding window, float32 as on any CPU, random weights, without reading, "
    "writing or HTTP. An unchanged case is read in two ways: the answer is known; and only the volumes are."
)
