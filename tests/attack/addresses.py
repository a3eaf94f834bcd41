"""Ways out of the folder, in every parameter and in the names of files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from tests.attack.attack import Attack
from tests.attack.samples import CASE, four_volumes, label
from tests.attack.targets import Run, Target, request

#: From the steps up and a path below the box, and the box itself, to what is written into an address.
Form = Callable[[int, str, str], str]


def _up(steps: int, path: str, slash: str) -> str:
    return f"..{slash}" * steps + path.replace("/", slash)


#: The ways of writing a path that leads out.
FORMS: dict[str, Form] = {
    "plain": lambda steps, path, box: _up(steps, path, "/"),
    "encoded": lambda steps, path, box: _up(steps, path, "%2f").replace("..", "%2e%2e"),
    "encoded twice": lambda steps, path, box: _up(steps, path, "%252f").replace("..", "%252e%252e"),
    "absolute": lambda steps, path, box: quote(f"{box}/{path}", safe=""),
    "with NUL": lambda steps, path, box: _up(steps, path, "/") + "%00.nii.gz",
    "Windows": lambda steps, path, box: _up(steps, path, "%5c"),
    "Windows drive": lambda steps, path, box: "C%3a%5c" + path.replace("/", "%5c"),
    "Windows share": lambda steps, path, box: "%5c%5chost%5c" + path.replace("/", "%5c"),
    "overlong UTF-8": lambda steps, path, box: _up(steps, path, "%c0%af").replace("..", "%c0%ae%c0%ae"),
}
#: Where nothing but one way per kind adds something.
_FEW = ("plain", "encoded", "absolute", "Windows")

_UPLOAD: dict[str, Any] = {"files": {"file": ("new.nii.gz", four_volumes())}}
_LABEL: dict[str, Any] = {"files": {"label": ("label.nii.gz", label())}}
_INFER: dict[str, Any] = {"data": {"params": "{}"}, "timeout": 60}
_NOTE: dict[str, Any] = {"data": {"info": '{"a": 1}'}}

#: What is attacked, the steps up from where stock MONAI Label would look, what is aimed at, the ways of writing it,
#: and the request with a gap for the value.
PARAMETERS: tuple[tuple[str, int, str, tuple[str, ...], str, str, dict[str, Any]], ...] = (
    ("image of an upload", 3, "written", tuple(FORMS), "PUT", "/datastore/?image={}", _UPLOAD),
    ("tag of a label", 4, "written", tuple(FORMS), "PUT", f"/datastore/label?image={CASE}&tag={{}}", _LABEL),
    ("image of a label", 5, "written", _FEW, "PUT", "/datastore/label?image={}&tag=final", _LABEL),
    ("image of an inference", 3, "secret.nii.gz", tuple(FORMS), "POST", "/infer/tumorloop?image={}", _INFER),
    ("image of a download", 3, "secret.nii.gz", _FEW, "GET", "/datastore/image?image={}", {}),
    ("label of a download", 5, "secret", _FEW, "GET", "/datastore/label?label={}&tag=final", {}),
    ("tag of a download", 4, "", ("plain", "Windows"), "GET", "/datastore/label?label=secret&tag={}", {}),
    ("image of a note", 3, "secret", ("plain", "absolute"), "PUT", "/datastore/image/info?image={}", _NOTE),
    ("id of a removal", 3, "secret", ("plain", "absolute"), "DELETE", "/datastore/image?id={}", {}),
    ("session of an inference", 2, "", _FEW, "POST", "/infer/tumorloop?session_id={}", _INFER),
    ("session in the path", 2, "", ("encoded", "encoded twice", "Windows"), "GET", "/session/{}?image=true", {}),
    ("session to delete", 2, "", ("encoded", "Windows"), "DELETE", "/session/{}", {}),
    ("model in the path", 3, "secret", ("encoded", "Windows"), "POST", f"/infer/{{}}?image={CASE}", _INFER),
    ("strategy in the path", 3, "secret", ("encoded",), "POST", "/activelearning/{}", {}),
    ("static file", 3, "secret.txt", ("plain", "encoded", "encoded twice"), "GET", "/static/{}", {}),
    ("page of the viewer", 3, "secret.txt", ("plain", "encoded"), "GET", "/ohif/{}", {}),
)

#: File names that lead out, or are none; what they hold is no image.
FILE_NAMES: dict[str, str] = {
    "leads up": "../../../elsewhere/written.nii.gz",
    "leads up, encoded": "..%2f..%2f..%2felsewhere%2fwritten.nii.gz",
    "leads up, Windows": "..\\..\\..\\elsewhere\\written.nii.gz",
    "is absolute": "{box}/elsewhere/written.nii.gz",
    "holds NUL": "../../../elsewhere/written\0.nii.gz",
    "is only dots": "..",
}
_FILE_ROUTES = {
    "file of a session": ("PUT", "/session/", "files"),
    "file of an upload": ("PUT", "/datastore/?image=new", "file"),
    "file of a label": ("PUT", f"/datastore/label?image={CASE}", "label"),
}


def attacks() -> Iterator[Attack]:
    """Yield the attacks through names."""
    for what, steps, aim, forms, method, address, more in PARAMETERS:
        path = f"elsewhere/{aim}".rstrip("/")
        for form in forms:
            run = _through(method, address, FORMS[form], steps, path, more)
            yield Attack("a path in a parameter", f"{what}: {form}", run)
    for what, (method, address, field) in _FILE_ROUTES.items():
        for how, name in FILE_NAMES.items():
            yield Attack("a path as a file's name", f"{what} {how}", _named(method, address, field, name))
    for how, image in (("absolute", "{box}/elsewhere/secret.nii.gz"), ("relative", "../../../elsewhere/secret.nii.gz")):
        yield Attack("a path in a parameter", f"image in an inference's params: {how}", _in_params(image))
    inference = request("POST", "/infer/tumorloop?image=linked", **_INFER)
    for what, run in (("inference", inference), ("download", request("GET", "/datastore/image?image=linked"))):
        yield Attack("a link in the studies", f"{what} of a case of links to elsewhere", run)


def _through(method: str, address: str, form: Form, steps: int, path: str, more: dict[str, Any]) -> Run:
    return lambda target: target.send(method, address.format(form(steps, path, str(target.box))), **more)


def _named(method: str, address: str, field: str, name: str) -> Run:
    return lambda target: target.send(method, address, files=[(field, (name.format(box=target.box), b"no image"))])


def _in_params(image: str) -> Run:
    def params(target: Target) -> dict[str, str]:
        return {"params": json.dumps({"image": image.format(box=target.box)})}

    return lambda target: target.send("POST", "/infer/tumorloop?", data=params(target), timeout=60)
