"""Forms with the hundreds of files of a DICOM study: few at once, since small files are held in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from server_app.api import upload_route
from server_app.api.upload_route import MAX_DICOM_FILES, MAX_FILES, _DicomForm, _LimitedForm

_HEADERS = [(b"content-type", b"multipart/form-data; boundary=x")]


def read(count: int, kind: type[_LimitedForm] = _DicomForm, part: int = 50) -> FormData:
    """Receive a form of so many files, in parts of so many bytes."""
    head = b'Content-Disposition: form-data; name="files"; filename="IM1"'
    body = b"".join(b"--x\r\n" + head + b"\r\n\r\n%d\r\n" % number for number in range(count)) + b"--x--\r\n"
    parts = [body[start : start + part] for start in range(0, len(body), part)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    scope = {"type": "http", "method": "PUT", "path": "/session/", "headers": _HEADERS, "app": None}
    return asyncio.run(_form(kind(scope, receive)))


async def _form(request: _LimitedForm) -> FormData:
    return await request.form()


def test_a_study_may_have_many_files_and_other_forms_may_not() -> None:
    assert len(read(MAX_FILES + 1).multi_items()) == MAX_FILES + 1
    assert len(read(MAX_FILES, _LimitedForm).multi_items()) == MAX_FILES
    for count, kind in ((MAX_FILES + 1, _LimitedForm), (MAX_DICOM_FILES + 1, _DicomForm)):
        with pytest.raises(HTTPException) as caught:
            read(count, kind, part=4000)
        assert caught.value.status_code == 400


def test_only_two_such_forms_are_received_at_once_and_small_ones_meanwhile() -> None:
    held = upload_route._LARGE_FORMS
    assert held.acquire(blocking=False)
    read(MAX_FILES + 1)
    assert held.acquire(blocking=False)
    try:
        with pytest.raises(HTTPException) as caught:
            read(MAX_FILES + 1)
        assert caught.value.status_code == 503
        read(MAX_FILES)
    finally:
        held.release()
        held.release()
    read(MAX_FILES + 1)
