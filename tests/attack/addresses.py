"""Ways out of the folder, in every parameter and in the names of files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from tests.attack.attack import Attack
from tests.attack.samples import CASE, four_volumes, label
from tests.attack.targets import Target
from tests.attack.wire import Reply

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

#: Sends a value, already encoded, in one parameter.
Sender = Callable[[Target, str], Reply]


def _upload(target: Target, value: str) -> Reply:
    return target.send("PUT", f"/datastore/?image={value}", files={"file": ("new.nii.gz", four_volumes())})


def _label(image: str, tag: str) -> Callable[[Target], Reply]:
    address = f"/datastore/label?image={image}&tag={tag}"
    return lambda target: target.send("PUT", address, files={"label": ("label.nii.gz", label())})


def _infer(target: Target, query: str = "", model: str = "tumorloop", **params: Any) -> Reply:
    return target.send("POST", f"/infer/{model}?{query}", data={"params": json.dumps(params)}, timeout=60)


#: What is attacked, the steps up from where stock MONAI Label would look, what is aimed at, and how it is sent.
PARAMETERS: tuple[tuple[str, int, str, tuple[str, ...], Sender], ...] = (
    ("image of an upload", 3, "elsewhere/written", tuple(FORMS), _upload),
    ("tag of a label", 4, "elsewhere/written", tuple(FORMS), lambda target, value: _label(CASE, value)(target)),
    ("image of a label", 5, "elsewhere/written", _FEW, lambda target, value: _label(value, "final")(target)),
    (
        "image of an inference", 3, "elsewhere/secret.nii.gz", tuple(FORMS),
        lambda target, value: _infer(target, f"image={value}"),
    ),
    (
        "image of a download", 3, "elsewhere/secret.nii.gz", _FEW,
        lambda target, value: target.send("GET", f"/datastore/image?image={value}"),
    ),
    (
        "label of a download", 5, "elsewhere/secret", _FEW,
        lambda target, value: target.send("GET", f"/datastore/label?label={value}&tag=final"),
    ),
    (
        "tag of a download", 4, "elsewhere", ("plain", "Windows"),
        lambda target, value: target.send("GET", f"/datastore/label?label=secret&tag={value}"),
    ),
    (
        "image of a note", 3, "elsewhere/secret", ("plain", "absolute"),
        lambda target, value: target.send("PUT", f"/datastore/image/info?image={value}", data={"info": '{"a": 1}'}),
    ),
    (
        "id of a removal", 3, "elsewhere/secret", ("plain", "absolute"),
        lambda target, value: target.send("DELETE", f"/datastore/image?id={value}"),
    ),
    (
        "session of an inference", 2, "elsewhere", _FEW,
        lambda target, value: _infer(target, f"session_id={value}"),
    ),
    (
        "session in the path", 2, "elsewhere", ("encoded", "encoded twice", "Windows"),
        lambda target, value: target.send("GET", f"/session/{value}?image=true"),
    ),
    (
        "session to delete", 2, "elsewhere", ("encoded", "Windows"),
        lambda target, value: target.send("DELETE", f"/session/{value}"),
    ),
    (
        "model in the path", 3, "elsewhere/secret", ("encoded", "Windows"),
        lambda target, value: _infer(target, f"image={CASE}", model=value),
    ),
    (
        "strategy in the path", 3, "elsewhere/secret", ("encoded",),
        lambda target, value: target.send("POST", f"/activelearning/{value}"),
    ),
    (
        "static file", 3, "elsewhere/secret.txt", ("plain", "encoded", "encoded twice"),
        lambda target, value: target.send("GET", f"/static/{value}"),
    ),
    (
        "page of the viewer", 3, "elsewhere/secret.txt", ("plain", "encoded"),
        lambda target, value: target.send("GET", f"/ohif/{value}"),
    ),
)  # fmt: skip

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
    for what, steps, path, forms, sender in PARAMETERS:
        for form in forms:
            yield Attack("a path in a parameter", f"{what}: {form}", _through(sender, FORMS[form], steps, path))
    for what, (method, address, field) in _FILE_ROUTES.items():
        for how, name in FILE_NAMES.items():
            yield Attack("a path as a file's name", f"{what} {how}", _named(method, address, field, name))
    for how in ("absolute", "relative"):
        yield Attack("a path in a parameter", f"image in an inference's params: {how}", _in_params(how == "absolute"))
    yield Attack("a link in the studies", "inference of a case of links to elsewhere", _linked_inference)
    yield Attack("a link in the studies", "download of a case of links to elsewhere", _linked_download)


def _through(sender: Sender, form: Form, steps: int, path: str) -> Callable[[Target], Reply]:
    return lambda target: sender(target, form(steps, path, str(target.box)))


def _named(method: str, address: str, field: str, name: str) -> Callable[[Target], Reply]:
    def run(target: Target) -> Reply:
        files = [(field, (name.format(box=target.box), b"no image at all"))]
        return target.send(method, address, files=files)

    return run


def _in_params(absolute: bool) -> Callable[[Target], Reply]:
    def run(target: Target) -> Reply:
        secret = target.elsewhere / "secret.nii.gz"
        return _infer(target, "", image=str(secret) if absolute else "../../../elsewhere/secret.nii.gz")

    return run


def _linked_inference(target: Target) -> Reply:
    return _infer(target, "image=linked")


def _linked_download(target: Target) -> Reply:
    return target.send("GET", "/datastore/image?image=linked")
