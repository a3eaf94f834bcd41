"""Make the sample case of a release: ``python -m tests.slicer_extension.packaging.sample_data DIR``.

Writes the four volumes of a phantom into the folder, with the names under which the module registers them, and its
thumbnail into the module's icons; prints the checksums. Other checksums than the registered ones are an error: the
files of an earlier release would no longer fit.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from TumorLoopLib.panel.sample_data import CHECKSUMS, NAME, file_name

from tests.slicer_extension.packaging.icon import ICONS
from training.phantoms.files import write_cases

#: A head with a tumor of 4 mL necrotic core, 16 mL edema and 6 mL enhancing tumor.
SEED = 9
#: Pixels of a side of each of the thumbnail's two slices.
THUMBNAIL = 128


def write_volumes(folder: Path, thumbnail: Path | None = None) -> dict[str, str]:
    """Write the volumes, and the thumbnail if wanted; return the volumes' SHA-256 by modality."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        (case,) = write_cases(Path(scratch), 1, seed=SEED)
        for role in CHECKSUMS:
            shutil.copy(case / f"{case.name}_{role}.nii.gz", folder / file_name(role))
        if thumbnail is not None:
            _draw(*(_array(case / f"{case.name}_{name}.nii.gz") for name in ("t1ce", "flair", "seg"))).save(thumbnail)
    return {role: hashlib.sha256((folder / file_name(role)).read_bytes()).hexdigest() for role in CHECKSUMS}


def _array(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.Nifti1Image.from_filename(path).dataobj)


def _draw(t1ce: np.ndarray, flair: np.ndarray, label: np.ndarray) -> Image.Image:
    """Draw the axial slice with most of the tumor, in T1ce and FLAIR side by side, without the empty border."""
    k = int(np.count_nonzero(label, axis=(0, 1)).argmax())
    x, y = (np.flatnonzero(flair[:, :, k].any(axis=axis)) for axis in (1, 0))
    center, half = ((x[0] + x[-1]) // 2, (y[0] + y[-1]) // 2), max(x[-1] - x[0], y[-1] - y[0]) // 2 + 4
    slices = []
    for volume in (t1ce, flair):
        image = volume[center[0] - half : center[0] + half, center[1] - half : center[1] + half, k].T
        slices.append(np.clip(255.0 * image / np.percentile(image[image > 0], 99.8), 0, 255).astype(np.uint8))
    return Image.fromarray(np.hstack(slices)).resize((2 * THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)


def main(folder: Path) -> int:
    """Write everything; return 1 if the checksums are not those that are registered."""
    found = write_volumes(folder, ICONS / f"{NAME}.png")
    for role, checksum in found.items():
        print(f"{checksum}  {file_name(role)}{'' if checksum == CHECKSUMS[role] else '  (not the registered one)'}")
    return int(found != CHECKSUMS)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "sample-data")))
