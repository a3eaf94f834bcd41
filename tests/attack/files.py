"""Files that are none, that lie about themselves, or that unpack into far more than they seem."""

from __future__ import annotations

import gzip
import io
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tests import synthetic
from tests.attack.attack import Attack
from tests.attack.samples import CASE, bomb, four_volumes, label, labels, meta_image, nifti, nrrd_bomb
from tests.attack.targets import Run, request

_GROUP = "a file made to harm"
Content = Callable[[], bytes]
#: The beginning of a DICOM file, without anything in it.
_DICOM = bytes(128) + b"DICM"


def _four(**fields: Any) -> bytes:
    return nifti(np.stack([labels()] * 4, axis=-1).astype(np.int16), **fields)


def _affine(**fields: Any) -> Content:
    return lambda: nifti(labels(), sform_code=1, **fields)


#: Labels that can be none, with the name they are sent under.
LABELS: dict[str, tuple[str, Content]] = {
    "nothing at all": ("label.nii.gz", lambda: b""),
    "text": ("label.nii.gz", lambda: b"this is no label"),
    "a program": ("label.exe", lambda: b"MZ" + bytes(500)),
    "cut off in the middle": ("label.nii.gz", lambda: label()[:-500]),
    "four volumes": ("label.nii.gz", _four),
    "fractions": ("label.nii.gz", lambda: nifti(labels().astype(np.float32) / 2)),
    "values that nobody knows": ("label.nii.gz", lambda: nifti(labels() * 40)),
    "not a number": ("label.nii.gz", lambda: nifti(np.full(labels().shape, np.nan, np.float32))),
    "a value that turns into 1 in 32 bits": ("label.nii.gz", lambda: nifti(np.where(labels(), 2.0**32 + 1, 0.0))),
    "another grid": ("label.nii.gz", lambda: nifti(labels()[1:], synthetic.brats_grid((47, 56, 48)))),
    "NaN in the affine": ("label.nii.gz", _affine(srow_x=[np.nan, 0, 0, 0])),
    "infinity in the affine": ("label.nii.gz", _affine(srow_y=[0, np.inf, 0, 0])),
    "an affine without volume": ("label.nii.gz", _affine(srow_z=[0, 0, 0, 0])),
    "a header that claims 10^12 voxels": (
        "label.nii", lambda: nifti(labels(), packed=False, dim=[3, *[10000] * 3, 1, 1, 1, 1]),
    ),
    "a gzip bomb of 512 MiB": ("label.nii.gz", bomb),
    "a NRRD bomb of 512 MiB": ("label.nrrd", nrrd_bomb),
}  # fmt: skip

#: Images that can be none, sent for an inference.
IMAGES: dict[str, tuple[str, Content]] = {
    "nothing at all": ("image.nii.gz", lambda: b""),
    "text": ("image.nii.gz", lambda: b"this is no image"),
    "a header that claims 10^12 voxels": ("image.nii", lambda: _four(packed=False, dim=[4, *[10000] * 3, 4, 1, 1, 1])),
    "a gzip bomb of 512 MiB": ("image.nii.gz", bomb),
    "a NRRD bomb of 512 MiB": ("image.nrrd", nrrd_bomb),
    "a MetaImage of 10^12 voxels": ("image.mha", lambda: meta_image("10000 10000 10000")),
    "a MetaImage whose voxels are /etc/passwd": ("image.mhd", lambda: meta_image(file="/etc/passwd")),
    "a MetaImage that lists other files": ("image.mhd", lambda: meta_image(file="LIST\n/etc/passwd")),
    "NaN in the affine": ("image.nii.gz", lambda: _four(sform_code=1, srow_x=[np.nan, 0, 0, 0])),
    "infinity in the affine": ("image.nii.gz", lambda: _four(sform_code=1, srow_x=[np.inf, 0, 0, 0])),
    "complex numbers": ("image.nii.gz", lambda: nifti(np.ones((8, 8, 8, 4), np.complex64))),
    "seven dimensions": ("image.nii.gz", lambda: nifti(np.ones((4, 4, 4, 2, 2, 2, 2), np.int16))),
}  # fmt: skip


def _zipped(entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def _link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


#: Archives with a DICOM study that is none.
ARCHIVES: dict[str, Content] = {
    "512 MiB of nothing": lambda: _zipped([("IM1", _DICOM + bytes(2**29))]),
    "100,000 files": lambda: _zipped((str(number), b"") for number in range(100_000)),
    "a link to /etc/passwd": lambda: _zipped([(_link("IM1"), b"/etc/passwd")]),
    "no image at all": lambda: _zipped([("IM1", _DICOM)]),
}


def attacks() -> Iterator[Attack]:
    """Yield the attacks with files."""
    for what, file in LABELS.items():
        yield Attack(_GROUP, f"label: {what}", _file("PUT", f"/datastore/label?image={CASE}&tag=final", "label", *file))
    for what, file in IMAGES.items():
        yield Attack(_GROUP, f"image: {what}", _file("POST", "/infer/tumorloop", "file", *file, data={"params": "{}"}))
    bad: dict[str, tuple[str, Content]] = {"an empty file": ("0.nii.gz", bytes), "a gzip bomb": ("bomb.nii.gz", bomb)}
    for what, file in bad.items():
        yield Attack(_GROUP, f"upload: {what} as a case", _file("PUT", "/datastore/?image=harmful", "file", *file))
    run = _file("PUT", "/session/?uncompress=true", "files", "volumes.zip", _archive)
    yield Attack(_GROUP, "session: an archive that unpacks to elsewhere", run)
    for what, archive in ARCHIVES.items():
        run = _file("PUT", "/session/", "files", "study.zip", archive)
        yield Attack(_GROUP, f"session: a DICOM archive of {what}", run)
    run = _file("PUT", "/cases/harmful", "files", "study.zip", ARCHIVES["512 MiB of nothing"])
    yield Attack(_GROUP, "case: a DICOM archive of 512 MiB of nothing", run)
    many = [("files", (f"t1-{number}.nii.gz", gzip.compress(b"x"))) for number in range(200)]
    yield Attack(_GROUP, "session: 200 files", request("PUT", "/session/", files=many))
    program = [("files", (f"{role}.nii.gz", nifti(labels()))) for role in ("t1", "t1ce", "t2", "flair")]
    program.append(("files", ("sitecustomize.py", b"raise SystemExit")))
    yield Attack(_GROUP, "session: a program beside the volumes", request("PUT", "/session/", files=program))


def _file(method: str, address: str, field: str, name: str, content: Content, **more: Any) -> Run:
    """Send a file, made only then: some are large."""
    return lambda target: target.send(method, address, files={field: (name, content())}, timeout=60, **more)


def _archive() -> bytes:
    return _zipped([("../../../elsewhere/written.nii.gz", four_volumes())])
