"""A real server that asks for tokens, and what its users need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from server_app.access.users import Users
from server_app.common.identity import Role
from tests import synthetic
from tests.server_app.conftest import Server, serving

CASE = "BraTS20_Training_001"


@dataclass(frozen=True)
class Guarded:
    """A server, and the tokens of one user of each role: rita reads, anna annotates, tom trains."""

    server: Server
    users: Users
    tokens: dict[str, str]

    def request(self, name: str, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request as a user; without a token if the name is empty."""
        headers = {**(bearer(self.tokens[name]) if name else {}), **more.pop("headers", {})}
        return self.server.request(method, path, headers=headers, **more)

    def audit(self) -> list[dict[str, Any]]:
        return audit_lines(self.server.workspace / "audit")


def audit_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def guarded(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """``python -m server_app --require-token`` over one case."""
    home = tmp_path_factory.mktemp("guarded")
    synthetic.write_case(home / "studies", CASE)
    users = Users(home / "workspace" / "users.json")
    roles = {"rita": Role.READER, "anna": Role.ANNOTATOR, "tom": Role.TRAINER}
    tokens = {name: users.add(name, role) for name, role in roles.items()}
    with serving(home / "studies", home / "workspace", tiny_model, "--require-token") as server:
        yield Guarded(server, users, tokens)
