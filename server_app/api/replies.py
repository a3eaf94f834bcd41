"""Volumes for clients that read only NRRD, converted from whatever is on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from fastapi import Response

from server_app.cases.preprocessed import without_fractions
from server_app.common.read_limit import reading
from server_app.errors import input_errors, refusal
from training.cases.case import Case
from training.images.read import read_labelmap, read_volume
from training.images.write import write_labelmap, write_volume

#: The formats in which a label or a map can be requested; the first is that of the file on disk.
ENDINGS = (".nii.gz", ".nrrd")


def checked_ending(ending: str) -> str:
    """Return an ending of :data:`ENDINGS`; 422 for another."""
    if ending not in ENDINGS:
        raise refusal(422, "ending", f"ending must be {' or '.join(ENDINGS)}, not {ending[:20]!r}.")
    return ending


def volume_reply(case: Case, role: str, incoming: Path, name: str | None = None) -> Response:
    """Return a response with one volume of a case as NRRD, with the same voxels and affine.

    Integers are sent as such: half the size, and exact. Others are float32, as for the network.

    Raises:
        HTTPException: 422 if the file cannot be used.
    """
    with input_errors(), reading():
        volume = without_fractions(case.read(role))
    return _nrrd(lambda path: write_volume(volume, path), name or f"{case.id}-{role}", incoming)


def labelmap_reply(file: Path, name: str, incoming: Path) -> Response:
    """Return a response with a labelmap as NRRD, with TumorLoop's values."""
    with input_errors():
        labelmap = read_labelmap(file)
    return _nrrd(lambda path: write_labelmap(labelmap, path), name, incoming)


def map_reply(file: Path, name: str, incoming: Path) -> Response:
    """Return a response with a map as NRRD."""
    with input_errors():
        volume = read_volume(file)
    return _nrrd(lambda path: write_volume(volume, path), name, incoming)


def _nrrd(write: Callable[[Path], Path], name: str, incoming: Path) -> Response:
    """Return the file that ``write`` makes, read into memory, so that nothing is left if the client disconnects."""
    with tempfile.TemporaryDirectory(prefix="reply-", dir=incoming) as folder:
        content = write(Path(folder) / f"{name}.nrrd").read_bytes()
    headers = {"Content-Disposition": f'attachment; filename="{name}.nrrd"'}
    return Response(content, media_type="application/octet-stream", headers=headers)
