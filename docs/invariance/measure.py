"""Runs the product on altered files and compares its answer with the unaltered one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from docs.invariance.alteration import Alteration, map_back
from training.cases.case import Case, case_from_roles
from training.cases.find import find_cases
from training.errors import InputError
from training.evaluation.metrics import region_dice
from training.images.grid import Grid, Volume
from training.images.write import write_labelmap
from training.prediction.segmenter import ProgressCallback, Segmentation, Segmenter

#: A Dice below this means that the answer changed.
BAR = 0.98
_MILLIMETERS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}
_NIFTI_ENDINGS = (".nii", ".nii.gz", ".hdr")


@dataclass(frozen=True)
class Outcome:
    """What became of one altered head.

    Attributes:
        dice: Of WT, TC and ET to the unaltered answer; empty if there is no answer.
        refusal: The sentence with which the product refused the files.
        fault: What is wrong beside the voxels: an exception that is no refusal, a labelmap that does not lie on its
            reference.
        warnings: Warnings that the unaltered head does not give.
        same_input: Whether the network saw bit for bit what it sees of the unaltered head.
    """

    dice: dict[str, float] = field(default_factory=dict)
    refusal: str = ""
    fault: str = ""
    warnings: list[str] = field(default_factory=list)
    same_input: bool = False

    @property
    def good(self) -> bool:
        """Whether the answer is the unaltered one, or refused."""
        return not self.fault and (bool(self.refusal) or min(self.dice.values(), default=0.0) >= BAR)


class RememberingSegmenter(Segmenter):
    """Computes an input that it has just seen only once: many alterations leave nothing to the network to see.

    Equal inputs have equal results bit for bit, so that only time is saved.
    """

    _first: tuple[np.ndarray, np.ndarray] | None = None
    same_input = False

    def forget(self) -> None:
        """Begin with another head: the next input is the one to remember."""
        self._first = None

    def probabilities(self, image: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """Return class probabilities as :meth:`Segmenter.probabilities` does."""
        self.same_input = self._first is not None and np.array_equal(self._first[0], image)
        if self._first is not None and self.same_input:
            return self._first[1].copy()
        result = super().probabilities(image, on_progress)
        if self._first is None:
            self._first = (image.copy(), result.copy())
        return result


@dataclass(frozen=True, eq=False)
class Unaltered:
    """A head as it is, and the answer for it."""

    head: Mapping[str, Volume]
    labels: Volume
    warnings: tuple[str, ...]


def unaltered(case: Case, segmenter: RememberingSegmenter) -> Unaltered:
    """Segment a case as it is.

    Raises:
        InputError: If it cannot be read.
    """
    segmenter.forget()
    head = {}
    for role, source in case.sources.items():
        image: Any = nibabel.load(source.path)
        head[role] = Volume(np.asarray(image.dataobj), _grid(image, 1.0))
    with tempfile.TemporaryDirectory(prefix="tumorloop-invariance-") as folder:
        segmentation = segmenter.segment(case.read_all())
        labels, _ = _written(segmentation, Path(folder))
    return Unaltered(head, labels, segmentation.warnings)


def measure(alteration: Alteration, before: Unaltered, segmenter: RememberingSegmenter) -> Outcome:
    """Write the altered files, segment them, and compare."""
    with tempfile.TemporaryDirectory(prefix="tumorloop-invariance-") as name:
        folder = Path(name) / "case"
        folder.mkdir()
        try:
            altered = alteration.apply(before.head)
            told = alteration.write(altered, folder)
            case = case_from_roles(told) if told else _only_case(folder)
            segmentation = segmenter.segment(case.read_all())
            labels, image = _written(segmentation, Path(name) / "results")
        except InputError as error:
            return Outcome(refusal=error.message.replace(f"{folder}/", "").replace(str(folder), "the folder"))
        except Exception as error:  # noqa: BLE001 (a traceback is what the table must show)
            return Outcome(fault=" ".join(f"{type(error).__name__}: {error}".split()))
        fault = _misplaced(labels, altered["t1ce"].grid)
        if fault:
            return Outcome(fault=fault)
        fault = _lost_forms(image, case.sources["t1ce"].path)
        mapped, outside = map_back(Volume(labels.data, altered["t1ce"].grid), before.labels.grid, alteration.motion)
    return Outcome(
        dice=dice_with_outside(mapped, outside, before.labels.data),
        fault=fault,
        warnings=[sentence for sentence in segmentation.warnings if sentence not in before.warnings],
        same_input=segmenter.same_input,
    )


def dice_with_outside(mapped: np.ndarray, outside: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the Dice of WT, TC and ET; labels ``outside`` of the unaltered grid count as false."""
    here = np.concatenate([mapped.ravel(), outside])
    return region_dice(here, np.concatenate([labels.ravel(), np.zeros_like(outside)]))


def _only_case(folder: Path) -> Case:
    cases, problems = find_cases(folder)
    if len(cases) == 1:
        return cases[0]
    if problems:
        raise InputError(problems[0].message)
    raise RuntimeError(f"{len(cases)} cases were found, without a word about it")


def _written(segmentation: Segmentation, folder: Path) -> tuple[Volume, Any]:
    """Write the labelmap as the command line does, and read it back with nibabel: in mm, and nibabel's image."""
    path = write_labelmap(segmentation.labelmap, folder / "case_seg.nii.gz")
    image: Any = nibabel.load(path)
    return Volume(np.asarray(image.dataobj).astype(np.uint8), _grid(image, _length(image))), image


def _grid(image: Any, length: float) -> Grid:
    """Return the grid of an image whose unit of length is so many millimeters."""
    x, y, z = image.shape
    return Grid((x, y, z), image.affine * np.array([[length]] * 3 + [[1.0]]))


def _length(image: Any) -> float:
    """Return the unit of length of a NIfTI image in millimeters."""
    return _MILLIMETERS.get(image.header.get_xyzt_units()[0], 1.0)


def _misplaced(labels: Volume, reference: Grid) -> str:
    difference = reference.difference(labels.grid)
    return f"the labelmap does not lie on T1ce: {difference}" if difference else ""


def _lost_forms(labelmap: Any, reference: Path) -> str:
    """Say how the labelmap's qform and sform differ from those of a NIfTI reference."""
    if not reference.name.endswith(_NIFTI_ENDINGS):
        return ""
    original: Any = nibabel.load(reference)
    for form in ("sform", "qform"):
        theirs, ours = (int(image.header[f"{form}_code"]) for image in (original, labelmap))
        if theirs != ours:
            return f"the labelmap has {form}_code {ours}, T1ce {theirs}"
        if ours:
            there, here = (getattr(one, f"get_{form}")()[:3] * _length(one) for one in (original, labelmap))
            if not np.allclose(there, here, atol=0.01):
                return f"the {form} of the labelmap is not that of T1ce"
    return ""
