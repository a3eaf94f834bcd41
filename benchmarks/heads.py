"""The case that is measured: a phantom in the usual frame of BraTS, 240 x 240 x 155 voxels of 1 mm, as ``.nii.gz``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from training.images.grid import Grid, Volume
from training.images.write import write_volume
from training.modalities import ROLES
from training.phantoms.generate import Phantom, generate

#: The frame, and the seed of a head that fits into it: 147 x 178 x 155 voxels.
FRAME = (240, 240, 155)
SEED = 42


def head(shift: int = 0) -> dict[str, Volume]:
    """Return the volumes of the head in its frame, by role; ``shift`` moves it by as many voxels, 40 at most.

    A head that is moved is another case for the server, and the same work.
    """
    phantom = _phantom()
    x, y, z = phantom.label.shape
    affine = phantom.affine.copy()
    start = (FRAME[0] - x) // 2 + shift, (FRAME[1] - y) // 2
    affine[:3, 3] -= [*start, 0]
    volumes = {}
    for channel, role in enumerate(ROLES):
        data = np.zeros(FRAME, np.int16)
        data[start[0] : start[0] + x, start[1] : start[1] + y, :z] = np.round(phantom.image[..., channel])
        volumes[role] = Volume(data, Grid(FRAME, affine))
    return volumes


def write_head(folder: Path, shift: int = 0) -> dict[str, Path]:
    """Write the head as four files into a folder, unless they are there; return them by role."""
    files = {role: folder / f"{role}.nii.gz" for role in ROLES}
    if not all(path.is_file() for path in files.values()):
        folder.mkdir(parents=True, exist_ok=True)
        for role, volume in head(shift).items():
            write_volume(volume, files[role])
    return files


@cache
def _phantom() -> Phantom:
    return generate(SEED)
