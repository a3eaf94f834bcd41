"""Reading what a server answered: JSON, files, and errors in all the forms they come in."""

from __future__ import annotations

import gzip
import html
import http.client
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from TumorLoopLib.client import multipart
from TumorLoopLib.client.errors import (
    BadReply,
    Cancelled,
    ClientError,
    LocalFileError,
    NotAuthorized,
    RequestRejected,
    ServerFailed,
)
from TumorLoopLib.client.sockets import CHUNK
from TumorLoopLib.client.transport import Progress, read_body
from TumorLoopLib.i18n import _

#: Endings of volume files, longest first.
VOLUME_ENDINGS = (".seg.nrrd", ".nii.gz", ".nrrd", ".nii", ".mha", ".nhdr")
_LONGEST_ERROR = 400
#: Statuses with a meaning of their own on a TumorLoop server: a job that was cancelled, and a full disk.
_CANCELLED, _DISK_FULL = 499, 507


def read_json(response: http.client.HTTPResponse) -> Any:
    """Return the decoded JSON of a response.

    Raises:
        RequestRejected, ServerFailed: If the status says so.
        BadReply: If it is not JSON.
    """
    pieces: list[bytes] = []
    read_body(response, pieces.append)
    content = b"".join(pieces)
    raise_for_status(response, content)
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadReply(
            _("What answers there is no TumorLoop server: it sends {kind}. Check the address.").format(
                kind=_kind(response)
            )
        ) from error


def read_error(response: http.client.HTTPResponse) -> None:
    """Raise the error that a response carries; do nothing, and read nothing, when it is a success."""
    if 200 <= response.status < 300:
        return
    pieces: list[bytes] = []
    read_body(response, pieces.append)
    raise_for_status(response, b"".join(pieces))


def raise_for_status(response: http.client.HTTPResponse, content: bytes) -> None:
    """Raise the typed error for any status but 2xx."""
    status = response.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise BadReply(
            _("The server redirects to {address}. Use that address instead.").format(
                address=response.getheader("Location")
            )
        )
    field, message = _explanation(content)
    if status == _CANCELLED:
        raise Cancelled(message or _("Cancelled."))
    if status == _DISK_FULL and message:
        raise ServerFailed(status, message)
    if status >= 500:
        text = _("The server failed: {message} (HTTP {status}).")
        raise ServerFailed(status, text.format(message=message or response.reason, status=status))
    message = message or f"{response.reason} (HTTP {status})"
    if status in (401, 403):
        raise NotAuthorized(status, field, _("The server refuses access: {message}").format(message=message))
    raise RequestRejected(status, field, message)


def read_file(response: http.client.HTTPResponse, folder: Path, name: str, progress: Progress | None = None) -> Path:
    """Save a response's body as ``folder/name<ending>``, complete or not at all.

    The ending is that of the file name which the server announces; nothing else of that name is used.
    """
    read_error(response)
    ending = volume_ending(_announced_name(response))
    with receiving(folder) as spool:
        target = spool / f"file{ending}"
        with open(target, "wb") as sink:
            read_body(response, sink.write, progress)
            sink.flush()
            os.fsync(sink.fileno())
        return settle(target, folder / f"{name}{ending}")


def read_result(
    response: http.client.HTTPResponse, folder: Path, name: str, progress: Progress | None = None
) -> tuple[Path, dict[str, Any]]:
    """Save the segmentation of an inference reply; return its path and the ``params`` beside it."""
    content_type = response.getheader("Content-Type") or ""
    if not content_type.startswith("multipart/"):
        answer = read_json(response)
        raise BadReply(_("The server answered without a segmentation: {answer}").format(answer=str(answer)[:200]))
    read_error(response)
    with receiving(folder) as spool:
        body = spool / "body"
        with open(body, "wb") as sink:
            read_body(response, sink.write, progress)
        parts = multipart.parse(body, content_type)
        if "image" not in parts or "params" not in parts:
            raise BadReply(
                _("The server's answer lacks a part; it holds: {parts}.").format(parts=", ".join(sorted(parts)) or "–")
            )
        try:
            params = json.loads(parts["params"].read(body))
        except ValueError as error:
            raise BadReply(_("What the server says beside the segmentation cannot be read.")) from error
        if not isinstance(params, dict):
            raise BadReply(_("What the server says beside the segmentation cannot be read."))
        ending = volume_ending(parts["image"].filename)
        target = spool / f"image{ending}"
        parts["image"].copy(body, target)
        return settle(target, folder / f"{name}{ending}"), params


def settle(temporary: Path, target: Path) -> Path:
    """Check a received file and move it to its name.

    Raises:
        BadReply: If the file is empty, or gzip data that does not end as it should.
    """
    size = temporary.stat().st_size
    if size == 0:
        raise BadReply(_("The file the server sent is empty."))
    with open(temporary, "rb") as handle:
        compressed = handle.read(2) == b"\x1f\x8b"
    if compressed:
        try:
            with gzip.open(temporary, "rb") as unpacked:
                while unpacked.read(CHUNK * 16):
                    pass
        except (EOFError, OSError, zlib.error) as error:
            raise BadReply(_("The file the server sent is damaged or incomplete.")) from error
    os.replace(temporary, target)
    return target


@contextmanager
def receiving(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder inside ``folder``, gone afterwards; local disk trouble becomes LocalFileError."""
    scratch: str | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=".receiving-", dir=folder)
        yield Path(scratch)
    except ClientError:
        raise
    except OSError as error:
        raise LocalFileError(
            _("The answer cannot be saved in {folder} ({reason}).").format(
                folder=folder, reason=error.strerror or error
            )
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def volume_ending(name: str) -> str:
    """Return the ending of a volume's file name, in lower case; ``.nii.gz`` when it has none we know."""
    lowered = name.lower()
    return next((ending for ending in VOLUME_ENDINGS if lowered.endswith(ending)), ".nii.gz")


def _announced_name(response: http.client.HTTPResponse) -> str:
    header = response.getheader("Content-Disposition") or ""
    found = re.search(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)", header, re.IGNORECASE)
    return found.group(1) if found else ""


def _explanation(content: bytes) -> tuple[str, str]:
    """Return the field and the message of an error body: FastAPI's three forms, plain text, or HTML."""
    text = content.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        return "", _plain(text)
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, dict):
        message = detail.get("message") or detail.get("msg") or json.dumps(detail)
        return str(detail.get("field") or ""), str(message)
    if isinstance(detail, list):
        items = [item for item in detail if isinstance(item, dict)]
        fields = [".".join(str(step) for step in item.get("loc", ())[1:]) for item in items]
        texts = [f"{name}: {item.get('msg', '')}" for name, item in zip(fields, items)]
        return (fields[0] if fields else ""), "; ".join(texts) or str(detail)
    return "", _plain(str(detail))


def _plain(text: str) -> str:
    """Turn an HTML page (a proxy's or a web server's) into one short line."""
    text = re.sub(r"(?is)<(script|style).*?</\1>", " ", text)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return " ".join(text.split())[:_LONGEST_ERROR]


def _kind(response: http.client.HTTPResponse) -> str:
    return (response.getheader("Content-Type") or "something without a type").split(";")[0]
