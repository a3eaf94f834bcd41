import gc
import sys
import weakref

import pytest
import slicer

from tests.slicer_extension.harness import desktop as desktops
from tests.slicer_extension.harness import gui, scripted_module

TOY = """
from slicer.ScriptedLoadableModule import *

class Toy(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "The toy"

class ToyWidget(ScriptedLoadableModuleWidget):
    calls = ()
    def setup(self): self.calls += (f"setup, entered: {self.parent.isEntered}",)
    def enter(self): self.calls += ("enter",)
    def exit(self): self.calls += ("exit",)
    def cleanup(self): self.calls += ("cleanup",)

class ToyTest(ScriptedLoadableModuleTest):
    def runTest(self): raise ArithmeticError("the self-test ran")
"""


@pytest.fixture
def load(tmp_path):
    def load(source=TOY, name="Toy"):
        (tmp_path / f"{name}.py").write_text(source)
        return scripted_module.load(tmp_path / f"{name}.py")

    yield load
    sys.path.remove(str(tmp_path))


def test_a_module_is_in_slicers_list_with_its_panel_from_setup_to_cleanup(desktop, load, tmp_path):
    panel = load()
    assert (slicer.modules.toy.title, slicer.util.modulePath("Toy")) == ("The toy", str(tmp_path / "Toy.py"))
    assert slicer.modules.ToyWidget is slicer.util.getModuleWidget("Toy") is panel
    assert panel.parent.visible
    with pytest.raises(ArithmeticError, match="the self-test ran"):
        slicer.selfTests["Toy"]()
    panel.parent.exit()
    panel.parent.exit()
    panel.parent.enter()
    scripted_module.unload_all()
    assert panel.calls == ("setup, entered: False", "enter", "exit", "enter", "exit", "cleanup")


def test_reloading_makes_a_new_panel_that_is_set_up_but_not_entered(desktop, load):
    panel = load()
    panel.onReload()
    assert panel.calls[-1] == "cleanup"
    assert slicer.modules.ToyWidget is not panel
    assert slicer.modules.ToyWidget.calls == ("setup, entered: True",)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Othr: pass", "has no attribute 'Other'"),
        ("class Other:\n def __init__(self, parent): parent.titel = 'x'", "no attribute 'titel'"),
        ("class Other:\n def __init__(self, parent): pass", "has no class OtherWidget"),
        (TOY.replace("Toy", "Other").replace("setup(self): self.calls", "setup(self): self.call"), "'call'"),
    ],
)
def test_a_module_that_slicer_cannot_load_is_refused(desktop, load, source, message):
    with pytest.raises(AttributeError, match=message):
        load(source, "Other")


def test_nothing_of_a_user_interface_is_left_for_the_next(load):
    def use():
        with desktops.running():
            import qt

            panel = load()
            panel.timer = qt.QTimer()
            panel.timer.connect("timeout()", panel.enter)
            panel.timer.start(5)
            volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
            gui.process_events(0.02)
            return [weakref.ref(one) for one in (panel, panel.parent, panel.timer, volume)]

    left = use()
    use()
    gc.collect()
    assert [one() for one in left] == [None] * 4
