"""The harness's stand-ins of CTK's and Slicer's widgets behave like the real ones where panels notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.slicer_extension.harness import dialogs, driver


def _combo(**properties: Any) -> Any:
    import slicer

    combo = slicer.qMRMLNodeComboBox()
    combo.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    for name, value in properties.items():
        setattr(combo, name, value)
    combo.setMRMLScene(slicer.mrmlScene)
    return combo


def _volume(name: str, class_name: str = "vtkMRMLScalarVolumeNode") -> Any:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass(class_name, name)


def _texts(combo: Any) -> list[str]:
    from tests.slicer_extension.harness.qmrml import display_box

    box = display_box(combo)
    return [box.itemText(index) for index in range(box.count)]


def test_a_node_selector_follows_the_scene(desktop: Any) -> None:
    import slicer

    combo = _combo(addEnabled=False, removeEnabled=False)
    assert combo.currentNode() is None
    first, second = _volume("first"), _volume("second")
    second.SetName("renamed")

    assert combo.currentNode() is first
    assert _texts(combo) == ["first", "renamed"]
    slicer.mrmlScene.RemoveNode(first)
    assert combo.currentNode() is second
    slicer.mrmlScene.Clear(0)
    assert combo.currentNode() is None
    assert combo.nodeCount() == 0


def test_a_node_selector_with_none_stays_at_none(desktop: Any) -> None:
    combo = _combo(noneEnabled=True, noneDisplay="Choose a volume", addEnabled=False, removeEnabled=False)
    _volume("first")

    assert combo.currentNode() is None
    assert combo.currentNodeID == ""
    assert _texts(combo) == ["Choose a volume", "first"]


def test_a_node_selector_offers_what_its_properties_say(desktop: Any) -> None:
    hidden, label, tagged = _volume("hidden"), _volume("label", "vtkMRMLLabelMapVolumeNode"), _volume("tagged")
    hidden.SetHideFromEditors(True)
    tagged.SetAttribute("role", "t1")

    assert [_combo().nodeFromIndex(index) for index in range(2)] == [label, tagged]
    assert _combo(showChildNodeTypes=False).nodeCount() == 1
    assert _combo(hideChildNodeTypes=["vtkMRMLLabelMapVolumeNode"]).nodeCount() == 1
    assert _combo(showHidden=True).nodeCount() == 3
    filtered = _combo()
    filtered.addAttribute("vtkMRMLScalarVolumeNode", "role", "t1")
    assert filtered.nodeFromIndex(0) is tagged


def test_a_node_selector_tells_of_its_selection_once(desktop: Any) -> None:
    combo = _combo(noneEnabled=True)
    got: list[Any] = []
    combo.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    node = _volume("x")

    combo.setCurrentNode(node)
    combo.setCurrentNode(node)
    combo.setCurrentNodeID("no such ID")

    assert got == [node, None]


def test_a_node_selector_refuses_what_is_no_node(desktop: Any) -> None:
    with pytest.raises(TypeError, match="wants a vtkMRMLNode"):
        _combo().setCurrentNode("vtkMRMLScalarVolumeNode1")


def test_the_user_creates_renames_and_deletes_nodes_in_a_selector(desktop: Any) -> None:
    import slicer

    combo = _combo(renameEnabled=True, baseName="New volume")
    combo.show()
    driver.choose(combo, "Create new ScalarVolume ...")
    created = combo.currentNode()
    dialogs.type_text("better name")
    driver.choose(combo, "Rename current ...")
    assert created.GetName() == "better name"

    driver.choose(combo, "Delete current ...")

    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_a_selector_without_a_scene_is_disabled(desktop: Any) -> None:
    import slicer

    combo = slicer.qMRMLNodeComboBox()
    combo.show()

    with pytest.raises(driver.CannotReach, match="disabled"):
        driver.choose(combo, "x")


def test_a_section_folds_and_keeps_hidden_what_was_hidden(desktop: Any) -> None:
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    section.text = "Section"
    rows, shown, hidden, late = qt.QVBoxLayout(section), qt.QLabel("a"), qt.QLabel("b"), qt.QLabel("c")
    for widget in (shown, hidden, late):
        rows.addWidget(widget)
    hidden.hide()
    late.hide()
    section.show()
    folded: list[bool] = []
    section.connect("contentsCollapsed(bool)", folded.append)
    height = section.sizeHint.height()

    driver.click(section)
    late.show()
    assert [widget.visible for widget in (shown, hidden, late)] == [False, False, False]
    assert section.sizeHint.height() < height
    driver.click(section)

    assert shown.visible
    assert not hidden.visible
    assert late.visible
    assert folded == [True, False]


def test_a_ctk_slider_keeps_its_range(desktop: Any) -> None:
    import ctk

    slider = ctk.ctkSliderWidget()
    got: list[float] = []
    slider.connect("valueChanged(double)", got.append)
    slider.minimum, slider.maximum, slider.decimals = 0.0, 2.0, 1
    slider.value = 1.5
    slider.setValue(9.0)

    assert slider.value == 2.0
    assert got == [1.5, 2.0]
    with pytest.raises(AttributeError):
        slider.setVolume(3)


def test_folder_and_path_widgets_ask_the_user(desktop: Any) -> None:
    import ctk

    button, line = ctk.ctkDirectoryButton(), ctk.ctkPathLineEdit()
    chosen: list[str] = []
    button.connect("directoryChanged(QString)", chosen.append)
    line.connect("currentPathChanged(QString)", chosen.append)
    dialogs.choose_path("/data/case")
    dialogs.choose_path("/data/file")

    button.browse()
    line.browse()

    assert (button.directory, line.currentPath) == ("/data/case", "/data/file")
    assert chosen == ["/data/case", "/data/file"]


def test_pictures_have_the_width_of_the_dock_in_light_and_dark(desktop: Any, tmp_path: Path) -> None:
    import qt

    from tests.slicer_extension.harness import looks

    top = qt.QWidget()
    rows = qt.QVBoxLayout(top)
    rows.addWidget(qt.QLabel("Text"))
    brightness = []
    for dark in (False, True):
        path = looks.screenshot(top, tmp_path / "pictures" / f"{dark}.png", dark=dark)
        picture = qt.QPixmap(str(path)).toImage()
        assert picture.width() == 380
        brightness.append(picture.pixelColor(1, 1).lightness())

    assert brightness[0] > 200 > 80 > brightness[1]
