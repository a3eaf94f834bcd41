"""No route of MONAI Label that works on files is left in the event loop, where ``/info`` would wait for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.routing import APIRoute
from monailabel.endpoints import activelearning, datastore, infer, model, session, train
from monailabel.endpoints.user.auth import RBAC
from starlette.routing import Match

from server_app.api.paths import ROUTES
from server_app.app import TumorLoopApp
from tests.server_app.conftest import CASES, Server, voxels

#: MONAI Label's coroutines that may stay: they look up what is in memory, or start ending processes.
QUICK = {
    ("GET", "/train/"),
    ("GET", "/scoring/"),
    ("GET", "/batch/infer"),
    ("DELETE", "/batch/infer"),
    ("GET", "/"),
    ("GET", "/favicon.ico"),
}
#: What works on cases, labels, sessions, models or trainings.
STOCK = [
    route
    for module in (activelearning, datastore, infer, model, session, train)
    for route in module.router.routes
    if isinstance(route, APIRoute)
]


@pytest.fixture
def routes(app: TumorLoopApp, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The server's table of routes, as the app makes it."""
    from monailabel.app import app as web

    monkeypatch.setattr(web.router, "routes", list(web.router.routes))
    monkeypatch.setattr("server_app.api.operations.REGISTRY.register", lambda collector: None)
    app.add_routes()
    return web.router.routes


def flat(routes: list[Any]) -> Iterator[Any]:
    """Yield the routes in their order, also those of routers that FastAPI keeps as a whole."""
    for route in routes:
        router = getattr(route, "original_router", None)
        yield from [route] if router is None else flat(router.routes)


def serving_route(routes: list[Any], method: str, path: str) -> APIRoute | None:
    """Return the route that a request gets to."""
    scope = {"type": "http", "method": method, "path": re.sub(r"{[^}]+}", "x", path), "headers": []}
    found = next((route for route in flat(routes) if route.matches(scope)[0] == Match.FULL), None)
    return found if isinstance(found, APIRoute) else None


def is_stock(route: APIRoute) -> bool:
    return route.endpoint.__module__.split(".")[0] == "monailabel"


def roles_of(route: APIRoute) -> list[Any]:
    return [part.call.roles for part in route.dependant.dependencies if isinstance(part.call, RBAC)]


def test_no_route_works_on_files_in_the_event_loop(routes: list[Any]) -> None:
    left, seen = set(), 0
    for rule in ROUTES:
        for method in rule.methods:
            route = serving_route(routes, method, rule.path)
            seen += route is not None
            if route is not None and is_stock(route) and inspect.iscoroutinefunction(route.endpoint):
                left.add((method, rule.path))
    assert left - QUICK == set()
    assert seen > 50


def test_the_check_recognizes_a_coroutine_of_monai_label() -> None:
    route = serving_route([route for route in STOCK if route.path == "/datastore/label"], "GET", "/datastore/label")
    assert route is not None
    assert is_stock(route)
    assert inspect.iscoroutinefunction(route.endpoint)


def test_each_replaced_route_keeps_its_parameters_and_its_role(routes: list[Any]) -> None:
    compared = []
    for stock in STOCK:
        for method in stock.methods or ():
            own = serving_route(routes, method, stock.path)
            if own is None or own.endpoint.__module__ != "server_app.api.stock_reads":
                continue
            compared.append((method, stock.path))
            assert roles_of(own) == roles_of(stock), (method, stock.path)
            for kind in ("query_params", "path_params"):
                wanted, given = (
                    [(field.name, field.field_info.is_required()) for field in getattr(route.dependant, kind)]
                    for route in (stock, own)
                )
                assert given == wanted, (method, stock.path)
    assert len(compared) == 11


def test_replaced_routes_reply_as_those_of_monai_label(server: Server, tmp_path: Path) -> None:
    case, source = CASES[0], {"label": CASES[0], "tag": "source"}
    assert server.get("/datastore/")["total"] >= len(CASES)
    assert case in server.get("/datastore/", params={"output": "all"})["objects"]
    assert server.request("GET", "/datastore/", params={"output": "other"}).status_code == 422
    assert server.get("/datastore/image/info", params={"image": case})["name"] == case
    assert isinstance(server.get("/datastore/label/info", params=source), dict)
    sent = server.request("GET", "/datastore/label", params=source)
    (tmp_path / "label.nii.gz").write_bytes(sent.content)
    label = voxels(server.studies / case / f"{case}_seg.nii.gz")
    assert np.array_equal(voxels(tmp_path / "label.nii.gz") > 0, label > 0)
    asked = {"image": case, "tag": "source"}
    assert server.request("HEAD", "/datastore/label", params=asked).status_code == 200
    assert server.request("HEAD", "/datastore/label", params={**asked, "tag": "none"}).status_code == 404
    missing = {"id": case, "tag": "none"}
    assert server.request("DELETE", "/datastore/label", params=missing).status_code == 404
    assert server.request("DELETE", "/datastore/image", params={"id": "nobody"}).status_code == 404
    assert server.request("DELETE", "/session/0123").status_code == 404
    assert "NOT Found" in server.request("GET", "/model/tumorloop").text
    assert server.request("GET", "/model/info/tumorloop").status_code == 404
