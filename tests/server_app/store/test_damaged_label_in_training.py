"""A label whose file is damaged does not keep the others from being learned, on a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import synthetic
from tests.server_app.conftest import eventually, serving

CASES = ("case-a", "case-b")


@pytest.mark.slow
def test_a_training_leaves_a_damaged_label_out_and_names_its_case(tmp_path: Path, tiny_model: Path) -> None:
    for name in CASES:
        synthetic.write_case(tmp_path / "studies", name)
    with serving(tmp_path / "studies", tmp_path / "workspace", tiny_model) as server:
        for name in CASES:
            server.submit(name)
        label = server.workspace / "labels" / "case-b" / "v0001" / "label.nii.gz"
        label.write_bytes(label.read_bytes()[:200])
        started = server.request("POST", "/train/tumorloop", json={"max_epochs": 1})
        assert started.status_code == 200, started.text
        stats = eventually(lambda: (stats := server.stats()).get("skipped") and stats, seconds=600)
        assert list(stats["skipped"]) == ["case-b"]
        assert "label.nii.gz is cut off" in stats["skipped"]["case-b"]
        assert str(server.workspace) not in str(stats)
        assert stats["state"] in ("judging", "training", "done")
        server.request("DELETE", "/train/")
