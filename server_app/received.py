"""Files of a request, on disk while it lasts."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fastapi import UploadFile

from server_app.errors import input_errors
from training.errors import InputError


@contextmanager
def received(files: Sequence[UploadFile], incoming: Path, field: str = "files") -> Iterator[list[Path]]:
    """Save a request's files under their own names, in a folder that is gone afterwards.

    Args:
        files: As FastAPI hands them over.
        incoming: Where the folder is made.
        field: Of the form, for errors.

    Raises:
        HTTPException: 422 if two files bear one name, or one has none.
    """
    folder = Path(tempfile.mkdtemp(prefix="request-", dir=incoming))
    try:
        with input_errors():
            names = [_plain_name(file.filename, field) for file in files]
            for name in names:
                if names.count(name) > 1:
                    raise InputError(f"Two files bear the name {name}. Name them after their modality.", field=field)
        for name, file in zip(names, files, strict=True):
            with open(folder / name, "wb") as target:
                shutil.copyfileobj(file.file, target, 1 << 20)
        yield [folder / name for name in names]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parsed(params: str | None, field: str = "params") -> dict[str, Any]:
    """Read a form's JSON object.

    Raises:
        HTTPException: 422 if it is none.
    """
    with input_errors():
        try:
            content = json.loads(params) if params else {}
        except ValueError as error:
            raise InputError(f"{field} is not JSON: {error}.", field=field) from error
        if not isinstance(content, dict):
            raise InputError(f"{field} must be a JSON object.", field=field)
        return content


def _plain_name(name: str | None, field: str) -> str:
    plain = PureWindowsPath(PurePosixPath(name or "").name).name.replace("\x00", "")
    if plain in ("", ".", ".."):
        raise InputError("A file was sent without a name. Name it after its modality, as t1.nii.gz.", field=field)
    return plain[-120:]
