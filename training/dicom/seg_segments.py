"""The segments of a DICOM SEG: what the standard calls the labels of :mod:`training.labels`."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.labels import BACKGROUND, BRAIN, Code, Label

#: Name of the algorithm and its manufacturer.
NAME = "TumorLoop"
_FAMILY = Code("123110", "Artificial Intelligence", "DCM")
#: The background of a label map, which is a segment there.
BACKGROUND_CODE = Code("125040", "Background", "DCM")


def description(label: Label, algorithm_type: str, version: str) -> Any:
    """Return the description of a label's segment, whose number is the label's value.

    Args:
        label: The label.
        algorithm_type: ``AUTOMATIC``, ``SEMIAUTOMATIC`` or ``MANUAL``.
        version: Of the algorithm; not used for ``MANUAL``.

    Returns:
        A ``highdicom.seg.SegmentDescription``.
    """
    import highdicom as hd

    algorithm = None
    if algorithm_type != "MANUAL":
        algorithm = hd.AlgorithmIdentificationSequence(name=NAME, version=version, family=_coded(_FAMILY))
    segment = hd.seg.SegmentDescription(
        segment_number=label.value,
        segment_label=label.name,
        segmented_property_category=_coded(label.category),
        segmented_property_type=_coded(label.type),
        algorithm_type=algorithm_type,
        algorithm_identification=algorithm,
        anatomic_regions=[_coded(BRAIN)],
    )
    segment.RecommendedDisplayCIELabValue = list(_cielab(label.color))
    return segment


def background_description(algorithm_type: str) -> Any:
    """Return the description of the background, which is a segment of a label map; arguments as :func:`description`."""
    import highdicom as hd

    background = hd.seg.SegmentDescription(
        segment_number=1,  # highdicom 0.22 refuses 0
        segment_label=BACKGROUND_CODE.meaning,
        segmented_property_category=_coded(BACKGROUND_CODE),
        segmented_property_type=_coded(BACKGROUND_CODE),
        algorithm_type="MANUAL",
    )
    background.SegmentNumber = BACKGROUND
    background.SegmentAlgorithmType = algorithm_type
    if algorithm_type != "MANUAL":
        background.SegmentAlgorithmName = NAME
    background.RecommendedDisplayCIELabValue = list(_cielab((0, 0, 0)))
    return background


def _coded(code: Code) -> Any:
    import highdicom as hd

    return hd.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def _cielab(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return an sRGB color (0-255) as DICOM's CIELab (PS3.3 C.10.7.1.1).

    Returns:
        16 bits each for L from 0 to 100, and a and b from -128 to 127. White is D65, as in the readers (dcmqi, dcmjs).
    """
    from skimage.color import rgb2lab

    lightness, a, b = rgb2lab(np.array(color, np.float64) / 255.0)
    scaled = (lightness / 100.0, (a + 128.0) / 255.0, (b + 128.0) / 255.0)
    first, second, third = (round(float(value) * 0xFFFF) for value in scaled)
    return first, second, third
