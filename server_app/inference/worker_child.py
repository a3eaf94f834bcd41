"""The code of the inference process. Nothing here may import MONAI Label, which imports torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server_app.cases.preprocessed import details_of, preprocessed_case, record_of, write_preprocessed
from server_app.common.dicom_logs import hide_dicom_values
from server_app.common.files import link_or_copy
from server_app.spawning import init_child
from training.cases.case import Case
from training.models.store import ModelStore
from training.spans import recorded, span

if TYPE_CHECKING:
    from training.images.grid import Volume
    from training.prediction.segmenter import Segmenter


#: The stages of an inference, in their order.
STAGES = ("loading", "reading", "registering", "stripping", "preparing", "computing", "restoring", "writing")

#: Shares of an inference that are done when :meth:`Segmenter.segment` begins and when it ends; and when it begins after
#: preprocessing.
_BEGIN, _END, _BEGIN_PREPROCESSED = 0.1, 0.95, 0.65


@dataclass(frozen=True)
class PreprocessJob:
    """Volumes that may be as they were scanned.

    Attributes:
        case: The volumes.
        target: A new folder for preprocessed volumes (:mod:`server_app.cases.preprocessed`); nothing is written if the
            volumes need nothing and are no DICOM series.
        reference: The role in whose frame they are put; ``None`` takes T1ce, or what there is instead.
        as_scanned: Whether they are as they were scanned; ``None`` to find out.
        force: Whether to go on although an alignment or the brain mask is not trusted.
        brain: A file with a brain mask to use instead of finding one, or ``None``.
        headers: The headers of the DICOM series that the reference was made of, where its file is none; or ``None``.
            In the form of :meth:`training.dicom.headers.SourceHeaders.to_json`.
    """

    case: Case
    target: Path
    reference: str | None = None
    as_scanned: bool | None = None
    force: bool = False
    brain: Path | None = None
    headers: str | None = None


@dataclass(frozen=True)
class SegmentJob:
    """One inference.

    Attributes:
        models: The model store's folder.
        bundled: Folder of the initial model.
        case: Its volumes.
        preprocess: How to preprocess the same volumes first, if they need it; ``None`` if they do not.
        record: Of the preprocessing that made them, if they are preprocessed.
        as_scanned: What the client said of that; with ``force``, a part of the question.
        force: The same.
        reference: The role on whose grid the result lies; ``None`` takes T1ce, or what there is instead.
        result: File to write; its ending determines the format.
        dtype: Of its voxels.
        compress: Whether they are compressed.
        answer: A second file for the result (``.nii.gz``), or ``None``.
        allow_missing: Whether modalities may be missing.
        allow_whole_head: Whether the volumes may show more than the brain.
        maps: Folder for the maps, or ``None`` for none.
        engine: What computes (:func:`training.prediction.engine.load_engine`).
    """

    models: Path
    bundled: Path
    case: Case
    reference: str | None
    result: Path
    preprocess: PreprocessJob | None = None
    record: Mapping[str, Any] | None = None
    as_scanned: bool | None = None
    force: bool = False
    dtype: str = "uint8"
    compress: bool = True
    answer: Path | None = None
    allow_missing: bool = False
    allow_whole_head: bool = False
    maps: Path | None = None
    engine: str | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the result is written as the answer is."""
        return self.result.name.endswith(".nii.gz") and self.dtype == "uint8" and self.compress


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
    hide_dicom_values()
    _progress = progress


def segment(job: SegmentJob) -> dict[str, Any]:
    """Segment a case with the current version, and write the labelmap and the maps.

    Volumes that need it are preprocessed first, and segmented as they were then written.

    Returns:
        ``model_version``, ``weights_sha256``, ``engine``, ``volumes_ml``, ``seconds`` by stage, ``spans``: the same in
        finer stages (:mod:`training.spans`), ``warnings``, ``reference``, ``missing``, ``expected_dice`` by region,
        ``uncertainty``, ``maps``: the names of those that were written, and ``preprocessing``: what was done before, or
        ``None``.

    Raises:
        InputError: If the case or the model cannot be used.
    """
    with recorded() as spans:
        facts = _segment(job)
    return {**facts, "spans": spans.rounded()}


def _segment(job: SegmentJob) -> dict[str, Any]:
    from training.images.write import write_labelmap, write_volume

    started = time.perf_counter()
    _report(0.0, "loading")
    segmenter, weights = _current(job.models, job.bundled, job.engine)
    at_read = time.perf_counter()
    _report(0.0, "reading")
    if job.preprocess is not None:
        volumes, record = _preprocessed(job.preprocess, _BEGIN_PREPROCESSED)
    else:
        volumes, record = job.case.read_all(), dict(job.record) if job.record is not None else None
    done = details_of(record)
    before = done["seconds"] if done is not None and job.preprocess is not None else {}
    read = time.perf_counter() - at_read - sum(before.values())
    begin = _BEGIN_PREPROCESSED if before else _BEGIN
    with job.case.naming_files():
        found = segmenter.segment(
            volumes,
            reference=job.reference or (record["reference"] if record is not None else None),
            allow_missing=job.allow_missing,
            allow_whole_head=job.allow_whole_head,
            as_scanned=False,  # what is needed was done
            maps=job.maps is not None,
            on_progress=lambda share, stage: _report(begin + (_END - begin) * share, stage),
        )
    _report(_END, "writing")
    at_write = time.perf_counter()
    with span("compress"):
        write_labelmap(found.labelmap, job.result, dtype=job.dtype, compress=job.compress)
        if job.answer is not None and job.is_answer:
            job.answer.unlink(missing_ok=True)  # of a process that died
            link_or_copy(job.result, job.answer)
        elif job.answer is not None:
            write_labelmap(found.labelmap, job.answer)
        for name, volume in found.maps.items():
            assert job.maps is not None
            write_volume(volume, job.maps / f"{name}.nii.gz")
    ended = time.perf_counter()
    seconds = {"read": read, **before, **found.seconds, "write": ended - at_write, "total": ended - started}
    return {
        "model_version": found.model_version,
        "weights_sha256": weights,
        "engine": found.engine,
        "volumes_ml": found.volumes_ml,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "warnings": [*(done["warnings"] if done is not None else ()), *found.warnings],
        "reference": found.reference,
        "missing": list(found.missing),
        "maps": list(found.maps),
        "expected_dice": found.expected_dice,
        "uncertainty": found.uncertainty,
        "preprocessing": done,
    }


def preprocess(job: PreprocessJob) -> bool:
    """Preprocess volumes that become a case; return whether preprocessed ones were written.

    Raises:
        InputError: If the volumes cannot be used.
    """
    _report(0.0, "reading")
    return _preprocessed(job, _END)[1] is not None


def _preprocessed(job: PreprocessJob, end: float) -> tuple[dict[str, Volume], dict[str, Any] | None]:
    """Read volumes and preprocess them as far as they need it.

    Args:
        job: What to read.
        end: The share of the computation that is done then.

    Returns:
        The volumes, and the record of what was written, if anything was.
    """
    from training.images.read import read_volume
    from training.preprocessing.ordinary import surely_ordinary
    from training.preprocessing.preprocess import preprocess

    dicom = any(source.instances for source in job.case.sources.values())
    if record_of(job.target) is None:  # else the process died after it was written
        volumes = job.case.read_all()
        brain = read_volume(job.brain) if job.brain is not None else None
        if job.as_scanned is None and not (brain or dicom or job.headers) and surely_ordinary(volumes):
            return volumes, None
        with job.case.naming_files(), span("preprocess"):
            found = preprocess(
                volumes,
                reference=job.reference,
                as_scanned=job.as_scanned,
                force=job.force,
                brain=brain,
                on_progress=lambda share, stage: _report(_BEGIN + (end - _BEGIN) * share, stage),
            )
        if not found.changed and not dicom and job.headers is None:
            return volumes, None
        write_preprocessed(found, job.target, headers=_headers(job, found.reference), forced=job.force)
    return preprocessed_case(job.target, allow_missing=True).read_all(), record_of(job.target)


def _headers(job: PreprocessJob, reference: str) -> str | None:
    """Return the DICOM headers of the reference, in the form in which they are kept; ``None`` if there are none."""
    from training.dicom.read import source_headers

    source = job.case.sources[reference]
    return source_headers(source.instances, source.channel).to_json() if source.instances else job.headers


def warm_up(models: Path, bundled: Path, engine: str | None) -> str:
    """Load the current version and compute once, so that the first case need not wait for that."""
    import numpy as np

    segmenter, _ = _current(models, bundled, engine)
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


def _current(models: Path, bundled: Path, engine: str | None) -> tuple[Segmenter, str]:
    """Return the segmenter of the current version and the SHA-256 of its weights; an earlier one is released."""
    from training.prediction.segmenter import Segmenter

    version = ModelStore(models, bundled).current()
    key = str(version.folder)
    if key not in _loaded:
        weights = version.weights_sha256()
        segmenter = Segmenter(version, engine=engine)
        _loaded.clear()
        _loaded[key] = segmenter, weights
    return _loaded[key]
