"""The next case, cases from folders, and what stays in the scene when another case is opened."""

import pytest
import slicer
import vtk
from TumorLoopLib.scene.volumes import ROLE_ATTRIBUTE

from tests.slicer_extension.client.http_server import file_answer
from tests.slicer_extension.panel.conftest import NAMES, shown_volumes
from tests.slicer_extension.panel.server import scripted_server


@pytest.fixture
def with_cases(segmented, server):
    """A user whose server has two cases without labels."""
    volumes = next(iter(server.sessions.values()))
    server.cases.update({"case-a": volumes, "case-b": volumes})
    segmented.wait(lambda: segmented.ui.nextCaseButton.enabled)
    return segmented


@pytest.fixture
def another_case(case, tmp_path):
    """A folder with the four volumes of another patient."""
    folder = tmp_path / "patient-2"
    folder.mkdir()
    for role, node in case.items():
        assert slicer.util.saveNode(node, str(folder / f"{role}.nrrd"))
        node.SetName(NAMES[role])
    return folder


def next_case(user) -> str:
    user.finish("nextCaseButton")
    assert user.tone == "good", user.status
    return user.parameters.case_id


def in_scene(node) -> bool:
    return node.GetScene() is slicer.mrmlScene


def test_the_server_chooses_the_next_case_and_says_why_and_its_volumes_are_not_sent_back(with_cases, server):
    assert next_case(with_cases) == "case-b"
    assert with_cases.status == "Case case-b is loaded. The model is least sure."
    assert [next_case(with_cases), next_case(with_cases)] == ["case-a", "case-b"]
    asked = [path.rpartition("/")[2] for path in server.asked if path.startswith("POST /activelearning/")]
    assert asked == ["uncertainty"] * 3
    with_cases.wait(lambda: with_cases.panel.context.downloaded and with_cases.ui.segmentButton.enabled)
    with_cases.segment()
    assert len(server.uploads) == 1
    assert any("image=case-b" in path for path in server.asked)


def test_a_download_that_breaks_off_changes_nothing(with_cases, server):
    def present():
        return [getattr(with_cases.parameters, name) for name in (*NAMES, "case_id")]

    before, broken = present(), file_answer(b"NRRD", "application/octet-stream", length=1000)
    server.failures["GET /cases/case-b/volumes/t2"] = broken
    with_cases.finish("nextCaseButton")
    assert with_cases.status.startswith("No case was loaded; the scene did not change.")
    assert list(with_cases.services.temporary_folder.iterdir()) == []
    assert present() == before
    assert next_case(with_cases) == "case-b"


def test_labels_of_another_server_are_not_those_of_this_case(segmented, server):
    user, context = segmented, segmented.panel.context
    user.submit()
    user.select("historyTable", 0)
    assert user.versions() == ["v0001"]
    user.type("addressCombo", "http://127.0.0.1:9")  # also before it answers
    assert (user.versions(), user.panel.state().chosen_label) == ([], "")
    context.show_history([{"version": "v0001"}], server.url)  # a case that arrives after the address has changed
    assert context.history == []
    with scripted_server() as other:
        other.labels.update(server.labels)
        other.cases.update(server.cases)
        user.connect(other.url)
        user.run(0.5)
        assert (user.versions(), user.ui.loadLabelButton.enabled) == ([], False)
        assert not any("/labels" in asked for asked in other.asked)
        user.connect(server.url)
        assert user.wait(user.versions) == ["v0001"]


def test_the_users_own_volumes_stay_when_another_case_is_loaded(segmented, case, another_case):
    segmentation = segmented.parameters.segmentation
    segmented.submit()
    assert segmented.tone == "good", segmented.status
    segmented.load_folder(another_case)
    assert all(in_scene(node) for node in (*case.values(), segmentation))
    assert segmented.parameters.t1ce is not case["t1ce"]
    assert shown_volumes() == {segmented.parameters.t1ce.GetID()}


def test_what_the_server_has_is_removed_and_segments_that_it_does_not_have_stay(segmented, case, another_case):
    for role, node in case.items():
        node.SetAttribute(ROLE_ATTRIBUTE, role)
    segmentation, answer = segmented.parameters.segmentation, segmented.parameters.answer
    segmentation.GetSegmentation().AddEmptySegment("", "cavity")
    segmented.submit()
    segmented.load_folder(another_case)
    assert not any(in_scene(node) for node in (*case.values(), answer))
    assert in_scene(segmentation)


def test_a_missing_volume_is_never_taken_from_the_case_before(connected, another_case):
    (another_case / "t2.nrrd").unlink()
    connected.load_folder(another_case)
    connected.run(0.5)
    assert "Not found: T2" in connected.status
    assert connected.ui.t2Selector.currentNode() is None
    assert connected.parameters.t1.GetName().startswith("t1")
    assert connected.panel.state().volumes_problem.startswith("Missing: T2")


def test_another_case_changes_the_parameters_in_one_event(segmented):
    seen: list[str] = []
    node = segmented.parameters.parameterNode
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: seen.append(event))
    segmented.panel.case._clear_case("another")
    assert seen == ["ModifiedEvent"]
    assert (segmented.parameters.segmentation, segmented.parameters.case_id) == (None, "another")
