import numpy as np
import pytest
import slicer
from TumorLoopLib.files.nrrd import read_nrrd, write_nrrd
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.case_folder import find_volumes
from TumorLoopLib.scene.roles import ROLES, recognize
from TumorLoopLib.scene.volumes import problem_of, snapshot, texts_of

from tests.slicer_extension.scene.nodes import LABELS, back, labelmap

pytestmark = pytest.mark.usefixtures("scene")


@pytest.mark.parametrize("case", ["TCGA-FG-6692_native", "TCGA-DU-7294_native"])
def test_a_real_case_is_found_and_its_labels_come_back(real_cases, tmp_path, case):
    paths, problems = find_volumes(real_cases / case)
    assert problems == []
    nodes = {role: slicer.util.loadVolume(str(paths[role])) for role in ROLES}
    assert [problem_of(node) for node in nodes.values()] == [""] * 4
    names = {node.GetID(): texts_of(node) for node in nodes.values()}
    assert recognize(names).roles == {role: node.GetID() for role, node in nodes.items()}
    for role, node in nodes.items():
        taken = snapshot(node, role)
        shown = labelmap(geometry.shape_kji(node))
        report = back(segments.add_segmentation(shown, taken.ijk_to_ras, LABELS, node, "answer"), node)
        assert np.array_equal(report.array, shown)
        assert (report.problems, report.notices) == ([], [])
    taken = snapshot(nodes["flair"], "flair")
    write_nrrd(tmp_path / "flair.nrrd", taken.array, taken.ijk_to_ras)
    again = slicer.util.loadVolume(str(tmp_path / "flair.nrrd"))
    assert np.array_equal(slicer.util.arrayFromVolume(again), taken.array)
    assert np.allclose(snapshot(again, "flair").ijk_to_ras, read_nrrd(tmp_path / "flair.nrrd")[1], atol=1e-6)
