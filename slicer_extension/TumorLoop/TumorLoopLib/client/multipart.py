"""multipart/form-data (RFC 7578), written and read without holding a volume in memory."""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path

from TumorLoopLib.client.errors import BadReply, LocalFileError
from TumorLoopLib.client.sockets import CHUNK
from TumorLoopLib.client.transport import Body
from TumorLoopLib.i18n import _


@dataclass(frozen=True)
class FilePart:
    """A file of a form.

    Attributes:
        name: The form field.
        path: The local file.
        filename: The name that is sent: synthetic and ASCII, so that it contains no patient's name.
    """

    name: str
    path: Path
    filename: str


def form(fields: Mapping[str, str], files: Sequence[FilePart] = ()) -> Body:
    """Return a request body of known length whose files are read only while they are sent.

    Raises:
        LocalFileError: If a file does not exist; while sending, if it cannot be read or changed its size.
    """
    boundary = f"tumorloop-{uuid.uuid4().hex}"
    heads = [_head(boundary, name, None) + value.encode() + b"\r\n" for name, value in fields.items()]
    file_heads = [_head(boundary, part.name, part.filename) for part in files]
    sizes = [_size(part.path) for part in files]
    tail = f"--{boundary}--\r\n".encode()

    def chunks() -> Iterator[bytes]:
        yield from heads
        for head, part, size in zip(file_heads, files, sizes):
            yield head
            yield from _pieces(part.path, size)
            yield b"\r\n"
        yield tail

    length = sum(map(len, heads)) + sum(map(len, file_heads)) + sum(sizes) + 2 * len(files) + len(tail)
    return Body(f"multipart/form-data; boundary={boundary}", length, chunks)


@dataclass(frozen=True)
class Part:
    """One part of a received form: where its content is in the spooled body."""

    name: str
    filename: str
    start: int
    end: int

    def read(self, spool: Path) -> bytes:
        """Return the content; for small parts."""
        with open(spool, "rb") as source:
            source.seek(self.start)
            return source.read(self.end - self.start)

    def copy(self, spool: Path, target: Path) -> None:
        """Write the content to ``target``."""
        remaining = self.end - self.start
        with open(spool, "rb") as source, open(target, "wb") as sink:
            source.seek(self.start)
            while remaining:
                chunk = source.read(min(CHUNK, remaining))
                sink.write(chunk)
                remaining -= len(chunk)
            sink.flush()
            os.fsync(sink.fileno())


def parse(spool: Path, content_type: str) -> dict[str, Part]:
    """Find the parts of a form that was received into a file.

    Args:
        spool: The body.
        content_type: Its Content-Type header.

    Returns:
        The parts by field name.

    Raises:
        BadReply: If the closing boundary is missing (the body was cut off) or a part has no readable header.
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise BadReply(_("The server's answer cannot be parsed. It may come from another program."))
    if spool.stat().st_size == 0:
        raise BadReply(_("The server's answer is empty."))
    delimiter = b"--" + boundary.encode()
    with open(spool, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(delimiter)] != delimiter:
            raise BadReply(_("The server's answer is not a valid form."))
        return _parts(data, delimiter)


def _parts(data: mmap.mmap, delimiter: bytes) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    position = len(delimiter)
    while data[position : position + 2] != b"--":
        begin = position + 2
        header_end = data.find(b"\r\n\r\n", begin)
        end = data.find(b"\r\n" + delimiter, begin)
        if header_end < 0 or end < header_end:
            raise BadReply(_("The server's answer was cut off before its end."))
        headers = BytesHeaderParser().parsebytes(data[begin : header_end + 4])
        name = headers.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise BadReply(_("A part of the server's answer has no name."))
        parts[name] = Part(name, headers.get_filename() or "", header_end + 4, end)
        position = end + 2 + len(delimiter)
    return parts


def _head(boundary: str, name: str, filename: str | None) -> bytes:
    disposition = f'form-data; name="{_quoted(name)}"'
    kind = ""
    if filename is not None:
        disposition += f'; filename="{_quoted(filename)}"'
        kind = "Content-Type: application/octet-stream\r\n"
    return f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{kind}\r\n".encode()


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _size(path: Path) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise LocalFileError(_unreadable(path, error)) from error


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    remaining = size
    try:
        with open(path, "rb") as handle:
            while remaining:
                chunk = handle.read(min(CHUNK, remaining))
                if not chunk:
                    break
                remaining -= len(chunk)
                yield chunk
            grown = handle.read(1)
    except OSError as error:
        raise LocalFileError(_unreadable(path, error)) from error
    if remaining or grown:
        raise LocalFileError(
            _("{path} changed while it was being sent. Try again when it is complete.").format(path=path)
        )


def _unreadable(path: Path, error: OSError) -> str:
    return _("{path} cannot be read ({reason}).").format(path=path, reason=error.strerror)
