"""How the server is started: by MONAI Label's own command, and what keeps it from starting."""

from __future__ import annotations

from pathlib import Path

from tests.server_app import conftest
from tests.server_app.conftest import QUICK, accepted, eventually, free_port, is_gone, refused, tree_digest

CASE, INCOMPLETE = "BraTS20_Training_001", "BraTS20_Training_002"


def test_monai_labels_own_command_starts_it_and_ends_all(studies: Path, tiny_model: Path, tmp_path: Path) -> None:
    (studies / INCOMPLETE / f"{INCOMPLETE}_t2.nii.gz").unlink()
    workspace, port, before = tmp_path / "workspace", free_port(), tree_digest(studies)
    command = ["monailabel.main", "start_server", "--app", "server_app", "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--conf", "workspace", str(workspace)]
    for name, value in {"model": str(tiny_model), "warm_up": "false", **QUICK}.items():
        command += ["--conf", name, value]
    server = conftest.start_server(command, port, studies, workspace)
    try:
        server.wait_until_ready()
        assert server.case_ids() == {CASE}
        assert "T2 (t2)" in server.get("/cases")["problems"][0]["message"]
        accepted(server.infer(image=CASE))
        found = refused(server.request("POST", "/train/", json={"max_epochs": 2}))
        assert (found["field"], "nothing to train on" in found["message"]) == ("label", True)
        assert server.request("GET", "/train/").status_code == 404
        assert server.stats() == {}
        worker, trainer = server.worker(), server.begin_training(CASE)
        trainer_parent = trainer.parent()
    finally:
        server.stop()
    assert worker is not None
    assert trainer_parent is not None
    eventually(lambda: is_gone(worker) and is_gone(trainer) and is_gone(trainer_parent))
    assert tree_digest(studies) == before
