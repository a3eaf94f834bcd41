"""Enhanced MR: the frames of a multi-frame instance as images of their own.

What a frame says itself precedes what its file says of all frames (DICOM PS3.3, C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from training.dicom.image import Image
from training.dicom.values import integer, number, numbers, text, texts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def frames_of(header: Dataset, base: Image) -> Iterator[Image]:
    """Yield the frames of a multi-frame MR instance.

    Args:
        header: Without pixels.
        base: What the top level of the header says.

    Raises:
        ValueError: If the functional groups do not describe each frame.
    """
    count = integer(header, "NumberOfFrames") or 1
    own = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    if len(own) != count or len(shared) > 1:
        raise ValueError(f"it says that it holds {count} frames and describes {len(own)}")
    for place, group in enumerate(own):
        yield _frame(_Groups([group, *shared]), base, place + 1)


class _Groups:
    """The functional groups of one frame."""

    def __init__(self, groups: list[Dataset]) -> None:
        self._groups = groups

    def item(self, sequence: str) -> Any:
        """Return the item of a functional group, an empty data set if there is none."""
        from pydicom.dataset import Dataset

        for group in self._groups:
            items = group.get(sequence)
            if items:
                return items[0]
        return Dataset()


def _frame(groups: _Groups, base: Image, number_of_frame: int) -> Image:
    content, echo = groups.item("FrameContentSequence"), groups.item("MREchoSequence")
    timing, modifier = groups.item("MRTimingAndRelatedParametersSequence"), groups.item("MRModifierSequence")
    measures, pixels = groups.item("PixelMeasuresSequence"), groups.item("PixelValueTransformationSequence")
    kind, diffusion = groups.item("MRImageFrameTypeSequence"), groups.item("MRDiffusionSequence")
    slope, intercept = number(pixels, "RescaleSlope"), number(pixels, "RescaleIntercept")
    return replace(
        base,
        frame=number_of_frame,
        instance_number=number_of_frame,
        orientation=numbers(groups.item("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        position=numbers(groups.item("PlanePositionSequence"), "ImagePositionPatient", 3),
        pixel_spacing=numbers(measures, "PixelSpacing", 2),
        slope=base.slope if slope is None else slope,
        intercept=base.intercept if intercept is None else intercept,
        image_type=texts(kind, "FrameType") or base.image_type,
        contrast=text(kind, "AcquisitionContrast").upper() or base.contrast,
        echo_time=_first(number(echo, "EffectiveEchoTime"), base.echo_time),
        repetition_time=_first(number(timing, "RepetitionTime"), base.repetition_time),
        inversion_time=_first(number(modifier, "InversionTimes"), base.inversion_time),
        b_value=_first(number(diffusion, "DiffusionBValue"), base.b_value),
        temporal_position=integer(content, "TemporalPositionIndex"),
        acquisition_number=integer(content, "FrameAcquisitionNumber"),
        acquired=text(content, "FrameAcquisitionDateTime") or base.acquired,
        stack=text(content, "StackID"),
    )


def _first(value: float | None, other: float | None) -> float | None:
    return other if value is None else value
