"""Faults in what the panel does with volumes and segmentations of the scene."""

from __future__ import annotations

from tests.slicer_extension.mutation.mutant import Mutant

_MRML = "tests/slicer_extension/mrml"
_SHOWN = (f"{_MRML}/test_segments_shown.py",)
_SENT = (f"{_MRML}/test_segments_sent.py",)
_GRIDS = (f"{_MRML}/test_segments_grids.py",)
_VOLUMES = (f"{_MRML}/test_volumes.py",)


def _library(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Mutant:
    return Mutant(name, f"TumorLoopLib/{file}", old, new, tests)


MUTANTS = (
    _library(
        "labels renumbered when a segmentation is sent",
        "scene/segment_copy.py",
        "array = translated(best, {rank: value for value, rank in ranks.items()})",
        "array = best",
        _SENT,
    ),
    _library(
        "wrong tag: a renamed segment loses its label",
        "scene/segments.py",
        "tag = _tag(segment, LABEL_TAG)",
        'tag = _tag(segment, "TumorLoop.Label")',
        _SENT,
    ),
    _library(
        "a segment lost when an answer is shown",
        "scene/segments.py",
        "    for label in labels.labels:\n",
        "    for label in labels.labels[1:]:\n",
        _SHOWN,
    ),
    _library("segments without their colors", "scene/segments.py", "    segment.SetColor(*label.color)\n", "", _SHOWN),
    _library(
        "segments without their codes",
        "scene/segments.py",
        "    segment.SetTag(segment.GetTerminologyEntryTagName(), label.terminology_entry)\n",
        "",
        _SHOWN,
    ),
    _library(
        "axes swapped when an answer is shown",
        "scene/segments.py",
        "for side in reversed(box) for",
        "for side in box for",
        _SHOWN,
    ),
    _library("undo lost", "scene/segments.py", "    slicer.mrmlScene.SaveStateForUndo()\n", "", _SHOWN),
    _library(
        "a manual segmentation overwritten",
        "scene/segments.py",
        '    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", ',
        '    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") or '
        'slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", ',
        _SHOWN,
    ),
    _library(
        "parent transform ignored when volumes are sent",
        "scene/geometry.py",
        "to_world @ local_ijk_to_ras(volume)",
        "local_ijk_to_ras(volume)",
        _VOLUMES,
    ),
    _library(
        "transforms taken in the wrong order",
        "scene/segments.py",
        "np.linalg.inv(reference_to_world) @ segments_to_world",
        "segments_to_world @ np.linalg.inv(reference_to_world)",
        _GRIDS,
    ),
    _library(
        "hash ignores where a volume lies",
        "scene/volumes.py",
        'f"{array.dtype.str} {array.shape} {place.tolist()}"',
        'f"{array.dtype.str} {array.shape}"',
        _VOLUMES,
    ),
    _library(
        "voxels that are no numbers overlooked",
        "scene/volumes.py",
        "if not np.isfinite(low) or not np.isfinite(high):",
        "if False:",
        _VOLUMES,
    ),
    _library(
        "overlapping segments: the last one wins",
        "scene/segment_copy.py",
        "np.maximum(target, placed.array, out=target)",
        "np.copyto(target, placed.array, where=placed.array > 0)",
        _SENT,
    ),
)
