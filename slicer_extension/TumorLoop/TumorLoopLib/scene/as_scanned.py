"""Whether volumes look as they came from the scanner: with a skull, or each on a grid of its own. UI thread only.

This is a first look in some milliseconds, for the checkbox and its explanation. The server examines the volumes itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer

from TumorLoopLib.i18n import _
from TumorLoopLib.scene import alignment, geometry
from TumorLoopLib.scene.roles import TITLES

#: More tissue than any brain has, in mL.
_LARGEST_BRAIN_ML = 2000.0
#: A skull-stripped volume has one value on nearly all of its outer faces; noise around a head has many.
_BLANK_FACES = 0.8
#: Tissue is what differs from the background by more than this share of the bright tissue.
_TISSUE = 0.12
#: Voxels to look at along a side.
_SAMPLES = 48


class FirstLook:
    """Looks at the volumes of the panel, and at each of them only once."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, bool]] = {}

    def reasons(self, nodes: Mapping[str, Any]) -> list[str]:
        """Return why volumes look as they were scanned, one sentence each; none if they do not.

        Args:
            nodes: Volume nodes by role, all usable.
        """
        skull = [TITLES[role] for role, node in nodes.items() if self._has_skull(node)]
        found = [_("The skull is visible in {volumes}.").format(volumes=", ".join(skull))] if skull else []
        if not _share_one_grid(nodes):
            found.append(_("The volumes do not share one grid."))
        return found

    def _has_skull(self, node: Any) -> bool:
        image = node.GetImageData()
        time, has_skull = self._seen.get(node.GetID(), (-1, False))
        if time != image.GetMTime():
            spacing = geometry.local_ijk_to_ras(node)[:3, :3]
            has_skull = shows_skull(slicer.util.arrayFromVolume(node), abs(float(np.linalg.det(spacing))))
            self._seen[node.GetID()] = (image.GetMTime(), has_skull)
        return has_skull


def shows_skull(array: np.ndarray, voxel_mm3: float) -> bool:
    """Return whether an image seems to show more than a brain.

    Args:
        array: Any three axes, real numbers.
        voxel_mm3: Size of a voxel.
    """
    steps = [max(1, side // _SAMPLES) for side in array.shape]
    sample = array[:: steps[0], :: steps[1], :: steps[2]].astype(np.float32)
    faces = np.concatenate([sample.take(end, axis).ravel() for axis in range(3) for end in (0, -1)])
    values, counts = np.unique(faces, return_counts=True)
    if counts.max() < _BLANK_FACES * faces.size:
        return True
    distance = np.abs(sample - values[counts.argmax()])
    tissue = np.mean(distance > _TISSUE * np.percentile(distance, 99))
    return float(tissue) * array.size * voxel_mm3 / 1000 > _LARGEST_BRAIN_ML


def _share_one_grid(nodes: Mapping[str, Any]) -> bool:
    """Compare grids where the volumes were scanned, to a hundredth of a millimeter."""
    shapes = {geometry.shape_kji(node) for node in nodes.values()}
    grids = [alignment.ijk_to_ras_to_send(node) for node in nodes.values()]
    first = grids[0] if grids else None
    return len(shapes) <= 1 and all(
        first is not None and grid is not None and np.allclose(grid, first, atol=1e-2) for grid in grids
    )
