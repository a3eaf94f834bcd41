"""The table of routes against the routes that are really served, ours and MONAI Label's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import UploadFile
from fastapi.routing import APIRoute
from monailabel.endpoints import activelearning, datastore, infer, model, session, train
from monailabel.endpoints.user.auth import RBAC
from starlette.routing import Match

from server_app.access.authentication import Authenticator
from server_app.access.users import Users
from server_app.api import login
from server_app.api.dependencies import Router, takes_files
from server_app.api.mounting import mount, put_first
from server_app.api.route_table import ROUTES, Load, entry, route_for
from server_app.services import Services
from server_app.settings import ServerSettings

#: MONAI Label's routes that are closed on purpose: see :mod:`server_app.api.route_table`.
CLOSED = {
    *(("PUT", path) for path in ("/model/{model}", "/datastore/updatelabelinfo")),
    *(("DELETE", path) for path in ("/model/{model}", "/scoring/")),
    *(("POST", path) for path in ("/infer/wsi/{model}", "/infer/wsi_v2/{model}", "/scoring/{method}", "/scoring/")),
}
CLOSED_BELOW = ("/proxy/", "/ohif/")


@pytest.fixture
def served(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Any]:
    """The routes of a server by method and path; of two for the same, the one that answers."""
    from monailabel.app import app as web

    monkeypatch.setattr(web.router, "routes", list(web.router.routes))
    (tmp_path / "studies").mkdir()
    settings = ServerSettings(workspace=tmp_path / "workspace", model=tiny_model)
    mount(Services.build(tmp_path / "studies", settings))
    put_first(login.router(Authenticator(Users(tmp_path / "users.json"))))
    found: dict[tuple[str, str], Any] = {}
    for route in flat(web.router.routes):
        for method in getattr(route, "methods", None) or {"GET"}:  # a mounted folder has no methods
            path = f"{route.path}/{{path:path}}" if route.path == "/static" else route.path
            found.setdefault((method, path), route)
    return found


def flat(routes: list[Any]) -> Iterator[Any]:
    """Yield the routes in their order, also those of routers that FastAPI keeps as a whole."""
    for route in routes:
        router = getattr(route, "original_router", None)
        yield from [route] if router is None else flat(router.routes)


def test_the_table_names_exactly_what_is_served_and_what_takes_files(served: dict[tuple[str, str], Any]) -> None:
    table = {(method, route.path) for route in ROUTES for method in route.methods}
    opened = {key for key in served if key not in CLOSED and not key[1].startswith(CLOSED_BELOW)}
    heads = {("HEAD", path) for method, path in table if method == "GET"}  # Starlette adds HEAD to its own GET routes
    assert table - served.keys() == set()
    assert served.keys() >= CLOSED
    assert opened - table - heads == set()
    for (method, path), route in served.items():
        row = route_for(method, path)
        if row is not None and isinstance(route, APIRoute):
            assert takes_files(route) == (row.load is Load.FILES), (method, path)


def test_a_route_of_ours_cannot_be_added_without_a_row_or_with_files_that_the_row_does_not_name() -> None:
    router = Router()
    with pytest.raises(LookupError, match="GET /nowhere"):
        router.get("/nowhere")(lambda: None)

    def take(file: UploadFile) -> None: ...

    assert entry("POST", "/train/").load is Load.QUICK
    with pytest.raises(ValueError, match="/train/"):
        router.post("/train/")(take)


# === MONAI Label's own routes ===

#: Its coroutines that may stay: they look up what is in memory, or start ending processes.
QUICK = {*(("GET", path) for path in ("/train/", "/scoring/", "/batch/infer", "/", "/favicon.ico"))}
QUICK |= {("DELETE", "/batch/infer")}
#: What works on cases, labels, sessions, models or trainings.
STOCK = [
    route
    for module in (activelearning, datastore, infer, model, session, train)
    for route in module.router.routes
    if isinstance(route, APIRoute)
]


def answering(served: dict[tuple[str, str], Any], method: str, path: str) -> APIRoute | None:
    scope = {"type": "http", "method": method, "path": re.sub(r"{[^}]+}", "x", path), "headers": []}
    found = next((route for route in served.values() if route.matches(scope)[0] == Match.FULL), None)
    return found if isinstance(found, APIRoute) else None


def waits_in_the_event_loop(route: APIRoute) -> bool:  # a coroutine of MONAI Label; ours may be one
    return route.endpoint.__module__.split(".")[0] == "monailabel" and inspect.iscoroutinefunction(route.endpoint)


def test_no_route_works_on_files_in_the_event_loop_where_others_would_wait(served: dict[tuple[str, str], Any]) -> None:
    asked = [(method, row.path) for row in ROUTES for method in row.methods]
    routes = {key: route for key in asked if (route := answering(served, *key)) is not None}
    assert len(routes) > 50
    assert {key for key, route in routes.items() if waits_in_the_event_loop(route)} - QUICK == set()
    assert any(waits_in_the_event_loop(route) for route in STOCK if route.path == "/datastore/label")


def test_each_replaced_route_keeps_its_parameters_and_its_role(served: dict[tuple[str, str], Any]) -> None:
    def facts(route: APIRoute) -> list[Any]:
        roles = [part.call.roles for part in route.dependant.dependencies if isinstance(part.call, RBAC)]
        fields = (route.dependant.query_params, route.dependant.path_params)
        return [roles, *([(field.name, field.field_info.is_required()) for field in kind] for kind in fields)]

    compared = 0
    for stock in STOCK:
        for method in stock.methods or ():
            own = answering(served, method, stock.path)
            if own is not None and own.endpoint.__module__ == "server_app.api.stock_reads":
                compared += 1
                assert facts(own) == facts(stock), (method, stock.path)
    assert compared == 11
