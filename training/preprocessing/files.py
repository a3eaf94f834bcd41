"""Preprocessed volumes in a folder: an ordinary case, with the brain mask and the transforms beside it.

``CASE_t1.nii.gz`` ... hold the volumes, ``CASE_brainmask.nii.gz`` the brain, ``CASE_flair_to_t1ce.tfm`` the transform
of each series that was moved (ITK's text format, which 3D Slicer opens as a linear transform that moves the series as
it was scanned onto the reference), and ``preprocessing.json`` what was done.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import publish_folder, write_json, write_with
from training.images.grid import LPS_TO_RAS, Volume
from training.images.write import write_labelmap, write_volume
from training.preprocessing.preprocess import PREPROCESSING_VERSION, Preprocessed

#: What was done to a case, in its folder.
SUMMARY = "preprocessing.json"


def summary(done: Preprocessed) -> dict[str, Any]:
    """Return what was done as plain data.

    ``matrix`` of an alignment is 4x4, RAS mm of the reference to RAS mm of the series as it was scanned.
    """
    return {
        "reference": done.reference,
        "changed": done.changed,
        "steps": list(done.steps),
        "warnings": list(done.warnings),
        "alignments": {
            role: {
                "matrix": found.matrix.tolist(),
                "degrees": round(found.degrees, 2),
                "mm": round(found.mm, 2),
                "similarity": round(found.similarity, 4),
                "similarity_before": round(found.similarity_before, 4),
                "sharpness": round(found.sharpness, 3),
                "mirrored": found.mirrored,
                "trusted": found.trusted,
                "moved": role in done.moved,
                "seconds": round(found.seconds, 2),
            }
            for role, found in done.alignments.items()
        },
        "brain_ml": None if done.brain is None else brain_ml(done.brain),
        "seconds": done.seconds,
    }


def brain_ml(brain: Volume) -> float:
    """Return the volume of a brain mask in mL."""
    return round(float(np.count_nonzero(brain.data)) * brain.grid.voxel_ml, 1)


def write_preprocessed(
    done: Preprocessed, folder: Path, name: str, *, key: str = "", label: Volume | None = None, overwrite: bool = False
) -> Path:
    """Write an ordinary case; the folder appears complete or not at all.

    Args:
        done: The volumes.
        folder: The folder to create.
        name: Of the case, with which the files begin.
        key: Kept for :func:`written_key`.
        label: Its label, on the grid of the reference.
        overwrite: Replace a folder that is there.

    Raises:
        FileExistsError: If the folder is there and may not be replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        for role, volume in done.volumes.items():
            write_volume(volume, temporary / f"{name}_{role}.nii.gz")
        if done.brain is not None:
            write_volume(done.brain, temporary / f"{name}_brainmask.nii.gz")
        for role in done.moved:
            path = temporary / f"{name}_{role}_to_{done.reference}.tfm"
            write_transform(done.alignments[role].matrix, path)
        if label is not None:
            write_labelmap(label, temporary / f"{name}_seg.nii.gz")
        about = {"preprocessing_version": PREPROCESSING_VERSION, "key": key, **summary(done)}
        write_json(temporary / SUMMARY, about)
        if overwrite and folder.exists():
            shutil.rmtree(folder)
        publish_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def written_key(folder: Path) -> str | None:
    """Return the key with which a folder was written; ``None`` if it was not written by this version."""
    try:
        about = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(about, dict) or about.get("preprocessing_version") != PREPROCESSING_VERSION:
        return None
    return str(about.get("key"))


def write_transform(matrix: np.ndarray, path: Path) -> Path:
    """Write a transform as ITK's text format (``.tfm``), in LPS mm.

    Args:
        matrix: 4x4, RAS mm of the reference to RAS mm of the moving series: ITK maps points in this direction, too.
        path: With the ending ``.tfm``.
    """
    import SimpleITK as sitk

    lps = LPS_TO_RAS @ matrix @ LPS_TO_RAS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return write_with(path, lambda temporary: sitk.WriteTransform(transform, str(temporary)))
