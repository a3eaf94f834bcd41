"""The table of routes: who may use each of them, what it costs, and what the audit log keeps of it.

Everything else derives from this table: access control and the audit log (:mod:`server_app.access`), the limits
(:mod:`server_app.limits`), and our own routes, which cannot be added without an entry here (:mod:`.dependencies`). A
request that matches no entry is refused, so a route that a newer MONAI Label brings stays closed until it is entered.

Some of MONAI Label's routes are left out on purpose: ``/proxy`` (it forwards requests to other servers), ``/ohif`` and
``/infer/wsi`` (not offered), writing to ``/model`` (it would replace weights without making a model version), starting
``/scoring`` (there are no scoring methods), and ``/updatelabelinfo``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from starlette.routing import compile_path

from server_app.common.identity import Role


class Load(Enum):
    """What a request costs the server while it is answered."""

    #: It reads or writes small files at most.
    QUICK = "quick"
    #: It reads, writes or computes volumes: a quarter of the threads is kept free of such requests.
    SLOW = "slow"
    #: Like slow ones; in addition its body contains files and may be large.
    FILES = "files"


class AuditLevel(Enum):
    """How much of a request the audit log keeps."""

    #: Only refusals: it is polled, or reveals nothing about a patient.
    NONE = "none"
    #: One line: patient data was read.
    READ = "read"
    #: One line before and one after, each on the disk before the client gets the response.
    CHANGE = "change"


@dataclass(frozen=True)
class Route:
    """One row of the table.

    Attributes:
        methods: HTTP methods.
        path: As the router has it, ``{name}`` for what varies.
        role: The minimum role that may use it; ``None`` for everybody, without a token.
        load: What it costs.
        audit: What the audit log keeps.
    """

    methods: tuple[str, ...]
    path: str
    role: Role | None
    load: Load
    audit: AuditLevel = AuditLevel.NONE


READER, ANNOTATOR, TRAINER = Role
QUICK, SLOW, FILES = Load
READ, CHANGE = AuditLevel.READ, AuditLevel.CHANGE

ROUTES: tuple[Route, ...] = (
    # === Login, health and documentation ===
    Route(("GET",), "/auth/", None, QUICK),
    Route(("POST",), "/auth/token", None, QUICK),
    Route(("GET",), "/auth/token/valid", READER, QUICK),
    Route(("GET",), "/healthz", None, QUICK),
    Route(("GET",), "/metrics", READER, QUICK),
    Route(("GET",), "/info/", READER, QUICK),
    Route(("GET",), "/", READER, QUICK),
    Route(("GET",), "/docs", READER, QUICK),
    Route(("GET",), "/openapi.json", READER, QUICK),
    Route(("GET",), "/favicon.ico", None, QUICK),
    Route(("GET",), "/static/{path:path}", None, QUICK),
    # === Cases ===
    Route(("GET",), "/cases", READER, QUICK),
    Route(("PUT",), "/cases/{case_id}", ANNOTATOR, FILES, CHANGE),
    Route(("GET",), "/cases/{case_id}/volumes/{role}", READER, SLOW, READ),
    Route(("GET",), "/cases/{case_id}/preprocessing", READER, SLOW, READ),  # it may hash a raw case's images
    Route(("GET",), "/cases/{case_id}/brain", READER, SLOW, READ),
    Route(("GET",), "/claims", READER, QUICK),
    Route(("PUT", "DELETE"), "/cases/{case_id}/claim", ANNOTATOR, QUICK, CHANGE),
    Route(("POST",), "/samples", ANNOTATOR, SLOW, CHANGE),
    Route(("POST",), "/activelearning/{strategy}", READER, QUICK),
    Route(("POST",), "/reload", READER, QUICK),
    Route(("GET",), "/datastore/", READER, QUICK),
    Route(("PUT",), "/datastore/", ANNOTATOR, FILES, CHANGE),
    Route(("DELETE",), "/datastore/", TRAINER, QUICK, CHANGE),
    Route(("GET", "HEAD"), "/datastore/image", READER, SLOW, READ),
    Route(("PUT",), "/datastore/image", ANNOTATOR, FILES, CHANGE),
    Route(("DELETE",), "/datastore/image", TRAINER, QUICK, CHANGE),
    Route(("GET",), "/datastore/image/info", READER, QUICK, READ),
    Route(("PUT",), "/datastore/image/info", ANNOTATOR, QUICK, CHANGE),
    Route(("GET",), "/datastore/dataset", ANNOTATOR, SLOW, READ),
    # === Labels ===
    Route(("GET",), "/cases/{case_id}/labels", READER, QUICK, READ),
    Route(("GET",), "/cases/{case_id}/labels/{version}", READER, SLOW, READ),
    Route(("GET", "HEAD"), "/datastore/label", READER, SLOW, READ),
    Route(("PUT",), "/datastore/label", ANNOTATOR, FILES, CHANGE),
    Route(("DELETE",), "/datastore/label", TRAINER, QUICK, CHANGE),
    Route(("GET",), "/datastore/label/info", READER, QUICK, READ),
    Route(("PUT",), "/datastore/label/info", ANNOTATOR, QUICK, CHANGE),
    Route(("GET",), "/corrections", READER, QUICK),
    # === Segmenting ===
    Route(("PUT",), "/session/", READER, FILES),
    Route(("GET",), "/session/{session_id}", READER, QUICK),
    Route(("DELETE",), "/session/{session_id}", READER, QUICK),
    Route(("POST",), "/session/{session_id}/dicom_seg", READER, FILES, READ),
    Route(("GET",), "/session/{session_id}/preprocessing", READER, QUICK),
    Route(("GET",), "/session/{session_id}/brain", READER, SLOW),
    Route(("PUT",), "/session/{session_id}/brain", READER, FILES),
    Route(("GET",), "/session/{session_id}/volumes/{role}", READER, SLOW),
    Route(("POST",), "/infer/{model}", READER, FILES, READ),
    Route(("GET",), "/jobs/{job_id}", READER, QUICK),
    Route(("DELETE",), "/jobs/{job_id}", READER, QUICK),
    Route(("GET",), "/maps/{map_id}/{name}", READER, SLOW),
    Route(("GET",), "/batch/infer", READER, QUICK),
    Route(("POST",), "/batch/infer/{model}", TRAINER, QUICK, CHANGE),
    Route(("DELETE",), "/batch/infer", TRAINER, QUICK, CHANGE),
    # === Training and models ===
    Route(("GET",), "/train/", READER, QUICK),
    Route(("POST",), "/train/", TRAINER, QUICK, CHANGE),
    Route(("DELETE",), "/train/", TRAINER, QUICK, CHANGE),
    Route(("POST",), "/train/{model}", TRAINER, QUICK, CHANGE),
    Route(("GET",), "/train/{model}/plan", READER, QUICK),
    Route(("GET",), "/train/{model}/queue", READER, QUICK),
    Route(("DELETE",), "/train/{model}/queue/{task}", TRAINER, QUICK, CHANGE),
    Route(("GET",), "/versions", READER, QUICK),
    Route(("GET",), "/versions/{version}/pictures/{name}", READER, QUICK, READ),
    Route(("POST",), "/versions/rollback", TRAINER, QUICK, CHANGE),
    Route(("POST",), "/versions/{version}/promote", TRAINER, QUICK, CHANGE),
    Route(("GET",), "/model/{model}", TRAINER, QUICK, READ),
    Route(("GET",), "/model/info/{model}", TRAINER, QUICK),
    Route(("GET",), "/scoring/", READER, QUICK),
    Route(("GET",), "/logs/", TRAINER, QUICK, READ),
    Route(("GET",), "/logs/gpu", TRAINER, QUICK),
)

_PATTERNS: tuple[tuple[re.Pattern[str], Route], ...] = tuple((compile_path(route.path)[0], route) for route in ROUTES)


def entry(method: str, path: str) -> Route:
    """Return the row of a route that the server offers; raises LookupError if the table has none."""
    for route in ROUTES:
        if route.path == path and method in route.methods:
            return route
    raise LookupError(f"{method} {path} is missing in the table of routes.")


def route_for(method: str, path: str) -> Route | None:
    """Return the row that a request matches; ``None`` if there is none.

    Args:
        method: HTTP method; ``HEAD`` counts as ``GET`` where it has no row of its own.
        path: Decoded, as the router sees it. With or without a trailing slash: the router redirects to the other form.
    """
    for candidate in (path, path.removesuffix("/") or "/", f"{path}/"):
        for wanted in dict.fromkeys((method, "GET" if method == "HEAD" else method)):
            for pattern, route in _PATTERNS:
                if wanted in route.methods and pattern.match(candidate):
                    return route
    return None


def methods_of(path: str) -> list[str]:
    """Return the methods that a path takes, sorted."""
    return sorted({method for pattern, route in _PATTERNS if pattern.match(path) for method in route.methods})


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI scope as the router matches it."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
