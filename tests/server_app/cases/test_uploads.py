"""Uploaded cases on the disk: complete or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi import HTTPException

from server_app.cases.uploads import Uploads, checked_id
from tests import synthetic
from training.cases.case import case_from_files
from training.errors import InputError


def test_an_upload_is_complete_or_not_there_and_its_name_is_no_path(tmp_path: Path) -> None:
    source = synthetic.write_case(tmp_path / "sent", "x", label=False)
    uploads = Uploads(tmp_path / "uploads")
    files = sorted(source.iterdir())
    case = uploads.add(case_from_files(files, id="case"), {"user": "me"})
    assert json.loads((tmp_path / "uploads" / "case" / "case.json").read_text())["user"] == "me"
    assert [found.id for found in uploads.cases()] == ["case"]
    assert all(path.path.is_relative_to(tmp_path / "uploads") for path in case.sources.values())
    (tmp_path / "uploads" / "broken").mkdir()
    (tmp_path / "uploads" / "broken" / "case.json").write_text('{"sources": {"t1": ')
    assert [found.id for found in uploads.cases()] == ["case"]
    other = sorted(synthetic.write_case(tmp_path / "more", "y", label=False).iterdir())
    (tmp_path / "more" / "y" / "y_t1.nii.gz").write_bytes(files[-1].read_bytes())
    with pytest.raises(HTTPException, match=r"^409: "):
        uploads.add(case_from_files(other, id="case"), {})
    for name in ("", "../x", "a/b", ".x", "a\\b", "x\n"):
        with pytest.raises(InputError):
            checked_id(name)
