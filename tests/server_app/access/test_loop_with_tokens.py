"""The tests of the loop with MONAI Label's unmodified client once more, against a server that asks for tokens.

The tests are those of :mod:`tests.server_app.api.test_stock_client` and
:mod:`tests.server_app.retraining.test_training_loop`; only their fixtures are others: every request bears the token of
a trainer who is called ``dr-who``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClient

from server_app.access.users import Users
from server_app.common.identity import Role
from tests.server_app.access.conftest import bearer
from tests.server_app.api import test_stock_client
from tests.server_app.conftest import Server, serving, voxels
from tests.server_app.retraining import test_training_loop

_LOOP = [
    *(test for name, test in vars(test_stock_client).items() if name.startswith("test_")),
    test_training_loop.test_a_training_produces_a_new_version_that_is_served_at_once,
]
globals().update({test.__name__: test for test in _LOOP})


class TokenServer(Server):
    """A server whose requests bear a token."""

    token = ""

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        return super().request(method, path, headers={**bearer(self.token), **more.pop("headers", {})}, **more)


@pytest.fixture(scope="module")
def server(
    many_cases: Path, studies_before: dict[str, str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    workspace = tmp_path_factory.mktemp("tokens") / "workspace"
    token = Users(workspace / "users.json").add("dr-who", Role.TRAINER)
    with serving(many_cases, workspace, tiny_model, "--require-token") as plain:
        guarded = TokenServer(plain.process, plain.url, plain.studies, plain.workspace, plain.log)
        guarded.token = token
        yield guarded


@pytest.fixture
def client(server: TokenServer, tmp_path: Path) -> MONAILabelClient:
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="somebody else")
    client.update_auth(client.auth_token("dr-who", server.token))
    return client


@pytest.fixture
def infer(client: MONAILabelClient) -> Callable[..., tuple[np.ndarray, dict[str, Any]]]:
    def run(case: str = "", **more: Any) -> tuple[np.ndarray, dict[str, Any]]:
        file, facts = client.infer("tumorloop", case, more.pop("params", {}), **more)
        return voxels(file), facts

    return run


def test_without_the_token_all_of_this_is_refused(server: TokenServer) -> None:
    for method, path in (("GET", "/info/"), ("POST", "/infer/tumorloop"), ("POST", "/train/"), ("PUT", "/session/")):
        assert requests.request(method, server.url + path, timeout=60).status_code == 401
