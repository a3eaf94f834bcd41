"""A workspace, and the task of MONAI Label that retrains in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server_app.retraining.task import Retraining
from server_app.settings import ServerSettings
from server_app.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace").make()


@pytest.fixture
def task(workspace: Workspace, tiny_model: Path) -> Retraining:
    return Retraining("tumorloop", workspace, ServerSettings(model=tiny_model))
