"""The harness loads a scripted module as Slicer does, and its life goes as in Slicer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.slicer_extension.harness import driver, module_widget

_TOY = Path(__file__).parent / "harness" / "toy" / "Toy.py"


@pytest.fixture
def panel(desktop: Any) -> Iterator[Any]:
    """The toy module's panel."""
    yield module_widget.load(_TOY)
    sys.path.remove(str(_TOY.parent))


def test_a_module_is_in_slicers_list_with_its_panel(panel: Any) -> None:
    import slicer

    assert slicer.modules.toy.title == "Toy"
    assert slicer.modules.toy.path == str(_TOY)
    assert slicer.modules.ToyWidget is panel
    assert slicer.util.getModuleWidget("Toy") is panel
    assert slicer.util.modulePath("Toy") == str(_TOY)
    assert panel.parent.visible


def test_a_panel_is_set_up_once_entered_left_and_cleaned_up(panel: Any) -> None:
    import slicer

    panel.parent.exit()
    panel.parent.exit()
    panel.parent.enter()
    slicer.app.moduleManager().unload("Toy")

    assert panel.calls == ["setup", "enter", "exit", "enter", "exit", "cleanup"]


def test_reloading_cleans_up_and_makes_a_new_panel(panel: Any) -> None:
    import slicer

    panel.onReload()

    assert panel.calls[-1] == "cleanup"
    assert slicer.modules.ToyWidget is not panel
    assert slicer.modules.ToyWidget.calls == ["setup", "enter"]


def test_the_panel_works_with_the_mouse_on_the_real_scene(panel: Any) -> None:
    import slicer

    with pytest.raises(driver.CannotReach, match="disabled"):
        driver.click(panel.ui.goButton)
    slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name="FLAIR")

    driver.choose(panel.ui.flairSelector, "FLAIR")
    driver.type_into(panel.ui.urlEdit, "http://other")
    driver.click(panel.ui.finalBox)
    driver.click(panel.ui.goButton)

    assert panel.ui.status.text == "Went with FLAIR"
    assert (panel.parameters.url, panel.parameters.final) == ("http://other", False)


def test_shortcuts_of_the_main_window_work_while_the_panel_is_used(panel: Any) -> None:
    import qt
    import slicer

    pressed: list[int] = []
    shortcut = qt.QShortcut(slicer.util.mainWindow())
    shortcut.setKey(qt.QKeySequence("3"))
    shortcut.connect("activated()", lambda: pressed.append(3))

    driver.press("3", panel.parent)
    driver.type_into(panel.ui.urlEdit, "3")

    assert pressed == [3]
    assert panel.parameters.url == "3"


def test_two_modules_of_one_test_run_do_not_see_each_other(panel: Any) -> None:
    assert panel.parameters.url == "http://127.0.0.1:8000"
    assert panel.ui.urlEdit.text == "http://127.0.0.1:8000"


def test_the_self_test_runs(panel: Any) -> None:
    import slicer

    test_class = sys.modules["Toy"].ToyTest
    before = test_class.ran

    slicer.selfTests["Toy"]()

    assert test_class.ran == before + 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Othr: pass", "has no class Other"),
        ("class Other:\n    def __init__(self, parent): parent.titel = 'x'", "no attribute 'titel'"),
        ("class Other:\n    def __init__(self, parent): pass", "has no class OtherWidget"),
    ],
)
def test_a_module_that_slicer_cannot_load_is_refused(desktop: Any, tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "Other.py").write_text(source)

    with pytest.raises(AttributeError, match=message):
        module_widget.load(tmp_path / "Other.py")
    sys.path.remove(str(tmp_path))


def test_an_exception_in_setup_is_the_tests(desktop: Any, tmp_path: Path) -> None:
    (tmp_path / "Broken.py").write_text(
        "from slicer.ScriptedLoadableModule import *\n"
        "class Broken(ScriptedLoadableModule): pass\n"
        "class BrokenWidget(ScriptedLoadableModuleWidget):\n"
        "    def setup(self): slicer.util.loadUI('nowhere.ui')\n"
        "import slicer\n"
    )

    with pytest.raises(RuntimeError, match=r"nowhere\.ui"):
        module_widget.load(tmp_path / "Broken.py")
    sys.path.remove(str(tmp_path))


def test_nothing_of_a_desktop_is_left_for_the_next() -> None:
    import gc
    import weakref

    from tests.slicer_extension.harness import desktop as desktops

    def use() -> list[Any]:
        with desktops.running():
            import qt
            import slicer

            panel = module_widget.load(_TOY)
            panel.timer = qt.QTimer()
            panel.timer.connect("timeout()", panel.check)
            panel.timer.start(5)
            volume = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name="FLAIR")
            driver.spin(0.02)
            return [weakref.ref(one) for one in (panel, panel.parent, panel.ui.flairSelector, panel.timer, volume)]

    left = use()
    use()
    gc.collect()

    assert [one() for one in left] == [None] * 5
    sys.path.remove(str(_TOY.parent))
