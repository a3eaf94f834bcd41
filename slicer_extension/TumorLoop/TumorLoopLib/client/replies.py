"""Reading the server's answers: JSON, files, and errors in all their forms."""

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
from collections.abc import Callable, Iterator
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
#: Maximum number of bytes of an answer that is kept in memory, and of a file, also once it is unpacked: a server may
#: have been replaced by one that sends without an end.
_MAX_TEXT, _MAX_FILE = 64 << 20, 2 << 30
#: Statuses with a special meaning on a TumorLoop server: a cancelled job, and a full disk.
_CANCELLED, _DISK_FULL = 499, 507


def read_json(response: http.client.HTTPResponse) -> Any:
    """Return the decoded JSON of a response.

    Raises:
        RequestRejected, ServerFailed: If the status says so.
        BadReply: If it is not JSON.
    """
    content = _read_text(response)
    raise_for_status(response, content)
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadReply(
            _("There is no TumorLoop server at that address: the answer is {kind}. Check the address.").format(
                kind=_content_type(response)
            )
        ) from error


def read_error(response: http.client.HTTPResponse) -> None:
    """Raise the error of a response; do nothing, and read nothing, if it is a success."""
    if 200 <= response.status < 300:
        return
    raise_for_status(response, _read_text(response))


def raise_for_status(response: http.client.HTTPResponse, content: bytes) -> None:
    """Raise the matching error for any status but 2xx."""
    status = response.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise BadReply(
            _("The server redirects to {address}. Use that address instead.").format(
                address=response.getheader("Location")
            )
        )
    field, message = _field_and_message(content)
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


def read_file(
    response: http.client.HTTPResponse, folder: Path, name: str, progress: Progress | None = None, ending: str = ""
) -> Path:
    """Save a response's body as ``folder/name<ending>``, complete or not at all.

    Of the server's file name only the ending is used, and only if none is given.
    """
    read_error(response)
    ending = ending or volume_ending(_filename_of(response))
    with temporary_folder(folder) as temporary:
        target = temporary / f"file{ending}"
        with open(target, "wb") as sink:
            _read(response, sink.write, _MAX_FILE, progress)
            sink.flush()
            os.fsync(sink.fileno())
        return move_into_place(target, folder / f"{name}{ending}")


def read_result(
    response: http.client.HTTPResponse, folder: Path, name: str, progress: Progress | None = None
) -> tuple[Path, dict[str, Any]]:
    """Save the segmentation of an inference reply; return its path and its ``params``."""
    content_type = response.getheader("Content-Type") or ""
    if not content_type.startswith("multipart/"):
        answer = read_json(response)
        raise BadReply(_("The server answered without a segmentation: {answer}").format(answer=str(answer)[:200]))
    read_error(response)
    with temporary_folder(folder) as temporary:
        body = temporary / "body"
        with open(body, "wb") as sink:
            _read(response, sink.write, _MAX_FILE, progress)
        parts = multipart.parse(body, content_type)
        if "image" not in parts or "params" not in parts:
            raise BadReply(
                _("The server's answer lacks a part; it has: {parts}.").format(parts=", ".join(sorted(parts)) or "–")
            )
        try:
            params = json.loads(parts["params"].read(body))
        except ValueError as error:
            raise BadReply(_("The server's description of the segmentation cannot be read.")) from error
        if not isinstance(params, dict):
            raise BadReply(_("The server's description of the segmentation cannot be read."))
        ending = volume_ending(parts["image"].filename)
        target = temporary / f"image{ending}"
        parts["image"].copy(body, target)
        return move_into_place(target, folder / f"{name}{ending}"), params


def move_into_place(temporary: Path, target: Path) -> Path:
    """Check a received file and rename it to ``target``.

    Raises:
        BadReply: If the file is empty, or gzip data that is damaged or unpacks into too much.
    """
    size = temporary.stat().st_size
    if size == 0:
        raise BadReply(_("The file the server sent is empty."))
    with open(temporary, "rb") as handle:
        compressed = handle.read(2) == b"\x1f\x8b"
    if compressed:
        try:
            with gzip.open(temporary, "rb") as unpacked:
                left = _MAX_FILE
                while chunk := unpacked.read(CHUNK * 16):
                    left -= len(chunk)
                    if left < 0:
                        raise _too_large(_MAX_FILE)
        except (EOFError, OSError, zlib.error) as error:
            raise BadReply(_("The file the server sent is damaged or incomplete.")) from error
    os.replace(temporary, target)
    return target


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder inside ``folder``; errors of the local disk become LocalFileError."""
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


def _read_text(response: http.client.HTTPResponse) -> bytes:
    """Return a body that is JSON or the page of an error."""
    pieces: list[bytes] = []
    _read(response, pieces.append, _MAX_TEXT)
    return b"".join(pieces)


def _read(
    response: http.client.HTTPResponse, write: Callable[[bytes], Any], most: int, progress: Progress | None = None
) -> None:
    """Read a body of at most ``most`` bytes.

    Raises:
        BadReply: If it is larger, or compressed as a whole (Content-Encoding), which no request asks for.
    """
    coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if coding != "identity":
        raise BadReply(
            _("The answer is compressed ({coding}), perhaps by a proxy, and cannot be read.").format(coding=coding[:40])
        )
    left = most

    def limited(chunk: bytes) -> None:
        nonlocal left
        left -= len(chunk)
        if left < 0:
            raise _too_large(most)
        write(chunk)

    if (response.length or 0) > most:
        raise _too_large(most)
    read_body(response, limited, progress)


def _too_large(most: int) -> BadReply:
    return BadReply(_("The answer is larger than {size} MiB. Is this the right server?").format(size=most >> 20))


def volume_ending(name: str) -> str:
    """Return the ending of a volume's file name, in lower case; ``.nii.gz`` if it is unknown."""
    lowered = name.lower()
    return next((ending for ending in VOLUME_ENDINGS if lowered.endswith(ending)), ".nii.gz")


def _filename_of(response: http.client.HTTPResponse) -> str:
    header = response.getheader("Content-Disposition") or ""
    found = re.search(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)", header, re.IGNORECASE)
    return found.group(1) if found else ""


def _field_and_message(content: bytes) -> tuple[str, str]:
    """Return the field and the message of an error body: FastAPI's three forms, plain text, or HTML."""
    text = content.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        return "", _one_line(text)
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, dict):
        message = detail.get("message") or detail.get("msg") or json.dumps(detail)
        return str(detail.get("field") or ""), str(message)
    if isinstance(detail, list):
        items = [item for item in detail if isinstance(item, dict)]
        fields = [".".join(str(step) for step in item.get("loc", ())[1:]) for item in items]
        texts = [f"{name}: {item.get('msg', '')}" for name, item in zip(fields, items)]
        return (fields[0] if fields else ""), "; ".join(texts) or str(detail)
    return "", _one_line(str(detail))


def _one_line(text: str) -> str:
    """Convert an HTML page (a proxy's or a web server's) to one short line."""
    text = re.sub(r"(?is)<(script|style).*?</\1>", " ", text)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return " ".join(text.split())[:_LONGEST_ERROR]


def _content_type(response: http.client.HTTPResponse) -> str:
    return (response.getheader("Content-Type") or "of unknown type").split(";")[0]
