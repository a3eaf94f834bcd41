"""Writing volumes and labelmaps: NIfTI, NRRD, and segmentations for 3D Slicer.

Every format keeps the affine of the volume. Files are written atomically.

If the grid was read from a NIfTI file, a NIfTI file gets that file's sform, qform, codes and unit, so that every viewer
lays it on the image, whichever it uses. A NRRD file has one affine: that with which ITK, and so 3D Slicer, shows the
image.

A ``.seg.nrrd`` is a NRRD with ``Segment<N>_*`` and ``Segmentation_*`` fields, as 3D Slicer's
``vtkMRMLSegmentationStorageNode`` reads and writes them. All segments share one layer, and Slicer crops a layer to the
extent of its first segment, so each segment has the extent of the whole volume.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import write_with
from training.errors import InputError
from training.images.compression import gzip_writer
from training.images.grid import LPS_TO_RAS, Grid, Volume
from training.images.nrrd import STATEMENT_FIELD
from training.images.position import write_nifti_position
from training.label_schemes import statement
from training.labels import BRAIN, LABELS, Code, Label, check_labelmap, to_brats_values

#: File endings that can be written.
EXPORT_ENDINGS: tuple[str, ...] = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd")
#: Voxel types in which a labelmap can be written, the usual one first.
LABELMAP_DTYPES: tuple[str, ...] = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float32", "float64"),
)

_CATEGORY_CONTEXT = "Segmentation category and type - DICOM master list"
_ANATOMY_CONTEXT = "Anatomic codes - DICOM master list"


def write_labelmap(
    volume: Volume, path: Path | str, *, brats_values: bool = False, dtype: str = "uint8", compress: bool = True
) -> Path:
    """Write a labelmap in the format of the file ending; return the path.

    Args:
        volume: ``(x, y, z)`` with the values of :mod:`training.labels`.
        path: With one of :data:`EXPORT_ENDINGS`. ``.seg.nrrd`` includes names, colors and terminology; the others say
            in their header what the values mean, so that :mod:`training.cases.label_files` recognizes them.
        brats_values: Write enhancing tumor as 4, as in BraTS 2017-2021.
        dtype: One of :data:`LABELMAP_DTYPES`.
        compress: Whether to compress the voxels. ``.nii`` never is; ``.nii.gz`` is always a gzip file, which holds the
            voxels as they are if this is false.

    Raises:
        InputError: If the ending is not known.
        ValueError: If the volume holds other values, or the dtype is another one.
    """
    path = Path(path)
    ending = export_ending(path)
    check_labelmap(volume.data)
    if dtype not in LABELMAP_DTYPES:
        raise ValueError(f"a labelmap cannot be written as {dtype}")
    values = volume.data.astype(np.uint8, copy=False)
    values = to_brats_values(values) if brats_values else values
    said = statement(values, "brats-2017" if brats_values else "tumorloop")
    values = values.astype(dtype, copy=False)
    if ending in (".nii", ".nii.gz"):
        return _write_nifti(values, volume.grid, path, said, compress=compress)
    fields = _segment_fields(volume.grid, brats_values) if ending == ".seg.nrrd" else {STATEMENT_FIELD: said}
    return _write_nrrd(values, volume.grid, path, fields, compress=compress)


def write_volume(volume: Volume, path: Path | str) -> Path:
    """Write an image or a probability map in the format of the file ending; return the path.

    Args:
        volume: ``(x, y, z)``, any real dtype; float64 is written as float32.
        path: With the ending ``.nii``, ``.nii.gz`` or ``.nrrd``.

    Raises:
        InputError: If the ending is not known.
    """
    path = Path(path)
    ending = export_ending(path)
    if ending == ".seg.nrrd":
        raise InputError(f"{path}: .seg.nrrd is for labels; write an image as .nrrd or .nii.gz.", field="path")
    data = volume.data.astype(np.float32) if volume.data.dtype == np.float64 else volume.data
    if ending == ".nrrd":
        return _write_nrrd(data, volume.grid, path, {})
    return _write_nifti(data, volume.grid, path)


def export_ending(path: Path | str) -> str:
    """Return the ending of a path, one of :data:`EXPORT_ENDINGS`.

    Raises:
        InputError: If it has another one.
    """
    name = Path(path).name.lower()
    for ending in EXPORT_ENDINGS:
        if name.endswith(ending):
            return ending
    raise InputError(f"{path} cannot be written: choose one of {', '.join(EXPORT_ENDINGS)}.", field="path")


def terminology_entry(label: Label) -> str:
    """Return the codes of a label in the form of 3D Slicer's segment tags.

    Examples:
        >>> from training.labels import NCR
        >>> terminology_entry(NCR).split("~")[1:3]
        ['SCT^49755003^Morphologically Altered Structure', 'SCT^6574001^Necrosis']
    """
    empty = "^^"
    codes = [_code(label.category), _code(label.type), empty]
    return "~".join([_CATEGORY_CONTEXT, *codes, _ANATOMY_CONTEXT, _code(BRAIN), empty])


def _code(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"


def _write_nifti(data: np.ndarray, grid: Grid, path: Path, description: str = "", *, compress: bool = True) -> Path:
    import nibabel

    image = _nifti_image(data, grid)
    image.header["descrip"] = description
    if not path.name.lower().endswith(".gz"):
        return write_with(path, lambda temporary: nibabel.save(image, temporary))

    def store(temporary: Path) -> None:
        with open(temporary, "wb") as file, gzip_writer(file, compress=compress) as stream:
            image.to_stream(stream)

    return write_with(path, store)


def _nifti_image(data: np.ndarray, grid: Grid) -> Any:
    """Return an image of nibabel, with the position of the grid's file or, without one, the affine in both forms."""
    import nibabel

    # nibabel writes 64-bit integers only where they are asked for by name
    if grid.position is not None and grid.position.nifti:
        header = nibabel.Nifti1Header()
        return nibabel.Nifti1Image(data, write_nifti_position(grid.position, header), header, dtype=data.dtype)
    image = nibabel.Nifti1Image(data, grid.affine, dtype=data.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code="scanner")
    # A qform cannot hold shear; on a sheared grid it would contradict the sform.
    axes = grid.affine[:3, :3] / np.asarray(grid.spacing)
    rigid = np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    image.set_qform(grid.affine if rigid else None, code="scanner" if rigid else "unknown")
    return image


def _write_nrrd(data: np.ndarray, grid: Grid, path: Path, fields: dict[str, str], *, compress: bool = True) -> Path:
    import nrrd

    to_lps = LPS_TO_RAS @ grid.itk_affine
    header: dict[str, Any] = OrderedDict()
    header["space"] = "left-posterior-superior"
    header["kinds"] = ["domain", "domain", "domain"]
    header["space directions"] = to_lps[:3, :3].T  # one row per axis: the columns of the affine
    header["space origin"] = to_lps[:3, 3]
    if grid.position is not None and not grid.position.nifti:
        header["space units"] = [grid.position.unit] * 3
    header["encoding"] = "gzip" if compress else "raw"
    header.update(fields)
    if not compress:
        return write_with(path, lambda temporary: nrrd.write(str(temporary), data, header))

    def store(temporary: Path) -> None:
        plain = io.BytesIO()  # pynrrd compresses with zlib only
        nrrd.write(plain, data, {**header, "encoding": "raw"})
        plain.seek(0)
        lines = b"".join(iter(plain.readline, b"\n"))  # up to the blank one, which ends the header
        with open(temporary, "wb") as file:
            file.write(lines.replace(b"\nencoding: raw\n", b"\nencoding: gzip\n") + b"\n")
            with gzip_writer(file) as stream:
                stream.write(plain.getbuffer()[plain.tell() :])

    return write_with(path, store)


def _segment_fields(grid: Grid, brats_values: bool) -> dict[str, str]:
    extent = " ".join(f"0 {side - 1}" for side in grid.shape)
    fields = OrderedDict(
        Segmentation_ContainedRepresentationNames="Binary labelmap|",
        Segmentation_MasterRepresentation="Binary labelmap",
        Segmentation_ReferenceImageExtentOffset="0 0 0",
    )
    for number, label in enumerate(LABELS):
        prefix = f"Segment{number}_"
        fields[prefix + "Color"] = " ".join(f"{part / 255:.6g}" for part in label.color)
        fields[prefix + "ColorAutoGenerated"] = "0"
        fields[prefix + "Extent"] = extent
        fields[prefix + "ID"] = label.key
        fields[prefix + "LabelValue"] = str(label.brats if brats_values else label.value)
        fields[prefix + "Layer"] = "0"
        fields[prefix + "Name"] = label.name
        fields[prefix + "NameAutoGenerated"] = "0"
        fields[prefix + "Tags"] = f"TerminologyEntry:{terminology_entry(label)}|"
    return fields
