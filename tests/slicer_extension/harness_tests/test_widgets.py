import numpy as np
import pytest
import slicer

from tests.slicer_extension.harness import dialogs
from tests.slicer_extension.harness.widgets import WIDGETS, state


def volume(name, class_name="vtkMRMLScalarVolumeNode"):
    return slicer.mrmlScene.AddNewNodeByClass(class_name, name)


@pytest.mark.parametrize(
    ("widget", "attribute"),
    [
        ("ctkDirectoryButton", "noneEnabled"),
        ("ctkDirectoryButton", "displayAbsolutePath"),
        ("qMRMLNodeComboBox", "currentIndex"),
        ("qMRMLSegmentEditorWidget", "noneEnabled"),
        ("qMRMLSegmentEditorWidget", "masterVolumeNode"),
    ],
)
def test_a_widget_has_no_attribute_that_the_real_one_lacks_or_deprecates(desktop, widget, attribute):
    made = WIDGETS[widget]()
    with pytest.raises(AttributeError):
        setattr(made, attribute, 1)
    for name in (attribute, f"set{attribute[0].upper()}{attribute[1:]}"):
        with pytest.raises(AttributeError):
            getattr(made, name)


def test_a_directory_button_tells_of_every_selection_but_of_changes_only_when_there_is_one(desktop):
    import ctk

    button, got = ctk.ctkDirectoryButton(), []
    for signal in ("directorySelected(QString)", "directoryChanged(QString)"):
        button.connect(signal, lambda path, signal=signal: got.append((signal[9], path)))
    present = button.directory
    for path in (present, "/data/case", "/data/case/"):
        dialogs.choose_path(path)
        button.browse()
    assert got == [("S", present), ("S", "/data/case"), ("C", "/data/case"), ("S", "/data/case")]


def selector(**properties):
    made = slicer.qMRMLNodeComboBox()
    for name, value in {"addEnabled": False, "removeEnabled": False, **properties}.items():
        setattr(made, name, value)
    made.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    made.setMRMLScene(slicer.mrmlScene)
    return made


def test_a_node_selector_with_none_stays_at_none_until_one_is_chosen_and_has_no_actions(desktop):
    assert not state(slicer.qMRMLNodeComboBox())["box"].enabled, "it has no scene"
    with pytest.raises(NotImplementedError, match="addEnabled"):
        selector(addEnabled=True)
    made, node, got = selector(noneEnabled=True), volume("first"), list[object]()
    made.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    assert made.currentNode() is None
    for chosen in (node, node, volume("text", "vtkMRMLTextNode")):
        made.setCurrentNode(chosen)
    assert got == [node, None]
    with pytest.raises(TypeError, match="wants a vtkMRMLNode"):
        made.setCurrentNode("vtkMRMLScalarVolumeNode1")


@pytest.fixture
def editor(desktop):
    made = slicer.qMRMLSegmentEditorWidget()
    made.setMRMLScene(slicer.mrmlScene)
    made.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    made.setSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Tumor"))
    return made


@pytest.fixture
def source(desktop):
    return slicer.util.addVolumeFromArray(np.zeros((3, 4, 5)), name="T1ce")


def views():
    """Return the names of background and foreground in all slice views."""
    names = {node.GetID(): node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {(names.get(one.GetBackgroundVolumeID()), names.get(one.GetForegroundVolumeID())) for one in composites}


@pytest.mark.parametrize("auto_show", [True, False])
@pytest.mark.parametrize("event", ["another source volume", "another layout", "a loaded scene"])
def test_the_editor_shows_its_source_volume_alone_in_the_views_unless_told_not_to(editor, source, event, auto_show):
    editor.setAutoShowSourceVolumeNode(auto_show)
    editor.setupViewObservations()
    editor.setSourceVolumeNode(source if event == "another layout" else None)
    slicer.util.setSliceViewerLayers(background=volume("FLAIR"), foreground=volume("map"))
    if event == "another source volume":
        editor.setSourceVolumeNode(source)
    elif event == "another layout":
        slicer.app.layoutManager().setLayout(3)
    else:
        slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode").SetAndObserveSourceVolumeNode(source)
        editor.updateWidgetFromMRML()
    assert views() == ({("T1ce", None)} if auto_show else {("FLAIR", "map")})


def test_the_editor_leaves_views_alone_that_show_its_source_volume_or_that_it_does_not_observe(editor, source):
    slicer.util.setSliceViewerLayers(background=source, foreground=volume("map"))
    editor.setSourceVolumeNode(source)
    assert views() == {("T1ce", "map")}
    slicer.util.setSliceViewerLayers(background=volume("FLAIR"))
    slicer.app.layoutManager().setLayout(3)
    assert views() == {("FLAIR", "map")}


def test_the_editor_refuses_what_slicers_would_ignore_and_loses_its_node_with_the_scene(editor, source):
    segmentation = editor.segmentationNode()
    with pytest.raises(TypeError, match="vtkMRMLSegmentationNode"):
        editor.setSegmentationNode(source)
    with pytest.raises(TypeError, match="vtkMRMLScalarVolumeNode"):
        editor.setSourceVolumeNode(segmentation)
    editor.setSegmentationNode(None)
    with pytest.raises(RuntimeError, match="setSegmentationNode first"):
        editor.setSourceVolumeNode(source)
    with pytest.raises(RuntimeError, match="setMRMLSegmentEditorNode first"):
        slicer.qMRMLSegmentEditorWidget().setSegmentationNode(segmentation)
    editor.setSegmentationNode(segmentation)
    slicer.mrmlScene.Clear(0)
    assert (editor.segmentationNode(), editor.sourceVolumeNode()) == (None, None)
    with pytest.raises(RuntimeError, match="setMRMLSegmentEditorNode first"):
        editor.setSegmentationNode(segmentation)
