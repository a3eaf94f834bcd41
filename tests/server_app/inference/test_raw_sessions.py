"""Raw heads as sessions: preprocessed by the first inference, checked and corrected, and kept stripped only."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, eventually, load, refused
from training.images.grid import transform_points
from training.images.read import read_labelmap, read_volume
from training.phantoms.raw import RawStudy, raw_study


@pytest.fixture(scope="module")
def study() -> RawStudy:
    return raw_study(6, degrees=5, mm=6, small=True)


@pytest.fixture(scope="module")
def contents(study: RawStudy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return contents_of(study, tmp_path_factory.mktemp("raw"))


def contents_of(study: RawStudy, folder: Path) -> dict[str, bytes]:
    return {
        f"{role}.nii.gz": synthetic.save(volume, folder / f"{role}.nii.gz").read_bytes()
        for role, volume in study.volumes.items()
    }


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def done(server: Server, contents: dict[str, bytes], stages: list[str]) -> tuple[str, dict[str, Any]]:
    """A session after its first inference, and the facts of that."""
    session = accepted(server.send("/session/", contents))["session_id"]
    facts: list[Any] = []
    thread = threading.Thread(
        target=lambda: facts.append(accepted(server.infer({"job": "rawsession0001"}, session_id=session)))
    )
    thread.start()
    while thread.is_alive():
        answer = server.request("GET", "/jobs/rawsession0001")
        if answer.ok and answer.json()["stage"] not in stages:
            stages.append(answer.json()["stage"])
        thread.join(0.2)
    return session, facts[0]


def test_the_first_inference_says_what_was_done(
    done: tuple[str, dict[str, Any]], study: RawStudy, stages: list[str]
) -> None:
    _, facts = done
    found = facts["preprocessing"]
    assert found["reference"] == facts["reference"] == "t1ce"
    assert set(found["alignments"]) == {"t1", "t2", "flair"}
    for role, alignment in found["alignments"].items():
        assert alignment["trusted"]
        assert study.error(role, np.array(alignment["matrix"])) < 2.5, role
    true_ml = float(study.brain.data.sum()) * study.brain.grid.voxel_ml
    assert found["brain_ml"] == pytest.approx(true_ml, rel=0.15)
    assert len(found["steps"]) >= 4
    assert {"registering", "stripping"} <= set(found["seconds"]) <= set(facts["seconds"])
    assert {"registering", "stripping"} <= set(stages)


def test_no_raw_voxel_is_left_and_the_second_inference_gives_the_same(
    server: Server, done: tuple[str, dict[str, Any]], study: RawStudy, tmp_path: Path
) -> None:
    session, facts = done
    folder = server.workspace / "sessions" / session
    volumes = {path.name: read_volume(path) for path in folder.glob("images-*/*.nii.gz")}
    assert set(volumes) == {f"{role}.nii.gz" for role in study.volumes}
    assert {path.name for path in folder.iterdir() if not path.name.startswith("images-")} == {"meta.info", "answer"}
    outside = study.head.data > 0
    outside &= ~_dilated(study.brain.data > 0, 4)
    reference = volumes["t1ce.nii.gz"]
    assert reference.grid.matches(study.volumes["t1ce"].grid)
    assert np.count_nonzero(reference.data[outside]) < 0.02 * np.count_nonzero(outside)
    assert list((server.workspace / "incoming").iterdir()) == []
    assert not [path for path in (server.workspace / "cache").rglob("*.nii.gz") if _shows(path, outside.shape)]

    results = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(server.infer(output="image", session_id=session).content)
        results.append(read_labelmap(path))
    first = read_labelmap(folder / "answer" / "answer.nii.gz")
    assert all(np.array_equal(result.data, first.data) for result in results)
    assert first.grid.matches(study.volumes["t1ce"].grid)
    again = accepted(server.infer(session_id=session))
    assert again["volumes_ml"] == facts["volumes_ml"]
    assert again["preprocessing"] == facts["preprocessing"]
    assert "registering" not in again["seconds"]


def _dilated(mask: np.ndarray, voxels: int) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    grown: np.ndarray = binary_dilation(mask, iterations=voxels)
    return grown


def _shows(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file of the cache may hold an image of this study: results are labelmaps."""
    volume = read_volume(path)
    return volume.data.shape == shape and len(np.unique(volume.data)) > 10


def test_the_mask_and_the_volumes_can_be_looked_at(
    server: Server, done: tuple[str, dict[str, Any]], study: RawStudy, tmp_path: Path
) -> None:
    session, facts = done
    assert server.get(f"/session/{session}/preprocessing") == {
        "state": "done",
        "preprocessing": facts["preprocessing"],
    }
    for ending in (".nii.gz", ".nrrd"):
        path = tmp_path / f"brain{ending}"
        path.write_bytes(server.request("GET", f"/session/{session}/brain", params={"ending": ending}).content)
        brain = read_volume(path)
        assert set(np.unique(brain.data)) == {0, 1}
        assert brain.grid.spacing == pytest.approx((1, 1, 1), abs=0.01)
    points = study.brain_points(2000)
    voxels = np.round(transform_points(np.linalg.inv(brain.grid.affine), points)).astype(int)
    assert np.mean(brain.data[tuple(voxels.T)]) > 0.9
    path = tmp_path / "flair.nrrd"
    path.write_bytes(server.request("GET", f"/session/{session}/volumes/flair").content)
    assert read_volume(path).grid.matches(brain.grid)
    assert refused(server.request("GET", f"/session/{session}/volumes/pet"), 404)["field"] == "role"


def test_another_reference_or_a_part_of_it_needs_the_series_again(
    server: Server, done: tuple[str, dict[str, Any]], contents: dict[str, bytes]
) -> None:
    session, _ = done
    found = refused(server.infer({"reference": "flair"}, session_id=session))
    assert (found["field"], "Send the series again" in found["message"]) == ("reference", True)
    accepted(server.infer({"reference": "t1ce"}, session_id=session))
    based = server.send("/session/", {"t1.nii.gz": contents["t1.nii.gz"]}, base=session)
    assert refused(based, 404)["field"] == "base"


def test_a_session_of_a_raw_head_becomes_a_stripped_case_on_which_a_correction_trains(
    server: Server, done: tuple[str, dict[str, Any]], study: RawStudy, tmp_path: Path
) -> None:
    from training.cases.case import case_from_roles
    from training.preparation.prepare_cases import prepare_case
    from training.preparation.store import PreparedStore

    session, facts = done
    accepted(server.request("PUT", "/cases/raw-head", params={"session_id": session}))
    assert server.get("/cases/raw-head/preprocessing")["preprocessing"] == facts["preprocessing"]
    assert server.request("GET", "/cases/raw-head/brain").status_code == 200
    label = synthetic.save(study.label, tmp_path / "label.nii.gz")
    stored = accepted(server.send_label("raw-head", label))
    assert stored["reference"] == "t1ce"
    assert set(stored["dice_against_model"]) == {"WT", "TC", "ET"}
    folder = server.workspace / "uploads" / "raw-head"
    kept = server.workspace / "labels" / "raw-head" / "v0001" / "label.nii.gz"
    case = case_from_roles({role: folder / f"{role}.nii.gz" for role in study.volumes}, id="raw-head", label=kept)
    prepared = prepare_case(case, PreparedStore(tmp_path / "store"))
    true_ml = float(np.count_nonzero(study.label.data)) * study.label.grid.voxel_ml
    assert np.count_nonzero(prepared.label()) / 1000 == pytest.approx(true_ml, rel=0.1)
    inside = np.asarray(prepared.label()) > 0
    assert np.mean(np.any(np.asarray(prepared.image())[inside] != 0, axis=-1)) > 0.97  # the tumor was not stripped
    plan = server.get("/train/tumorloop/plan")
    assert "raw-head" in json.dumps(plan)
    accepted(server.request("DELETE", "/datastore/", params={"id": "raw-head"}))


def test_a_mask_may_be_made_smaller_and_not_larger(
    server: Server, done: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    session, facts = done
    path = tmp_path / "brain.nii.gz"
    path.write_bytes(server.request("GET", f"/session/{session}/brain").content)
    image = load(path)
    brain = np.asarray(image.dataobj)

    def sent(mask: np.ndarray) -> Any:
        import nibabel

        nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), image.affine), path)
        return server.request("PUT", f"/session/{session}/brain", files={"brain": ("b.nii.gz", path.read_bytes())})

    found = refused(sent(np.ones_like(brain)))
    assert (found["field"], "Send the series again" in found["message"]) == ("brain", True)
    assert refused(sent(np.zeros_like(brain)))["field"] == "brain"
    smaller = brain.copy()
    smaller[:, :, : brain.shape[2] // 2] = 0
    about = accepted(sent(smaller))["preprocessing"]
    assert about["brain_ml"] < 0.8 * facts["preprocessing"]["brain_ml"]
    assert "smaller" in about["steps"][-1]
    assert accepted(server.infer(session_id=session))["preprocessing"] == about
    folder = server.workspace / "sessions" / session
    (images,) = folder.glob("images-*")
    for role in ("t1ce", "flair"):
        volume = read_volume(images / f"{role}.nii.gz")
        voxels = np.argwhere(volume.data != 0)
        heights = transform_points(volume.grid.affine, voxels)[:, 2]
        low = transform_points(image.affine, np.array([[0, 0, brain.shape[2] // 2]]))[0, 2]
        assert heights.min() > low - 6
    plain = server.session(CASES[0])
    accepted(server.infer(session_id=plain))
    put = server.request("PUT", f"/session/{plain}/brain", files={"brain": ("b.nii.gz", path.read_bytes())})
    assert refused(put, 404)["field"] == "brain"


def test_a_raw_case_may_bring_its_own_brain_mask(
    server: Server, contents: dict[str, bytes], study: RawStudy, tmp_path: Path
) -> None:
    mask = synthetic.save(study.brain, tmp_path / "mask.nii.gz").read_bytes()
    files: list[Any] = [("files", item) for item in contents.items()]
    made = accepted(server.request("PUT", "/cases/own-mask", files=[*files, ("brain", ("mask.nii.gz", mask))]))
    assert made["id"] == "own-mask"
    found = server.get("/cases/own-mask/preprocessing")["preprocessing"]
    true_ml = float(study.brain.data.sum()) * study.brain.grid.voxel_ml
    assert found["brain_ml"] == pytest.approx(true_ml, rel=0.03)
    assert "stripping" not in found["seconds"]
    assert {path.name for path in (server.workspace / "uploads" / "own-mask").iterdir()} == {
        *(f"{role}.nii.gz" for role in study.volumes),
        *("case.json", "preprocessing"),
    }
    # the same upload again is known by its hash, without computing
    before = server.get("/cases/own-mask/preprocessing")
    accepted(server.request("PUT", "/cases/own-mask", files=[*files, ("brain", ("mask.nii.gz", mask))]))
    assert server.get("/cases/own-mask/preprocessing") == before
    accepted(server.request("DELETE", "/datastore/", params={"id": "own-mask"}))


def test_a_series_that_does_not_fit_is_refused_and_the_raw_session_kept_until_it_is_forced(
    server: Server, tmp_path: Path
) -> None:
    study, other = (raw_study(seed, degrees=8, mm=10, small=True) for seed in (5, 6))
    study = replace(study, volumes={**study.volumes, "t2": other.volumes["t2"]})  # of another patient
    files: list[Any] = [("files", item) for item in contents_of(study, tmp_path).items()]
    mask = synthetic.save(study.brain, tmp_path / "mask.nii.gz").read_bytes()
    sent = server.request("PUT", "/session/", files=[*files, ("brain", ("mask.nii.gz", mask))])
    session = accepted(sent)["session_id"]
    found = refused(server.infer(session_id=session))
    assert (found["field"], "force" in found["message"]) == ("t2", True)
    assert server.get(f"/session/{session}/preprocessing")["state"] == "waiting"
    facts = accepted(server.infer({"force": True}, session_id=session))
    assert facts["preprocessing"]["forced"]
    assert facts["preprocessing"]["warnings"][0] in facts["warnings"]
    assert server.get(f"/session/{session}/preprocessing")["state"] == "done"


def test_cancelling_while_it_is_registered_leaves_the_session_as_it_was(
    server: Server, contents: dict[str, bytes]
) -> None:
    session = accepted(server.send("/session/", contents))["session_id"]
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(server.infer({"job": "rawsession0002"}, session_id=session))
    )
    thread.start()

    def begun() -> bool:
        answer = server.request("GET", "/jobs/rawsession0002")
        return answer.ok and answer.json()["stage"] in ("registering", "stripping")

    eventually(begun, seconds=120)
    accepted(server.request("DELETE", "/jobs/rawsession0002"))
    thread.join(60)
    assert refused(answers[0], 499)["field"] == "job"
    assert server.get(f"/session/{session}/preprocessing")["state"] == "waiting"
    assert list((server.workspace / "incoming").iterdir()) == []
    accepted(server.request("DELETE", f"/session/{session}"))


def test_series_that_are_said_to_be_stripped_are_not_touched(server: Server, contents: dict[str, bytes]) -> None:
    session = accepted(server.send("/session/", contents))["session_id"]
    found = refused(server.infer({"as_scanned": False}, session_id=session))
    assert found["field"] == "allow_whole_head"
    facts = accepted(server.infer({"allow_whole_head": True}, session_id=session))
    assert facts["preprocessing"] is None
    assert server.get(f"/session/{session}/preprocessing")["state"] == "waiting"
    accepted(server.request("DELETE", f"/session/{session}"))
