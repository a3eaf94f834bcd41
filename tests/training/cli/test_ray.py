"""Commands on a Ray of this machine: the results are those of the command without it, and nothing is done twice."""

from pathlib import Path

import pytest

from tests import synthetic

SMALL = synthetic.brats_grid((32, 32, 32))
RAY = ("--ray", "--ray-workers", 2)


@pytest.fixture
def cohort(tmp_path):
    for name in "abc":
        synthetic.write_case(tmp_path / "cohort", name, grids=SMALL)
    cut = tmp_path / "cohort" / "b" / "b_flair.nii.gz"
    cut.write_bytes(cut.read_bytes()[:1000])
    return tmp_path / "cohort"


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".finished" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_cohort_is_segmented_as_without_ray_and_only_what_is_missing_is_computed_again(
    run, cohort, tiny_models, tmp_path
):
    def predict(output: str, *options: object) -> tuple[int, str, str]:
        return run("predict", cohort, "--maps", "--models", tiny_models, "-o", tmp_path / output, *options)

    code, stdout, _ = predict("serial")
    assert (code, "Not segmented: 1 of 3" in stdout) == (1, True)
    code, stdout, stderr = predict("ray", *RAY)
    assert (code, "Not segmented: 1 of 3" in stdout, "b failed" in stderr) == (1, True, True)
    assert files(tmp_path / "ray") == files(tmp_path / "serial")
    kept = (tmp_path / "ray" / "a_seg.nii.gz").stat().st_mtime_ns
    (tmp_path / "ray" / "c_seg.nii.gz").unlink()
    (tmp_path / "ray" / ".finished" / "c.json").write_text('{"key": "half')
    code, _, stderr = predict("ray", *RAY)
    assert (code, "c_entropy.nii.gz" in stderr) == (2, True)  # nothing says any more whose file that is
    code, _, stderr = predict("ray", *RAY, "--overwrite")
    assert (code, "a: already there" in stderr, "c: already there" in stderr) == (1, True, False)
    assert files(tmp_path / "ray") == files(tmp_path / "serial")
    assert (tmp_path / "ray" / "a_seg.nii.gz").stat().st_mtime_ns == kept
    (tmp_path / "ray" / "a_seg.nii.gz").write_bytes(b"edited by hand")
    assert predict("ray", *RAY)[0] == 2
