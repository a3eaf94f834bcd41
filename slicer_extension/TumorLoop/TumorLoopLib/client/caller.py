"""What all calls of the client share: address, token, timeouts, and the shape of the answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union
from urllib.parse import quote, urlencode

from TumorLoopLib.client import multipart, replies
from TumorLoopLib.client.address import Address, Timeouts
from TumorLoopLib.client.errors import BadReply, NotAuthorized, RequestRejected
from TumorLoopLib.client.transport import Body, Progress, Request, Transport
from TumorLoopLib.i18n import _

PathLike = Union[str, "os.PathLike[str]"]

DEFAULT_MODEL = "tumorloop"


class Caller:
    """Sends requests to one server and returns decoded answers; base class of :class:`TumorLoopClient`."""

    def __init__(
        self,
        server_url: str,
        token: str | None = None,
        *,
        user: str = "",
        timeouts: Timeouts | None = None,
        ca_file: str = "",
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._transport = Transport(Address.parse(server_url), self._timeouts, ca_file)
        self._user = user
        if token and (not token.isascii() or not token.isprintable()):
            raise NotAuthorized(401, "token", _("The access token contains characters that are not allowed in one."))
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def server_url(self) -> str:
        """The address in full, for display."""
        return str(self._transport.address)

    def _identity(self) -> dict[str, Any]:
        return {"client_id": self._user} if self._user else {}

    def _json(
        self,
        method: str,
        target: str,
        body: Body | None = None,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        timeout: float | None = None,
    ) -> Any:
        uploads = body is not None and body.content_type.startswith("multipart/")
        timeout = timeout or (self._timeouts.check if uploads else self._timeouts.answer)
        request = Request(method, target, body, self._headers, timeout)
        with self._transport.exchange(request, cancel=cancel, progress=progress) as response:
            return replies.read_json(response)

    def _object(
        self,
        method: str,
        target: str,
        body: Body | None = None,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        answer = self._json(method, target, body, progress, cancel, timeout)
        if not isinstance(answer, dict):
            raise BadReply(
                _("The server's answer to {request} is not a JSON object.").format(request=f"{method} {target}")
            )
        return answer

    def _list(self, method: str, target: str, key: str) -> list[dict[str, Any]]:
        answer = self._json(method, target)
        found = answer.get(key) if isinstance(answer, dict) else answer
        if not isinstance(found, list):
            raise BadReply(
                _("The server's answer to {request} has no list of {key}.").format(
                    request=f"{method} {target}", key=key
                )
            )
        return found

    def _file(
        self,
        target: str,
        folder: PathLike,
        name: str,
        progress: Progress | None,
        cancel: threading.Event | None,
        timeout: float | None = None,
        ending: str = "",
    ) -> Path:
        request = Request("GET", target, None, self._headers, timeout or self._timeouts.answer)
        with self._transport.exchange(request, cancel=cancel) as response:
            return replies.read_file(response, Path(folder), name, progress, ending)

    def _none_if_unknown(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return what ``call`` returns, or None if the server does not know the name (404)."""
        try:
            return call()
        except RequestRejected as error:
            if error.status == 404:
                return None
            raise


def json_body(content: Mapping[str, Any]) -> Body:
    """Return ``content`` as a JSON request body."""
    encoded = json.dumps(content).encode()
    return Body("application/json", len(encoded), lambda: [encoded])


def quoted(name: str) -> str:
    """Return a name as one segment of a URL path."""
    return quote(name, safe="")


def with_ending(target: str, ending: str) -> str:
    """Return a URL that asks for another format than NIfTI."""
    return target if ending == ".nii.gz" else f"{target}?{urlencode({'ending': ending})}"


def file_part(field_name: str, path: PathLike, name: str) -> multipart.FilePart:
    """Return a file of a form, under a name that reveals only its kind."""
    return multipart.FilePart(field_name, Path(path), f"{name}{replies.volume_ending(os.fspath(path))}")


def volumes_form(volumes: Mapping[str, PathLike], brain: PathLike | None = None, dicom: PathLike | None = None) -> Body:
    """Return a form with the files of some modalities, a brain mask, and a ZIP of DICOM files."""
    files = [file_part("files", path, role) for role, path in volumes.items()]
    files += [file_part("brain", brain, "brain")] if brain is not None else []
    files += [multipart.FilePart("dicom", Path(dicom), "dicom.zip")] if dicom is not None else []
    return multipart.form({}, files)


def text_value(answer: Mapping[str, Any], key: str) -> str:
    """Return a text of an answer; BadReply without one."""
    value = answer.get(key)
    if not isinstance(value, str) or not value:
        raise BadReply(_('The server\'s answer lacks "{key}".').format(key=key))
    return value
