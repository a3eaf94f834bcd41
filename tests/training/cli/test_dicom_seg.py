"""DICOM SEG on the command line: ``export`` to it and from it, and the formats of ``predict``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.training.dicom.made_series import made_study, write_study
from training.dicom.read import read_grid
from training.dicom.series import find_series
from training.images.grid import Volume
from training.images.read import read_labelmap
from training.images.write import write_labelmap


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(made_study(), tmp_path / "study")


@pytest.fixture
def label(study: Path, tmp_path: Path) -> Path:
    """A labelmap on the voxels of the study."""
    first = find_series(study)[0]
    grid = read_grid(first.instances, first.part)
    data = np.random.default_rng(0).integers(0, 4, grid.shape).astype(np.uint8)
    return write_labelmap(Volume(data, grid), tmp_path / "case.nii.gz")


def test_a_labelmap_becomes_a_dicom_seg_and_a_labelmap_again(run, study: Path, label: Path, tmp_path: Path) -> None:
    for options, kind in (((), "BINARY"), (("--format", "dicom_seg_labelmap"), "LABELMAP")):
        seg, back = tmp_path / f"{kind}.dcm", tmp_path / f"{kind}.nii.gz"
        code, _, stderr = run("export", label, seg, "--reference", study, "--model", "v0001", *options)
        assert code == 0, stderr
        assert pydicom.dcmread(seg).SegmentationType == kind
        assert run("export", seg, back, "--reference", label)[0] == 0
        assert np.array_equal(read_labelmap(back).data, read_labelmap(label).data)


@pytest.mark.parametrize(
    ("options", "kind", "creator"),
    [
        (["--model", "v0001"], "AUTOMATIC", "TumorLoop^"),
        (["--author", "Anna Sommer"], "MANUAL", "Sommer^Anna"),
        (["--model", "v0001", "--author", "Anna Sommer"], "SEMIAUTOMATIC", "Sommer^Anna"),
    ],
)
def test_the_options_say_who_made_it(
    run, study: Path, label: Path, tmp_path: Path, options: list[str], kind: str, creator: str
) -> None:
    assert run("export", label, tmp_path / "x.dcm", "--reference", study, *options)[0] == 0
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    assert {segment.SegmentAlgorithmType for segment in dataset.SegmentSequence} == {kind}
    assert dataset.ContentCreatorName == creator


@pytest.mark.parametrize(
    ("output", "options", "field", "message"),
    [
        ("x.dcm", ["--model", "v0001"], "reference", "Give the folder of the series"),
        ("x.dcm", ["--reference", "STUDY"], "author", "says who made it"),
        ("x.dcm", ["--reference", "STUDY", "--model", "v1", "--brats-values"], "brats-values", "no BraTS values"),
        ("x.nii", ["--reference", "STUDY", "--format", "dicom_seg"], "format", "must end in .dcm"),
    ],
)
def test_what_cannot_be_written_is_refused(
    run, study: Path, label: Path, tmp_path: Path, output: str, options: list[str], field: str, message: str
) -> None:
    arguments = [study if option == "STUDY" else option for option in options]
    code, _, stderr = run("export", label, tmp_path / output, *arguments)
    assert (code, f"Error ({field})" in stderr, message in stderr) == (2, True, True), stderr
    assert not (tmp_path / output).exists()


def test_predict_refuses_a_dicom_seg_of_volumes_that_are_no_dicom_before_it_computes(
    run, case_folder: Path, tiny_models: Path, tmp_path: Path
) -> None:
    options = ("--models", tiny_models, "--output", tmp_path / "results")
    code, _, stderr = run("predict", case_folder, "--format", ".dcm", *options)
    assert (code, "is no DICOM series" in stderr, ".seg.nrrd" in stderr) == (2, True, True), stderr
    assert run("predict", case_folder, "--format", "dicom", *options)[0] == 2
