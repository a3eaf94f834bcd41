"""Whether a label lies in the head: one of another case, or with a turned or flipped axis, may fit its grid as well."""

from __future__ import annotations

import numpy as np

from server_app.labels.check import CheckedLabel
from training.cases.case import Case
from training.errors import InputError
from training.images.tissue import find_tissue
from training.modalities import TITLES

#: Maximum part of a label that may lie in the background. Corrected by hand, one rarely crosses the brain's border.
_MOST_OUTSIDE = 0.5


def check_position(label: CheckedLabel, case: Case) -> None:
    """Refuse a label most of which lies where the image that it was drawn on has only background.

    Images whose background is noise are not judged, nor is an image that cannot be read now: the label must be kept.

    Raises:
        InputError: With the part that lies outside.
    """
    labeled = label.volume.data > 0
    if not labeled.any():
        return
    try:
        image = case.read(label.reference)
        tissue = find_tissue(image.data, image.grid.voxel_ml)
    except InputError:
        return
    outside = 1.0 - float(np.mean(tissue.mask[labeled]))
    if not tissue.noisy and outside > _MOST_OUTSIDE:
        raise InputError(
            f"{outside:.0%} of the label lie outside the head, in the background of {TITLES[label.reference]} of case "
            f"{case.id}. Is it the label of another case, or is an axis flipped? If it is meant so, send "
            "allow_outside: true in params.",
            field="label",
        )
