"""Checks of a brain mask: its volume, the way up, and where the image ends inside the brain."""

from __future__ import annotations

import numpy as np

from training.images.grid import Volume
from training.skull_stripping.extract import is_upside_down

#: Volumes of brains with their ventricles, in mL; and the smallest of a part of one that is worth a result.
SMALLEST_ML, LARGEST_ML, SMALLEST_PART_ML = 900.0, 2000.0, 300.0
#: Area in cm2 in which a face of the image may cut the brain; the brain stem has 10.
_CUT_CM2 = 15.0
_UPSIDE_DOWN = "The head seems to be upside down: check the orientation in the header of the file."
_SIDES = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "top", "I": "bottom"}
_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def check_brain(mask: Volume, volume: Volume) -> tuple[str, ...]:
    """Return why a brain mask cannot be right.

    Args:
        mask: From :func:`training.skull_stripping.extract.brain_mask`.
        volume: The image it was found in.

    Returns:
        One sentence per problem; none if the mask is plausible.
    """
    return (*volume_problems(mask), *orientation_problems(mask, volume))


def orientation_problems(mask: Volume, volume: Volume) -> tuple[str, ...]:
    """Return whether the head stands on its crown, as :func:`check_brain`: one sentence or none."""
    return (_UPSIDE_DOWN,) if is_upside_down(volume, mask) else ()


def volume_problems(mask: Volume) -> tuple[str, ...]:
    """Return what is wrong with the volume of a brain mask, one sentence or none."""
    brain_ml = float(np.count_nonzero(mask.data)) * mask.grid.voxel_ml
    smallest = SMALLEST_PART_ML if cut_sides(mask) else SMALLEST_ML
    if brain_ml < smallest:
        whole = "what an image must show of a brain" if smallest < SMALLEST_ML else "any whole brain"
        return (f"The brain that was found has {brain_ml:.0f} mL, less than {whole} ({smallest:.0f} mL).",)
    if brain_ml > LARGEST_ML:
        return (f"The brain that was found has {brain_ml:.0f} mL, more than any brain ({LARGEST_ML:.0f} mL).",)
    return ()


def coverage_warnings(mask: Volume) -> tuple[str, ...]:
    """Return where the image ends inside the brain, one sentence or none.

    Args:
        mask: From :func:`training.skull_stripping.extract.brain_mask`.
    """
    sides = cut_sides(mask)
    if not sides:
        return ()
    where = " and ".join(f"at the {_SIDES[side]} ({area:.0f} cm2)" for side, area in sides.items())
    return (f"The image ends inside the brain {where}; what lies beyond is not segmented.",)


def cut_sides(mask: Volume) -> dict[str, float]:
    """Return the anatomical sides (R, L, A, P, S, I) at which the image cuts the brain, and the areas in cm2."""
    sides = {}
    for axis, code in enumerate(mask.grid.axcodes):
        spacing = [each for other, each in enumerate(mask.grid.spacing) if other != axis]
        for end, side in ((-1, code), (0, _OPPOSITE[code])):
            area = float(np.count_nonzero(np.take(mask.data, end, axis))) * spacing[0] * spacing[1] / 100
            if area > _CUT_CM2:
                sides[side] = area
    return sides
