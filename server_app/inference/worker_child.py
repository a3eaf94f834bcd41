"""The code of the inference process. Nothing here may import MONAI Label, which imports torch."""

from __future__ import annotations

import sys
import time
from collections.abc import MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server_app.spawning import init_child
from training.cases.case import Case
from training.models.store import ModelStore

if TYPE_CHECKING:
    from training.prediction.segmenter import Segmenter


#: The stages of an inference, in their order.
STAGES = ("loading", "reading", "preparing", "computing", "restoring", "writing")

#: Shares of an inference that are done when :meth:`Segmenter.segment` begins and when it ends.
_BEGIN, _END = 0.1, 0.95


@dataclass(frozen=True)
class SegmentJob:
    """One inference.

    Attributes:
        models: The model store's folder.
        bundled: Folder of the initial model.
        case: Its volumes.
        reference: The role on whose grid the result lies; ``None`` takes T1ce, or what there is instead.
        result: File to write; its ending determines the format.
        dtype: Of its voxels.
        compress: Whether they are compressed.
        answer: A second file for the result (``.nii.gz``), or ``None``.
        allow_missing: Whether modalities may be missing.
        allow_whole_head: Whether the volumes may show more than the brain.
        maps: Folder for the maps, or ``None`` for none.
    """

    models: Path
    bundled: Path
    case: Case
    reference: str | None
    result: Path
    dtype: str = "uint8"
    compress: bool = True
    answer: Path | None = None
    allow_missing: bool = False
    allow_whole_head: bool = False
    maps: Path | None = None


#: By folder of the version: the segmenter, and the SHA-256 of its weights when it was loaded.
_loaded: dict[str, tuple[Segmenter, str]] = {}
_progress: MutableSequence[float] = [0.0, 0.0]


def begin(progress: MutableSequence[float]) -> None:
    """Make this process the inference process.

    Args:
        progress: Shared with the web process: the index of the current stage in :data:`STAGES`, and the share done.
    """
    global _progress
    init_child(niceness=3, oom_score=300)
    _progress = progress


def segment(job: SegmentJob) -> dict[str, Any]:
    """Segment a case with the current version, and write the labelmap and the maps.

    Returns:
        ``model_version``, ``weights_sha256``, ``volumes_ml``, ``seconds`` by stage, ``warnings``, ``reference``,
        ``missing``, ``expected_dice`` by region, ``uncertainty``, and ``maps``: the names of those that were written.

    Raises:
        InputError: If the case or the model cannot be used.
    """
    from training.images.write import write_labelmap, write_volume

    started = time.perf_counter()
    _report(0.0, "loading")
    segmenter, weights = _current(job.models, job.bundled)
    at_read = time.perf_counter()
    _report(0.0, "reading")
    volumes = job.case.read_all()
    read = time.perf_counter() - at_read
    with job.case.naming_files():
        found = segmenter.segment(
            volumes,
            reference=job.reference,
            allow_missing=job.allow_missing,
            allow_whole_head=job.allow_whole_head,
            maps=job.maps is not None,
            on_progress=lambda share, stage: _report(_BEGIN + (_END - _BEGIN) * share, stage),
        )
    _report(_END, "writing")
    at_write = time.perf_counter()
    write_labelmap(found.labelmap, job.result, dtype=job.dtype, compress=job.compress)
    if job.answer is not None:
        write_labelmap(found.labelmap, job.answer)
    for name, volume in found.maps.items():
        assert job.maps is not None
        write_volume(volume, job.maps / f"{name}.nii.gz")
    ended = time.perf_counter()
    seconds = {"read": read, **found.seconds, "write": ended - at_write, "total": ended - started}
    return {
        "model_version": found.model_version,
        "weights_sha256": weights,
        "volumes_ml": found.volumes_ml,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "warnings": list(found.warnings),
        "reference": found.reference,
        "missing": list(found.missing),
        "maps": list(found.maps),
        "expected_dice": found.expected_dice,
        "uncertainty": found.uncertainty,
    }


def warm_up(models: Path, bundled: Path) -> str:
    """Load the current version and compute once, so that the first case need not wait for that."""
    import numpy as np

    segmenter, _ = _current(models, bundled)
    for blocks in (2, 3):  # the second shape makes the traced function general
        side = blocks * segmenter.stride
        segmenter.probabilities(np.zeros((side, side, side, segmenter.version.card.network.channels), np.float32))
    return segmenter.version.id


def loaded_modules() -> list[str]:
    """Return the names of all modules that this process has imported."""
    return sorted(sys.modules)


def _report(share: float, stage: str) -> None:
    if stage in STAGES:
        _progress[:] = [float(STAGES.index(stage)), share]


def _current(models: Path, bundled: Path) -> tuple[Segmenter, str]:
    """Return the segmenter of the current version and the SHA-256 of its weights; an earlier one is released."""
    from training.prediction.segmenter import Segmenter

    version = ModelStore(models, bundled).current()
    key = str(version.folder)
    if key not in _loaded:
        weights = version.weights_sha256()
        segmenter = Segmenter(version)
        _loaded.clear()
        _loaded[key] = segmenter, weights
    return _loaded[key]
