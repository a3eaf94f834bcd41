"""DICOM studies as clients send them: small, in a ZIP or as single files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydicom

from tests import synthetic
from tests.training.dicom.made_series import Study, made_series
from training.images.grid import Grid, Volume
from training.modalities import ROLES

#: Of the patient of :class:`tests.training.dicom.made_series.Study`: must not appear anywhere but in the headers.
SECRETS = ("Doe", "Jane", "P-0815")

Series = Mapping[str, list[pydicom.FileDataset]]


def small_grid(spacing: float = 2.0) -> Grid:
    """A grid of axial slices on which the head of :mod:`tests.synthetic` fits."""
    shape = (32, 36, 30)
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    affine[:3, 3] = (np.array(shape) - 1) / 2 * spacing * [1, 1, -1]
    return Grid(shape, affine)


def series_of(volume: Volume, role: str, study: Study, number: int, **attributes: Any) -> list[pydicom.FileDataset]:
    """Make the series of an axial volume (LPS axes)."""
    affine = volume.grid.affine
    return made_series(
        role,
        study=study,
        data=np.ascontiguousarray(volume.data.transpose(2, 1, 0).astype(np.int16)),
        number=number,
        origin=(-affine[0, 3], -affine[1, 3], affine[2, 3]),
        spacing=(volume.grid.spacing[1], volume.grid.spacing[0]),
        step=volume.grid.spacing[2],
        **attributes,
    )


def stripped_study(study: Study | None = None, *, bright: float = 1.0, **attributes: Any) -> dict[str, Any]:
    """Make a study whose series are stripped and aligned, numbered from 1: it needs no preprocessing, so it is quick.

    Args:
        study: What the series share.
        bright: Factor of the intensities, to have another head.
        attributes: Of all series, by DICOM keyword.
    """
    study = study or Study()
    volumes = synthetic.four_volumes(small_grid())
    brighter = {role: Volume(volumes[role].data * bright, volumes[role].grid) for role in ROLES}
    return {role: series_of(brighter[role], role, study, number + 1, **attributes) for number, role in enumerate(ROLES)}


def contents_of(series: Series, folder: str = "Doe^Jane/P-0815") -> dict[str, bytes]:
    """Return the files of a study by name; the names are those of the patient, as scanners write them."""
    files = {}
    for role, instances in series.items():
        for number, instance in enumerate(instances):
            buffer = io.BytesIO()
            pydicom.dcmwrite(buffer, instance, write_like_original=False)
            files[f"{folder}/{role}/IM{number:04d}"] = buffer.getvalue()
    return files


def zipped(series: Series, **more: bytes) -> bytes:
    """Return a study as a ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in {**contents_of(series), **more}.items():
            archive.writestr(name, content)
    return buffer.getvalue()
