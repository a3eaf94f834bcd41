"""The server speaks no DICOM: a flaw of pynetdicom, which MONAI Label has installed, cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.server_app.conftest import CASES, Server, accepted, serving


@pytest.fixture
def server_with_log_of_imports(
    many_cases: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server whose processes write the name of each module that they import to its log."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with serving(many_cases, tmp_path / "workspace", tiny_model) as running:
        yield running


def test_no_process_imports_pynetdicom_or_listens_for_dicom(server_with_log_of_imports: Server) -> None:
    server = server_with_log_of_imports
    accepted(server.infer(image=CASES[0]))
    accepted(server.request("POST", "/batch/infer/tumorloop?run_sync=true", json={"images": [], "save_label": False}))
    main = psutil.Process(server.process.pid)
    processes = [main, *main.children(recursive=True)]
    ports = {link.laddr.port for one in processes for link in one.net_connections() if link.status == "LISTEN"}
    assert ports == {int(server.url.rpartition(":")[2])}
    imported = server.log.read_text()
    assert "| server_app.app" in imported.replace("|   ", "| ")
    assert "tensorflow" in imported  # the inference process is in the log as well
    assert "pynetdicom" not in imported
