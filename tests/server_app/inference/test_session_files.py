"""Volumes that are sent once: sessions made of earlier ones, cases made of sessions, volumes fetched as NRRD."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests

from tests import synthetic
from tests.server_app.conftest import Server, load, serving, tree_digest
from training.cases.case import DECATHLON_ORDER
from training.images.read import read_labelmap, read_volume
from training.modalities import ROLES

CASE, OTHER = "BraTS20_Training_001", "BraTS20_Training_002"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server over two cases; the second lies obliquely, in voxels of another size."""
    folder = tmp_path_factory.mktemp("reuse")
    synthetic.write_case(folder / "studies", CASE)
    oblique = synthetic.oblique_grid((1.1, 0.9, 2.3), (60, 70, 30), degrees=(8, -13, 21), center=(1.5, -2.25, 3.125))
    synthetic.write_case(folder / "studies", OTHER, grids=oblique)
    with serving(folder / "studies", folder / "workspace", tiny_model) as running:
        yield running


def session(server: Server, case: str, *roles: str, **query: Any) -> requests.Response:
    volumes = server.volumes(case)
    files = [("files", (f"{role}.nii.gz", volumes[role].read_bytes())) for role in roles]
    return server.request("PUT", "/session/", files=files, params=query)


def session_id(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["session_id"])


def segment(server: Server, path: Path, **where: str) -> np.ndarray:
    answer = server.request("POST", "/infer/tumorloop", params={**where, "output": "image"})
    assert answer.status_code == 200, answer.text
    path.write_bytes(answer.content)
    return read_labelmap(path).data


def detail(answer: requests.Response, status: int = 422) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    found = dict(answer.json()["detail"])
    assert "/workspace" not in found["message"]
    return found


def fetched(server: Server, address: str, path: Path, **query: str) -> Path:
    answer = server.request("GET", address, params=query)
    assert answer.status_code == 200, answer.text
    assert 'filename="' in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Disposition"].endswith('.nrrd"')
    path.write_bytes(answer.content)
    return path


# === Sessions made of earlier ones ===


def test_one_exchanged_volume_is_enough_and_the_answer_is_that_of_all_four(server: Server, tmp_path: Path) -> None:
    first = session_id(session(server, CASE, *ROLES))
    image = load(server.volumes(CASE)["flair"])
    changed = tmp_path / "flair.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1].copy(), image.affine), changed)
    files = [("files", ("flair.nii.gz", changed.read_bytes()))]
    second = session_id(server.request("PUT", "/session/", files=files, params={"base": first}))
    others = [("files", (f"{r}.nii.gz", server.volumes(CASE)[r].read_bytes())) for r in ("t1", "t1ce", "t2")]
    whole = session_id(server.request("PUT", "/session/", files=[*files, *others]))
    answers = [segment(server, tmp_path / f"{name}.nii.gz", session_id=name) for name in (first, second, whole)]
    assert np.array_equal(answers[1], answers[2])
    assert not np.array_equal(answers[0], answers[1])


def test_a_session_lives_on_when_the_one_it_was_made_of_is_gone(server: Server, tmp_path: Path) -> None:
    first = session_id(session(server, CASE, *ROLES))
    expected = segment(server, tmp_path / "a.nii.gz", session_id=first)
    second = session_id(session(server, CASE, "t1", base=first))
    assert server.request("DELETE", f"/session/{first}").status_code == 200
    assert np.array_equal(segment(server, tmp_path / "b.nii.gz", session_id=second), expected)
    third = session_id(session(server, CASE, "t2", "flair", base=second))
    assert np.array_equal(segment(server, tmp_path / "c.nii.gz", session_id=third), expected)
    assert detail(session(server, CASE, "t1", base=first), 404)["field"] == "base"


def test_a_session_short_of_modalities_is_completed(server: Server) -> None:
    short = session_id(session(server, CASE, "t1ce", allow_missing="true"))
    assert detail(session(server, CASE, "t1", base=short))["field"] == "t2"
    still_short = session_id(session(server, CASE, "t1", base=short, allow_missing="true"))
    assert session(server, CASE, "t2", "flair", base=still_short).status_code == 200


@pytest.mark.parametrize("base", ["nobody", "..", "../models", "%2e%2e", "/etc", "0" * 65, "0123/../..", "\x00"])
def test_a_base_that_is_none_is_refused(server: Server, base: str) -> None:
    before = tree_digest(server.workspace / "sessions")
    assert detail(session(server, CASE, "t1", base=base), 404 if base == "nobody" else 422)["field"] == "base"
    assert tree_digest(server.workspace / "sessions") == before


def test_a_file_whose_name_tells_no_modality_does_not_pass_for_an_exchanged_one(server: Server) -> None:
    first = session_id(session(server, CASE, *ROLES))
    files = [("files", ("new.nii.gz", server.volumes(CASE)["t1"].read_bytes()))]
    found = detail(server.request("PUT", "/session/", files=files, params={"base": first}))
    assert (found["field"], "new.nii.gz" in found["message"]) == ("files", True)


def test_a_session_of_one_4d_file_is_no_base_and_no_case(server: Server, tmp_path: Path) -> None:
    images = [load(server.volumes(CASE)[role]) for role in DECATHLON_ORDER]
    stacked = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    nibabel.save(nibabel.Nifti1Image(stacked, images[0].affine), tmp_path / "all.nii.gz")
    files = [("files", ("all.nii.gz", (tmp_path / "all.nii.gz").read_bytes()))]
    whole = session_id(server.request("PUT", "/session/", files=files))
    assert detail(session(server, CASE, "t1", base=whole))["field"] == "base"
    assert detail(server.request("PUT", "/cases/of-4d", params={"session_id": whole}))["field"] == "session_id"


def test_junk_with_a_base_is_refused_and_nothing_is_kept(server: Server) -> None:
    first = session_id(session(server, CASE, *ROLES))
    before = tree_digest(server.workspace / "sessions")
    files = [("files", ("t1.nii.gz", b"this is no image"))]
    found = detail(server.request("PUT", "/session/", files=files, params={"base": first}))
    assert "t1.nii.gz" in found["message"]
    after = tree_digest(server.workspace / "sessions")
    assert {name for name in after if not name.endswith("meta.info")} == {
        name for name in before if not name.endswith("meta.info")
    }
    assert list((server.workspace / "incoming").iterdir()) == []


# === Cases made of sessions ===


def test_a_session_becomes_a_case_with_its_answer_and_holds_labels(server: Server, tmp_path: Path) -> None:
    kept = session_id(session(server, CASE, *ROLES))
    answer = segment(server, tmp_path / "session.nii.gz", session_id=kept)
    made = server.request("PUT", "/cases/from-session", params={"session_id": kept, "client_id": "ann"})
    assert made.status_code == 200, made.text
    assert (made.json()["id"], made.json()["source"]) == ("from-session", "upload")
    assert json.loads((server.workspace / "uploads" / "from-session" / "case.json").read_text())["user"] == "ann"
    with open(tmp_path / "session.nii.gz", "rb") as handle:
        where = {"image": "from-session", "tag": "final"}
        label = server.request("PUT", "/datastore/label", params=where, files={"label": handle})
    assert label.status_code == 200, label.text
    assert label.json()["dice_against_model"] == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert np.array_equal(segment(server, tmp_path / "case.nii.gz", image="from-session"), answer)


def test_the_same_session_twice_is_one_case_and_other_volumes_are_a_conflict(server: Server) -> None:
    kept = session_id(session(server, CASE, *ROLES))
    for _ in range(2):
        assert server.request("PUT", "/cases/twice", params={"session_id": kept}).status_code == 200
    other = session_id(session(server, OTHER, *ROLES))
    found = detail(server.request("PUT", "/cases/twice", params={"session_id": other}), 409)
    assert (found["field"], "Choose another name" in found["message"]) == ("image", True)


def test_a_session_without_an_answer_becomes_a_case_too(server: Server) -> None:
    kept = session_id(session(server, OTHER, *ROLES))
    assert server.request("PUT", "/cases/unanswered", params={"session_id": kept}).status_code == 200
    assert not (server.workspace / "answers" / "unanswered").exists()


def test_a_session_short_of_a_modality_is_no_case(server: Server) -> None:
    short = session_id(session(server, CASE, "t1", "t1ce", "flair", allow_missing="true"))
    found = detail(server.request("PUT", "/cases/short", params={"session_id": short}))
    assert (found["field"], "T2 (t2)" in found["message"]) == ("t2", True)


@pytest.mark.parametrize("wrong", ["nobody", "..", "../../etc", "/etc/passwd", "\x00"])
def test_a_session_that_is_none_makes_no_case(server: Server, wrong: str) -> None:
    answer = server.request("PUT", "/cases/of-nothing", params={"session_id": wrong})
    found = detail(answer, 404 if wrong == "nobody" else 422)
    assert found["field"] == "session_id"


@pytest.mark.parametrize("name", ["..%2f..%2fx", "a%2fb", ".hidden", "%00", "a%5cb"])
def test_a_case_of_a_session_is_not_stored_under_a_path(server: Server, name: str) -> None:
    kept = session_id(session(server, CASE, *ROLES))
    answer = server.request("PUT", f"/cases/{name}", params={"session_id": kept})
    assert answer.status_code in (404, 405, 422), answer.text
    assert {path.name for path in server.workspace.parent.iterdir()} == {"studies", "workspace", "workspace.log"}


def test_neither_files_nor_a_session_or_both_are_refused(server: Server) -> None:
    kept = session_id(session(server, CASE, *ROLES))
    assert detail(server.request("PUT", "/cases/nothing"))["field"] == "files"
    files = [("files", (f"{role}.nii.gz", path.read_bytes())) for role, path in server.volumes(CASE).items()]
    both = server.request("PUT", "/cases/both", files=files, params={"session_id": kept})
    assert detail(both)["field"] == "files"


# === Volumes, labels and maps as NRRD ===


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", [CASE, OTHER])
def test_every_volume_of_a_case_comes_as_nrrd_exactly(server: Server, tmp_path: Path, case: str, role: str) -> None:
    found = read_volume(fetched(server, f"/cases/{case}/volumes/{role}", tmp_path / "a.nrrd"))
    expected = read_volume(server.volumes(case)[role])
    assert np.array_equal(found.data, expected.data)
    assert np.array_equal(found.grid.affine, expected.grid.affine)


def test_volumes_of_a_4d_file_with_fractions_come_exactly_too(server: Server, tmp_path: Path) -> None:
    grid = synthetic.oblique_grid((1.0, 1.25, 1.5), (40, 44, 32), degrees=(3, 5, 7))
    volumes = synthetic.four_volumes(grid)
    stacked = np.stack([volumes[role].data + 1 / 3 for role in DECATHLON_ORDER], axis=-1).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(stacked, grid.affine), tmp_path / "four.nii.gz")
    files = {"file": ("four.nii.gz", (tmp_path / "four.nii.gz").read_bytes())}
    assert server.request("PUT", "/datastore/", params={"image": "fractions"}, files=files).status_code == 200
    stored = load(tmp_path / "four.nii.gz")
    for role in ROLES:
        found = read_volume(fetched(server, f"/cases/fractions/volumes/{role}", tmp_path / f"{role}.nrrd"))
        assert np.array_equal(found.data, stacked[..., DECATHLON_ORDER.index(role)])
        assert np.array_equal(found.grid.affine, stored.affine)


def test_whole_numbers_are_sent_in_two_bytes(server: Server, tmp_path: Path) -> None:
    import nrrd

    _, header = nrrd.read(str(fetched(server, f"/cases/{CASE}/volumes/t1", tmp_path / "a.nrrd")))
    assert header["type"] in ("int16", "short")
    assert header["encoding"] == "gzip"


@pytest.mark.parametrize(
    ("address", "field"),
    [
        (f"/cases/{CASE}/volumes/t3", "role"),
        (f"/cases/{CASE}/volumes/seg", "role"),
        (f"/cases/{CASE}/volumes/T1", "role"),
        (f"/cases/{CASE}/volumes/..%2f..%2fetc%2fpasswd", None),
        ("/cases/nobody/volumes/t1", "image"),
        ("/cases/%2e%2e/volumes/t1", None),
        ("/cases/..%2fuploads/volumes/t1", None),
    ],
)
def test_a_volume_that_is_not_there_is_not_found(server: Server, address: str, field: str | None) -> None:
    answer = server.request("GET", address)
    assert answer.status_code == (422 if "%2" in address else 404)
    if field is not None:
        assert answer.json()["detail"]["field"] == field


def test_a_volume_that_cannot_be_read_any_more_is_named(server: Server) -> None:
    kept = session_id(session(server, CASE, *ROLES))
    assert server.request("PUT", "/cases/damaged", params={"session_id": kept}).status_code == 200
    path = server.workspace / "uploads" / "damaged" / "t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-500])
    assert detail(server.request("GET", "/cases/damaged/volumes/t2"))["field"] == "t2"
    assert server.request("GET", "/cases/damaged/volumes/t1").status_code == 200


def test_a_label_and_a_map_come_as_nrrd_when_asked_for(server: Server, tmp_path: Path) -> None:
    server.submit(OTHER)
    stored = fetched(server, f"/cases/{OTHER}/labels/v0001", tmp_path / "label.nrrd", ending=".nrrd")
    expected = synthetic.truth(read_volume(server.volumes(OTHER)["t1ce"]).grid)
    found = read_labelmap(stored)
    assert found.data.dtype == np.uint8
    assert np.array_equal(found.data, expected.data)
    assert found.grid.matches(expected.grid, 1e-6)

    params = {"params": json.dumps({"output_maps": True})}
    answer = server.request("POST", "/infer/tumorloop", params={"image": OTHER, "output": "json"}, data=params)
    address = answer.json()["maps"]["entropy"]
    plain = tmp_path / "entropy.nii.gz"
    plain.write_bytes(server.request("GET", address).content)
    as_nrrd = read_volume(fetched(server, address, tmp_path / "entropy.nrrd", ending=".nrrd"))
    assert np.array_equal(as_nrrd.data, read_volume(plain).data)
    assert as_nrrd.grid.matches(read_volume(plain).grid, 1e-4)


@pytest.mark.parametrize("ending", [".png", "nrrd", "../x.nrrd", ""])
def test_another_ending_is_refused(server: Server, ending: str) -> None:
    server.submit(CASE)
    answer = server.request("GET", f"/cases/{CASE}/labels/v0001", params={"ending": ending})
    assert detail(answer)["field"] == "ending"
