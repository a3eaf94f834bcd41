"""Sample cases: synthetic heads with a tumor, generated on request, to try the system without patient data.

A sample is stored like an uploaded case. Its true label is not stored, since its purpose is to be segmented and
corrected.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from server_app.cases.datastore import CaseDatastore
from server_app.errors import input_errors
from training.cases.case import Case
from training.errors import InputError
from training.images.grid import Grid, Volume
from training.modalities import ROLES

if TYPE_CHECKING:
    from training.phantoms.generate import Phantom

#: The largest seed of a sample.
MAX_SEED = 999_999
#: The generator's seeds start here, far from those that models are trained and evaluated on. Each sample has several,
#: because one head in twelve is healthy; the first one is used whose tumor has enough voxels of 1 mm.
_FIRST, _EACH = 1_200_000_016, 16
_ENOUGH = 5_000

#: One at a time: a head takes a core and half a gigabyte for some seconds, and the next free seed is searched for.
_making = threading.Lock()


def make_sample(store: CaseDatastore, incoming: Path, params: Mapping[str, Any]) -> Case:
    """Make a sample and store it, unless it exists.

    Args:
        store: Stores it.
        incoming: For temporary files.
        params: ``seed``, 0 to :data:`MAX_SEED`; without it, the first from 1 on that does not exist yet.

    Returns:
        The case ``sample-<seed>``.

    Raises:
        HTTPException: 422 if the seed is not valid, 409 if another case has its name.
    """
    with input_errors():
        seed = _checked(params.get("seed"))
    with _making:
        if seed is None:
            seed = next(number for number in range(1, MAX_SEED) if store.catalog.find(f"sample-{number}") is None)
        name = f"sample-{seed}"
        found = store.catalog.find(name)
        if found is not None and store.catalog.is_uploaded(found.id):
            return found
        with tempfile.TemporaryDirectory(prefix="sample-", dir=incoming) as folder:
            return store.add_case(name, _write(seed, Path(folder)), params)


def _write(seed: int, folder: Path) -> list[Path]:
    """Write the four volumes of a sample; return their files."""
    from training.images.write import write_volume
    from training.phantoms.files import BRATS_AFFINE, BRATS_SHAPE, on_brats_grid

    phantom = sample_phantom(seed)
    grid = Grid(BRATS_SHAPE, BRATS_AFFINE)
    files = []
    for channel, role in enumerate(ROLES):
        voxels = on_brats_grid(np.round(phantom.image[..., channel]).astype(np.int16))
        files.append(write_volume(Volume(voxels, grid), folder / f"{role}.nii.gz"))
    return files


def sample_phantom(seed: int) -> Phantom:
    """Return the head of a sample, with its true label."""
    from training.phantoms.generate import generate

    for number in range(_EACH):
        phantom = generate(_FIRST + _EACH * seed + number)
        if np.count_nonzero(phantom.label) >= _ENOUGH:
            break
    return phantom


def _checked(seed: Any) -> int | None:
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED):
        raise InputError(f"A seed is a whole number from 0 to {MAX_SEED}, not {str(seed)[:40]!r}.", field="seed")
    return seed
