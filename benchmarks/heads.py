"""The case that is measured: a phantom in the usual frame of BraTS, 240 x 240 x 155 voxels of 1 mm, as ``.nii.gz``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from training.images.grid import Grid, Volume
from training.images.write import write_volume
from training.modalities import ROLES
from training.phantoms.files import BRATS_AFFINE, BRATS_SHAPE, on_brats_grid, write_case
from training.phantoms.generate import Phantom, generate

#: The seed of the head, which has all three labels.
SEED = 44
#: A head can be moved by up to so many voxels: its frame has that much air on either side.
MOST_SHIFT = 20


def head(shift: int = 0) -> dict[str, Volume]:
    """Return the volumes of the head in its frame, by role, int16; moved by ``shift`` voxels.

    A head that is moved is another case for the server, and the same work.
    """
    assert abs(shift) <= MOST_SHIFT
    grid, volumes = Grid(BRATS_SHAPE, BRATS_AFFINE), {}
    for channel, role in enumerate(ROLES):
        data = on_brats_grid(np.round(_phantom().image[..., channel]).astype(np.int16))
        volumes[role] = Volume(np.roll(data, shift, axis=0), grid)
    return volumes


def label() -> Volume:
    """Return the true labelmap of the head, with TumorLoop's values."""
    return Volume(on_brats_grid(_phantom().label), Grid(BRATS_SHAPE, BRATS_AFFINE))


def write_labeled(studies: Path) -> Path:
    """Write the head as a case of BraTS, with its label; return its folder."""
    return write_case(_phantom(), studies, "phantom_0001")


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
