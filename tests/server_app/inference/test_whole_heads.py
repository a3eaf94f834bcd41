"""Scans that were not skull-stripped, and are said to be: refused before anything is computed or stored."""

from __future__ import annotations

from pathlib import Path

from tests import synthetic
from tests.server_app.conftest import Server, accepted, refused, tree_digest


def test_a_whole_head_is_refused_before_anything_is_stored(server: Server, tmp_path: Path) -> None:
    files = {
        f"{role}.nii.gz": synthetic.save(volume, tmp_path / f"{role}.nii.gz").read_bytes()
        for role, volume in synthetic.whole_head().items()
    }
    session = accepted(server.send("/session/", files))["session_id"]
    before = tree_digest(server.studies)
    for params in ({"as_scanned": False}, {"as_scanned": False, "allow_whole_head": False, "allow_missing": True}):
        found = refused(server.infer(params, session_id=session))
        assert found["field"] == "allow_whole_head"
        assert "do not look skull-stripped: they show 3" in found["message"]
    assert tree_digest(server.studies) == before
