"""The files of a request, on disk while it is answered, and checked before anything reads them."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fastapi import UploadFile

from server_app.api.dicom_files import is_dicom
from server_app.common.strict_json import strict_json
from server_app.errors import input_errors, refusal
from server_app.settings import Limits
from training.errors import InputError
from training.images.nifti import write_joined
from training.images.read import READERS, header_beside, image_ending, image_files, read_header
from training.spans import span

#: Maximum number of bytes in a file's name; the ending is kept.
_MAX_NAME = 200
#: ``..`` between slashes of any kind, also percent-encoded, and control characters.
_WAY_UP = re.compile(r"(^|[/\\]|%2f|%5c)(\.|%2e){2}([/\\]|%2f|%5c|$)|[\x00-\x1f\x7f]", re.IGNORECASE)


@contextmanager
def received(files: Sequence[UploadFile], incoming: Path, field: str = "files") -> Iterator[list[Path]]:
    """Save a request's files under their own names, in a folder that is deleted afterwards.

    Args:
        files: From FastAPI.
        incoming: Where the folder is made.
        field: Of the form, for errors.

    Raises:
        HTTPException: 422 if two files have the same name, a name is empty or contains ``..``, a file has too many
            voxels, or keeps them in another file. A pair, ``.hdr`` and ``.img``, becomes one ``.nii``. 507 if the disk
            is nearly full, unless it is a label.
    """
    limits = Limits.of_server()
    if field != "label" and shutil.disk_usage(incoming).free < limits.min_free_bytes:
        raise refusal(
            507, "disk", "The server's disk is nearly full; the rest is reserved for labels. Nothing was stored."
        )
    folder = Path(tempfile.mkdtemp(prefix="request-", dir=incoming))
    try:
        with input_errors():
            names = [_plain_name(file.filename, field) for file in files]
            # DICOM files of several series have the same names, which are often those of patients
            dicom = [is_dicom(file.file, name) for file, name in zip(files, names, strict=True)]
            names = [f"{number:05d}.dcm" if dicom[number] else name for number, name in enumerate(names)]
            for name in names:
                if names.count(name) > 1:
                    raise InputError(f"Two files have the name {name}. Name them after their modality.", field=field)
        for name, file in zip(names, files, strict=True):
            with span("store"), open(folder / name, "wb") as target:
                shutil.copyfileobj(file.file, target, 1 << 20)
            file.file.close()  # small ones are held in memory
        paths = [folder / name for name in names]
        with input_errors():
            check_voxels(paths, limits.max_voxels, field)
            paths = _one_file_each(paths, field)
        yield paths
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one_file_each(paths: Sequence[Path], field: str) -> list[Path]:
    """Join the pairs; refuse other images that consist of two files: what stores an image copies one."""
    single = []
    for path in [path for path in paths if header_beside(path) is None]:  # voxels are joined with their header
        parts = image_files(path)
        if len(parts) == 1:
            single.append(path)
            continue
        ending = image_ending(path) or ""
        joined = path.with_name(f"{path.name[: -len(ending)]}.nii")
        if ending not in (".hdr", ".hdr.gz") or joined.exists():
            names = " and ".join(part.name for part in parts)
            raise InputError(
                f"{names} are one image in two files. Send it as one file, such as t1.nii.gz.", field=field
            )
        write_joined(path, joined)
        for part in parts:
            part.unlink()
        single.append(joined)
    return single


def parsed(params: str | None, field: str = "params") -> dict[str, Any]:
    """Parse a form's JSON object; 422 if it is not one."""
    with input_errors():
        try:
            content = strict_json(params) if params else {}
        except ValueError as error:
            raise InputError(f"{field} is not JSON: {error}.", field=field) from error
        if not isinstance(content, dict):
            raise InputError(f"{field} must be a JSON object.", field=field)
        return content


def check_endings(files: Iterable[Path]) -> None:
    """Refuse files that are not volumes, by their endings: a session would keep them although nothing reads them."""
    for path in files:
        if image_ending(path) is None:
            known = ", ".join(READERS)
            raise InputError(f"{path.name} is not an image volume. Send files that end in {known}.", field="files")


def check_voxels(files: Iterable[Path], most: int, field: str) -> None:
    """Refuse files with too many voxels, all volumes together, by their headers; any that are not images are ignored.

    Raises:
        InputError: Naming the file and the number of voxels.
    """
    for path in files:
        voxels = _voxels(path)
        if voxels > most:
            raise InputError(f"{path.name} has {voxels:,} voxels; the maximum is {most:,}.", field=field)


def _voxels(path: Path) -> int:
    try:
        grid, volumes = read_header(path)
    except InputError:
        return 0
    return math.prod(grid.shape) * volumes


def _plain_name(name: str | None, field: str) -> str:
    """Return the last part of a file's name: MONAI Label's client sends the file's whole path."""
    name = name or ""
    if _WAY_UP.search(name):
        raise InputError(
            f"A file cannot be called {name[:80]!r}. Name it after its modality, as t1.nii.gz.", field=field
        )
    plain = PureWindowsPath(PurePosixPath(name).name).name
    if plain in ("", "."):
        raise InputError("A file was sent without a name. Name it after its modality, as t1.nii.gz.", field=field)
    return plain.encode("utf-8", "replace")[-_MAX_NAME:].decode("utf-8", "ignore")
