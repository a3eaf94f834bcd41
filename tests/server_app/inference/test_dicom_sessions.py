"""DICOM studies as sessions and as cases, over a real socket; the series need no preprocessing, so it is quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClient

from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, load, refused, serving
from tests.server_app.studies import SECRETS, contents_of, series_of, small_grid, stripped_study, zipped
from tests.training.dicom.made_series import Study
from training.dicom.headers import SourceHeaders
from training.images.grid import Volume
from training.modalities import ROLES


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return stripped_study()


@pytest.fixture(scope="module")
def archive(study: dict[str, Any]) -> bytes:
    return zipped(study, **{"README.TXT": b"viewer"})


def send(server: Server, archive: bytes, path: str = "/session/", **params: Any) -> requests.Response:
    files = [("files", ("Doe Jane.zip", archive))]
    return server.request("PUT", path, files=files, data={"params": json.dumps(params)})


def segmented(server: Server, folder: Path, **where: Any) -> tuple[np.ndarray, np.ndarray]:
    path = folder / "result.nii.gz"
    path.write_bytes(server.infer(output="image", **where).content)
    return np.asarray(load(path).dataobj), np.asarray(load(path).affine)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def is_dicom(path: Path) -> bool:
    return path.read_bytes()[128:132] == b"DICM"


def test_a_study_in_a_zip_is_segmented_as_its_volumes_and_only_these_are_kept(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    sent = accepted(send(server, archive))
    assert sent["roles"] == {"t1": "1", "t1ce": "2", "t2": "3", "flair": "4"}
    assert [one["role"] for one in sent["series"]] == list(ROLES)
    assert sent["series"][1]["description"] == "AX T1 POST"
    assert sent["series"][1]["slices"] == 30
    session = sent["session_id"]
    assert server.get(f"/session/{session}/preprocessing") == {"state": "waiting", "preprocessing": None}

    volumes = synthetic.four_volumes(small_grid())
    plain = {f"{role}.nii.gz": synthetic.save(volumes[role], tmp_path / f"{role}.nii.gz") for role in ROLES}
    same = accepted(server.send("/session/", {name: path.read_bytes() for name, path in plain.items()}))["session_id"]
    labels, affine = segmented(server, tmp_path, session_id=same)
    for _ in range(2):  # the second time from what was kept
        found, position = segmented(server, tmp_path, session_id=session)
        assert np.array_equal(found, labels)
        assert np.allclose(position, affine)

    assert server.get(f"/session/{session}/preprocessing") == {"state": "none", "preprocessing": None}
    folder = server.workspace / "sessions" / session
    (images,) = (path for path in folder.iterdir() if path.name.startswith("images-"))
    expected = {f"{images.name}/{role}.nii.gz" for role in ROLES} | {"meta.info", "answer/answer.nii.gz"}
    expected |= {f"{images.name}/{part}" for part in ("preprocessing/record.json", "dicom/reference.json")}
    assert files_below(folder) == expected | {"answer/answer.json"}
    headers = SourceHeaders.from_json((images / "dicom" / "reference.json").read_text())
    assert headers.datasets[0].SeriesDescription == "AX T1 POST"
    assert len(headers.datasets) == 30
    assert list((server.workspace / "incoming").iterdir()) == []


def test_hundreds_of_single_files_with_the_same_names_are_a_study_too(
    server: Server, study: dict[str, Any], archive: bytes, tmp_path: Path
) -> None:
    contents = contents_of(study, "x")
    files = [("files", (name.rpartition("/")[2], content)) for name, content in contents.items()]
    assert len(files) == 120
    sent = accepted(server.request("PUT", "/session/", files=files))
    assert set(sent["roles"]) == set(ROLES)
    first, _ = segmented(server, tmp_path, session_id=sent["session_id"])
    second, _ = segmented(server, tmp_path, session_id=accepted(send(server, archive))["session_id"])
    assert np.array_equal(first, second)


def test_series_that_are_not_clear_are_listed_and_may_be_named(server: Server, study: dict[str, Any]) -> None:
    shared = Study()
    unclear = stripped_study(shared)
    for instance in unclear["t2"] + unclear["flair"]:
        instance.SeriesDescription = "AX"
        del instance.EchoTime, instance.RepetitionTime
        instance.pop("InversionTime", None)
    content = zipped(unclear)
    before = files_below(server.workspace / "sessions")
    answer = send(server, content)
    assert refused(answer)["field"] in ("t2", "flair")
    listed = answer.json()["detail"]["series"]
    assert [(one["id"], one["role"]) for one in listed] == [("1", "t1"), ("2", "t1ce"), ("3", None), ("4", None)]
    assert all(one["reason"] for one in listed)
    assert files_below(server.workspace / "sessions") == before
    assert list((server.workspace / "incoming").iterdir()) == []
    sent = accepted(send(server, content, roles={"t2": "3", "flair": "4"}))
    assert sent["roles"] == {"t1": "1", "t1ce": "2", "t2": "3", "flair": "4"}
    wrong = send(server, content, roles={"t2": "7", "flair": "4"})
    assert refused(wrong)["field"] == "t2"
    assert refused(send(server, content, roles=["3"]))["field"] == "roles"
    assert refused(send(server, content, roles={"pet": "3"}))["field"] == "roles"


def test_volumes_whose_names_say_nothing_may_be_named_too(server: Server) -> None:
    contents = server.contents(CASES[0])
    files = [("files", (f"IM{number}.nii.gz", contents[f"{role}.nii.gz"])) for number, role in enumerate(ROLES)]
    roles = {role: f"IM{number}.nii.gz" for number, role in enumerate(ROLES)}

    def named(roles: dict[str, str]) -> requests.Response:
        return server.request("PUT", "/session/", files=files, data={"params": json.dumps({"roles": roles})})

    assert refused(named({}))["field"] == "t1"
    session = accepted(named(roles))["session_id"]
    found = accepted(server.infer(session_id=session))
    assert found["volumes_ml"] == accepted(server.infer(image=CASES[0]))["volumes_ml"]
    for wrong in ({**roles, "t1": "other.nii.gz"}, {**roles, "t1": "IM1.nii.gz"}):
        assert refused(named(wrong))["field"] == "roles"


def test_the_series_of_two_patients_are_refused_without_naming_them(server: Server) -> None:
    mixed = stripped_study(Study(patient_id="P-0815"))
    mixed["flair"] = stripped_study(Study(patient_id="P-0816", patient_name="Roe^Richard"))["flair"]
    found = refused(send(server, zipped(mixed)))
    assert found["field"] == "files"
    assert not [secret for secret in (*SECRETS, "Roe", "0816") if secret in found["message"]]


def test_what_is_sent_beside_a_study_or_instead_of_one_is_refused(server: Server, archive: bytes) -> None:
    volume = ("files", ("t1.nii.gz", server.contents(CASES[0])["t1.nii.gz"]))
    for files in (
        [("files", ("a.zip", archive)), volume],
        [("files", ("a.zip", archive)), ("files", ("b.zip", archive))],
        [("files", ("a.zip", b"PK\x03\x04 and no more"))],
        [("files", ("a.zip", zipped({}, **{"t1.nii": b"x"})))],
    ):
        assert refused(server.request("PUT", "/session/", files=files))["field"] in ("files", "t1")
    assert refused(server.infer({"as_scanned": "yes"}, image=CASES[0]))["field"] == "as_scanned"
    base = accepted(send(server, archive))["session_id"]
    sent = server.send("/session/", server.contents(CASES[0], "t1"), base=base)
    assert refused(sent, 404)["field"] == "base"
    assert list((server.workspace / "incoming").iterdir()) == []


def test_headers_may_be_sent_beside_volumes(server: Server, study: dict[str, Any], tmp_path: Path) -> None:
    volumes = synthetic.four_volumes(small_grid())
    files: list[Any] = [
        ("files", (f"{role}.nii.gz", synthetic.save(volumes[role], tmp_path / f"{role}.nii.gz").read_bytes()))
        for role in ROLES
    ]

    def with_headers(content: bytes) -> requests.Response:
        return server.request("PUT", "/session/", files=[*files, ("dicom", ("headers.zip", content))])

    session = accepted(with_headers(zipped({"t1ce": study["t1ce"]})))["session_id"]
    accepted(server.infer(session_id=session))
    (written,) = (server.workspace / "sessions" / session).rglob("reference.json")
    assert SourceHeaders.from_json(written.read_text()).datasets[0].SeriesDescription == "AX T1 POST"
    moved = series_of(Volume(volumes["t1ce"].data, small_grid(2.5)), "t1ce", Study(), 1)
    assert refused(with_headers(zipped({"t1ce": moved})))["field"] == "dicom"
    assert refused(with_headers(b"no archive"))["field"] == "dicom"


# === Cases ===


def test_a_study_becomes_a_case_whose_label_lies_on_the_grid_of_its_reference(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    made = accepted(send(server, archive, "/cases/from-dicom"))
    assert (made["source"], set(made["modalities"])) == ("upload", set(ROLES))
    assert accepted(send(server, archive, "/cases/from-dicom"))["id"] == "from-dicom"
    folder = server.workspace / "uploads" / "from-dicom"
    expected = {f"{role}.nii.gz" for role in ROLES} | {"case.json", "preprocessing/record.json", "dicom/reference.json"}
    assert files_below(folder) == expected
    assert server.get("/cases/from-dicom/preprocessing") == {"state": "none", "preprocessing": None}
    assert refused(server.request("GET", "/cases/from-dicom/brain"), 404)["field"] == "brain"
    truth = synthetic.save(synthetic.truth(small_grid()), tmp_path / "label.nii.gz")
    label = accepted(server.send_label("from-dicom", truth))
    assert (label["version"], label["reference"]) == ("v0001", "t1ce")
    other = zipped(stripped_study(bright=1.5))
    assert refused(send(server, other, "/cases/from-dicom"), 409)["field"] == "image"
    later = accepted(send(server, other, "/cases/another-visit"))
    assert later["patient"] == made["patient"]  # the same PatientID, so the same side of the split
    stranger = zipped(stripped_study(Study(patient_id="P-0816")))
    assert accepted(send(server, stranger, "/cases/a-stranger"))["patient"] != made["patient"]


def test_a_session_of_a_study_becomes_a_case(server: Server, archive: bytes, tmp_path: Path) -> None:
    for name, used in (("used-before", True), ("not-used-before", False)):
        session = accepted(send(server, archive))["session_id"]
        if used:
            segmented(server, tmp_path, session_id=session)
        accepted(server.request("PUT", f"/cases/{name}", params={"session_id": session}))
        assert (server.workspace / "uploads" / name / "dicom" / "reference.json").is_file()
        assert (server.workspace / "answers" / name).is_dir() == used
        kept = server.workspace / "sessions" / session
        assert not [name for name in files_below(kept) if is_dicom(kept / name)]


def test_the_stock_client_sends_a_study_as_a_case(server: Server, archive: bytes, tmp_path: Path) -> None:
    path = tmp_path / "Doe Jane.zip"
    path.write_bytes(archive)
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    assert client.upload_image(str(path), "stock")["image"] == "stock"
    assert set(server.get("/cases/stock/preprocessing")) == {"state", "preprocessing"}
    session = client.create_session(str(path))["session_id"]
    accepted(server.infer(session_id=session))
    with open(path, "rb") as file:
        named = accepted(server.request("PUT", "/datastore/", files={"file": (path.name, file)}))["image"]
    assert named.startswith("study-")
    assert "doe" not in named


def test_an_upload_that_was_cancelled_stores_nothing(server: Server, archive: bytes) -> None:
    job = "cancelled0upload"
    refused(server.request("DELETE", f"/jobs/{job}"), 404)  # it may arrive before the upload
    assert refused(send(server, archive, "/cases/cancelled", job=job), 499)["field"] == "job"
    assert "cancelled" not in server.case_ids()
    assert server.get(f"/jobs/{job}")["state"] == "cancelled"
    accepted(send(server, archive, "/cases/uploaded", job="another0upload"))
    assert server.get("/jobs/another0upload")["state"] == "done"


def test_values_that_break_the_standard_are_not_quoted_in_the_log(server: Server, tmp_path: Path) -> None:
    strange = stripped_study(PatientBirthDate="Doe 1970", PatientAge="Jane is 54", StudyTime="P-0815")
    session = accepted(send(server, zipped(strange)))["session_id"]
    accepted(server.infer(session_id=session))


def test_nothing_names_the_patient_but_the_headers(server: Server) -> None:
    kept = [path for path in server.workspace.rglob("*") if path.is_file()]
    assert [path for path in kept if path.name == "reference.json"]
    names = [str(path.relative_to(server.workspace)) for path in server.workspace.rglob("*")]
    # a study that no inference has looked at yet is kept as it was sent
    others = [path for path in kept if path.name != "reference.json" and path.suffix != ".gz" and not is_dicom(path)]
    texts = [path.read_bytes() for path in others]
    for secret in SECRETS:
        assert not [name for name in names if secret.lower() in name.lower()]
        assert secret not in server.log.read_text()
        assert not [text for text in texts if secret.encode() in text]


# === Restarts ===


@pytest.fixture
def killed(many_cases: Path, tiny_model: Path, tmp_path: Path, archive: bytes) -> tuple[Path, str, str]:
    """The workspace of a server that was killed, a session that was used, and one that was not."""
    workspace = tmp_path / "workspace"
    with serving(many_cases, workspace, tiny_model, warm_up="false") as server:
        used, unused = (accepted(send(server, archive))["session_id"] for _ in range(2))
        accepted(server.infer(session_id=used))
        server.process.kill()
        server.process.wait(30)
    return workspace, used, unused


def test_after_a_crash_no_raw_file_is_left(killed: tuple[Path, str, str], many_cases: Path, tiny_model: Path) -> None:
    workspace, used, unused = killed
    (workspace / "incoming" / "request-x").mkdir()
    (workspace / "incoming" / "request-x" / "00001.dcm").write_bytes(b"raw")
    (workspace / "sessions" / ".new-x").mkdir()
    (workspace / "sessions" / used / "left.dcm").write_bytes(b"raw")
    with serving(many_cases, workspace, tiny_model, warm_up="false") as server:
        accepted(server.infer(session_id=used))
        assert refused(server.infer(session_id=unused), 404)["field"] == "session_id"
    assert not [path for path in workspace.rglob("*") if path.is_file() and is_dicom(path)]
    assert not list(workspace.rglob("left.dcm"))
    assert {path.name for path in (workspace / "sessions").iterdir()} == {used}
