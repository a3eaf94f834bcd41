"""DICOM SEG over HTTP: results, stored labels and labels of a session, on the DICOM series that was sent."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests

from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, eventually, refused
from tests.server_app.studies import small_grid, stripped_study, zipped
from training.dicom.seg_read import read_seg
from training.images.grid import Grid, Volume
from training.images.lattice import on_grid
from training.images.read import read_labelmap
from training.images.write import write_labelmap

KINDS = {"dicom_seg": "BINARY", "dicom_seg_labelmap": "LABELMAP"}


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return stripped_study()


@pytest.fixture(scope="module")
def archive(study: dict[str, Any]) -> bytes:
    return zipped(study)


def sent(server: Server, path: str, archive: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = accepted(server.request("PUT", path, files=[("files", ("study.zip", archive))]))
    return answer


@pytest.fixture(scope="module")
def session(server: Server, archive: bytes) -> str:
    return str(sent(server, "/session/", archive)["session_id"])


@pytest.fixture(scope="module")
def case(server: Server, archive: bytes) -> str:
    return str(sent(server, "/cases/for-seg", archive)["id"])


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A label of the study."""
    return synthetic.save(synthetic.truth(small_grid()), tmp_path / "label.nii.gz")


def seg_of(answer: requests.Response) -> pydicom.Dataset:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom"), answer.text
    return pydicom.dcmread(io.BytesIO(answer.content))


def labels_of(answer: requests.Response, folder: Path, grid: Grid) -> np.ndarray:
    (folder / "answer.dcm").write_bytes(answer.content)
    placed = on_grid(read_seg(folder / "answer.dcm"), grid)
    assert placed is not None
    return placed.data


@pytest.mark.parametrize("output", KINDS)
def test_a_result_is_a_dicom_seg_on_the_images_that_were_sent(
    server: Server, session: str, study: dict[str, Any], output: str, tmp_path: Path
) -> None:
    answer = server.infer(output=output, session_id=session)
    dataset = seg_of(answer)
    assert dataset.SegmentationType == KINDS[output]
    (series,) = dataset.ReferencedSeriesSequence
    named = {reference.ReferencedSOPInstanceUID for reference in series.ReferencedInstanceSequence}
    assert named == {instance.SOPInstanceUID for instance in study["t1ce"]}
    assert (dataset.PatientName, dataset.StudyInstanceUID) == ("Doe^Jane", study["t1ce"][0].StudyInstanceUID)
    assert {segment.SegmentAlgorithmType for segment in dataset.SegmentSequence} == {"AUTOMATIC"}
    image = tmp_path / "result.nii.gz"
    image.write_bytes(server.infer(output="image", session_id=session).content)
    expected = read_labelmap(image)
    assert np.array_equal(labels_of(answer, tmp_path, expected.grid), expected.data)
    eventually(lambda: not list((server.workspace / "incoming").iterdir()))  # they are deleted once they are sent


@pytest.mark.parametrize(
    ("params", "kind", "creator"),
    [
        ({"client_id": "Anna Sommer"}, "MANUAL", "Sommer^Anna"),
        ({"client_id": "anna", "model_version": "v0001", "comment": "x"}, "SEMIAUTOMATIC", "anna^"),
        ({"source": "model", "model_version": "v0001", "status": "x"}, "AUTOMATIC", "TumorLoop^"),
    ],
)
def test_a_stored_label_is_a_dicom_seg_that_says_who_made_it(
    server: Server, case: str, truth: Path, params: dict[str, Any], kind: str, creator: str, tmp_path: Path
) -> None:
    tag = f"seg-{kind.lower()}"
    version = accepted(server.send_label(case, truth, tag, **params))["version"]
    path = f"/cases/{case}/labels/{version}"
    answer = server.request("GET", path, params={"output": "dicom_seg"})
    dataset = seg_of(answer)
    assert {segment.SegmentAlgorithmType for segment in dataset.SegmentSequence} == {kind}
    assert dataset.ContentCreatorName == creator
    assert np.array_equal(labels_of(answer, tmp_path, small_grid()), synthetic.truth(small_grid()).data)
    assert server.request("GET", path, params={"output": "dicom_seg"}).content == answer.content
    label_map = seg_of(server.request("GET", path, params={"output": "dicom_seg_labelmap"}))
    assert label_map.SegmentationType == "LABELMAP"


def test_a_dicom_seg_is_a_label_too(server: Server, case: str, session: str, truth: Path, tmp_path: Path) -> None:
    seg = tmp_path / "drawn in another program.dcm"
    seg.write_bytes(as_seg(server, session, truth).content)
    version = accepted(server.send_label(case, seg, "seg-in"))["version"]
    stored = server.workspace / "labels" / case / version / "label.nii.gz"
    assert np.array_equal(read_labelmap(stored).data, synthetic.truth(small_grid()).data)


def as_seg(server: Server, session: str, label: Path, **params: Any) -> requests.Response:
    files, data = {"label": (label.name, label.read_bytes())}, {"params": json.dumps(params)}
    return server.request("POST", f"/session/{session}/dicom_seg", files=files, data=data)


def test_a_label_of_a_session_becomes_a_dicom_seg_and_is_not_stored(
    server: Server, session: str, truth: Path, tmp_path: Path
) -> None:
    answer = as_seg(server, session, truth, client_id="Anna Sommer", model_version="v0001")
    dataset = seg_of(answer)
    assert (dataset.SegmentSequence[0].SegmentAlgorithmType, dataset.ContentCreatorName) == (
        "SEMIAUTOMATIC",
        "Sommer^Anna",
    )
    assert np.array_equal(labels_of(answer, tmp_path, small_grid()), synthetic.truth(small_grid()).data)
    kind = seg_of(as_seg(server, session, truth, output="dicom_seg_labelmap")).SegmentationType
    assert kind == "LABELMAP"


def test_a_label_of_another_grid_and_unknown_choices_are_refused(
    server: Server, session: str, truth: Path, tmp_path: Path
) -> None:
    elsewhere = Volume(np.ones((4, 4, 4), np.uint8), Grid((4, 4, 4), np.eye(4)))
    other = write_labelmap(elsewhere, tmp_path / "other.nii.gz")
    assert refused(as_seg(server, session, other))["field"] == "label"
    assert refused(as_seg(server, session, truth, output="nifti"))["field"] == "output"
    assert refused(as_seg(server, session, truth, model_version="newest"))["field"] == "model_version"
    assert refused(as_seg(server, "0" * 8, truth), 404)["field"] == "session_id"


def test_volumes_that_are_no_dicom_are_refused_before_anything_is_computed(server: Server) -> None:
    plain = server.session(CASES[0])
    whole = ("case.nii.gz", server.contents(CASES[0])["t1.nii.gz"])
    for answer in (
        server.infer(output="dicom_seg", image=CASES[0]),
        server.infer(output="dicom_seg_labelmap", session_id=plain),
        server.request("POST", "/infer/tumorloop?output=dicom_seg", files={"file": whole}),
    ):
        found = refused(answer)
        assert (found["field"], ".seg.nrrd" in found["message"]) == ("output", True)
    assert server.request("GET", f"/session/{plain}/preprocessing").json()["state"] == "waiting"
    drawn = server.studies / CASES[0] / f"{CASES[0]}_seg.nii.gz"
    version = accepted(server.send_label(CASES[0], drawn, "seg-none"))["version"]
    assert refused(server.request("GET", f"/cases/{CASES[0]}/labels/{version}?output=dicom_seg"))["field"] == "output"
