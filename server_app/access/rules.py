"""What each route takes: the one table that says who may use which method on which path.

A request that no rule fits is refused, so a route that somebody adds, or that a newer MONAI Label brings, is closed
until it is entered here. Of MONAI Label's routes these are nobody's, on purpose: ``/proxy`` (it forwards requests to
other servers), ``/ohif`` and ``/infer/wsi`` (not offered), the writing half of ``/model`` (it would replace the weights
behind the back of the model versions), starting ``/scoring`` (there are no scoring methods), ``/updatelabelinfo``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from starlette.routing import compile_path

from server_app.common.identity import Role


class Trace(Enum):
    """How much of a request the audit log keeps."""

    #: Only refusals: it is asked often, or tells nothing of a patient.
    NONE = "none"
    #: One line: patients' data was read.
    READ = "read"
    #: A line before and one after, both safe on the disk before the client hears of it.
    CHANGE = "change"


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Attributes:
        methods: Of HTTP.
        path: As the route has it, ``{name}`` for what varies.
        role: The least role that may; ``None`` for everybody, without a token.
        trace: What the audit log keeps.
    """

    methods: tuple[str, ...]
    path: str
    role: Role | None
    trace: Trace = Trace.NONE


_ANY, _R, _A, _T = None, Role.READER, Role.ANNOTATOR, Role.TRAINER
_READ, _CHANGE = Trace.READ, Trace.CHANGE

RULES: tuple[Rule, ...] = (
    # === The door ===
    Rule(("GET",), "/auth/", _ANY),
    Rule(("POST",), "/auth/token", _ANY),
    Rule(("GET",), "/auth/token/valid", _R),
    Rule(("GET",), "/healthz", _ANY),
    Rule(("GET",), "/metrics", _R),
    Rule(("GET",), "/info/", _R),
    Rule(("GET",), "/", _R),
    Rule(("GET",), "/docs", _R),
    Rule(("GET",), "/openapi.json", _R),
    Rule(("GET",), "/favicon.ico", _ANY),
    Rule(("GET",), "/static/{path:path}", _ANY),
    # === Cases ===
    Rule(("GET",), "/cases", _R),
    Rule(("PUT",), "/cases/{case_id}", _A, _CHANGE),
    Rule(("GET",), "/cases/{case_id}/volumes/{role}", _R, _READ),
    Rule(("GET",), "/claims", _R),
    Rule(("PUT", "DELETE"), "/cases/{case_id}/claim", _A, _CHANGE),
    Rule(("POST",), "/samples", _A, _CHANGE),
    Rule(("POST",), "/activelearning/{strategy}", _R),
    Rule(("POST",), "/reload", _R),
    Rule(("GET",), "/datastore/", _R),
    Rule(("PUT",), "/datastore/", _A, _CHANGE),
    Rule(("DELETE",), "/datastore/", _T, _CHANGE),
    Rule(("GET", "HEAD"), "/datastore/image", _R, _READ),
    Rule(("PUT",), "/datastore/image", _A, _CHANGE),
    Rule(("DELETE",), "/datastore/image", _T, _CHANGE),
    Rule(("GET",), "/datastore/image/info", _R, _READ),
    Rule(("PUT",), "/datastore/image/info", _A, _CHANGE),
    Rule(("GET",), "/datastore/dataset", _A, _READ),
    # === Labels ===
    Rule(("GET",), "/cases/{case_id}/labels", _R, _READ),
    Rule(("GET",), "/cases/{case_id}/labels/{version}", _R, _READ),
    Rule(("GET", "HEAD"), "/datastore/label", _R, _READ),
    Rule(("PUT",), "/datastore/label", _A, _CHANGE),
    Rule(("DELETE",), "/datastore/label", _T, _CHANGE),
    Rule(("GET",), "/datastore/label/info", _R, _READ),
    Rule(("PUT",), "/datastore/label/info", _A, _CHANGE),
    # === Segmenting ===
    Rule(("PUT",), "/session/", _R),
    Rule(("GET",), "/session/{session_id}", _R),
    Rule(("DELETE",), "/session/{session_id}", _R),
    Rule(("POST",), "/infer/{model}", _R, _READ),
    Rule(("GET",), "/jobs/{job_id}", _R),
    Rule(("DELETE",), "/jobs/{job_id}", _R),
    Rule(("GET",), "/maps/{map_id}/{name}", _R),
    Rule(("GET",), "/batch/infer", _R),
    Rule(("POST",), "/batch/infer/{model}", _T, _CHANGE),
    Rule(("DELETE",), "/batch/infer", _T, _CHANGE),
    # === Training and models ===
    Rule(("GET",), "/train/", _R),
    Rule(("POST",), "/train/", _T, _CHANGE),
    Rule(("DELETE",), "/train/", _T, _CHANGE),
    Rule(("POST",), "/train/{model}", _T, _CHANGE),
    Rule(("GET",), "/train/{model}/plan", _R),
    Rule(("GET",), "/train/{model}/queue", _R),
    Rule(("DELETE",), "/train/{model}/queue/{task}", _T, _CHANGE),
    Rule(("GET",), "/versions", _R),
    Rule(("POST",), "/versions/rollback", _T, _CHANGE),
    Rule(("POST",), "/versions/{version}/promote", _T, _CHANGE),
    Rule(("GET",), "/model/{model}", _T, _READ),
    Rule(("GET",), "/model/info/{model}", _T),
    Rule(("GET",), "/scoring/", _R),
    Rule(("GET",), "/logs/", _T, _READ),
    Rule(("GET",), "/logs/gpu", _T),
)

_PATTERNS: tuple[tuple[re.Pattern[str], Rule], ...] = tuple((compile_path(rule.path)[0], rule) for rule in RULES)


def rule_for(method: str, path: str) -> Rule | None:
    """Return the rule for a request; ``None`` if there is none.

    Args:
        method: Of HTTP; ``HEAD`` is as good as ``GET`` where it has no rule of its own.
        path: Decoded, as the router sees it. With or without a slash at the end: the router redirects to the other.
    """
    for candidate in (path, path.removesuffix("/") or "/", f"{path}/"):
        for wanted in dict.fromkeys((method, "GET" if method == "HEAD" else method)):
            for pattern, rule in _PATTERNS:
                if wanted in rule.methods and pattern.match(candidate):
                    return rule
    return None


def methods_of(path: str) -> list[str]:
    """Return the methods that some rule allows on a path, sorted."""
    return sorted({method for pattern, rule in _PATTERNS if pattern.match(path) for method in rule.methods})
