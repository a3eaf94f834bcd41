"""A small scripted module as Slicer loads it: a form bound to parameters, a button, and a self-test."""

from typing import Annotated, Any

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Toy(ScriptedLoadableModule):
    """The entry in Slicer's list of modules."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Toy")
        parent.categories = ["Examples"]


@parameterNodeWrapper
class ToyParameters:
    """What the scene keeps."""

    flair: vtkMRMLScalarVolumeNode
    url: str = "http://127.0.0.1:8000"
    final: bool = True
    epochs: Annotated[int, WithinRange(1, 50)] = 5


class ToyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.calls: list[str] = []

    def setup(self) -> None:
        """Make the widgets."""
        ScriptedLoadableModuleWidget.setup(self)
        self.calls.append("setup")
        top = slicer.util.loadUI(self.resourcePath("UI/Toy.ui"))
        self.layout.addWidget(top)
        self.ui = slicer.util.childWidgetVariables(top)
        top.setMRMLScene(slicer.mrmlScene)
        wrapper: Any = ToyParameters  # the decorator gives it a constructor
        self.parameters = wrapper(ToyLogic().getParameterNode())
        self.parameters.connectGui(self.ui)
        self.ui.goButton.connect("clicked(bool)", self.on_go)
        self.addObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.check)
        self.check()

    def enter(self) -> None:
        """Be shown."""
        self.calls.append("enter")

    def exit(self) -> None:
        """Be left."""
        self.calls.append("exit")

    def cleanup(self) -> None:
        """Let go."""
        self.calls.append("cleanup")
        self.removeObservers()

    def check(self, _caller: Any = None, _event: Any = None) -> None:
        """Enable the button when there is a volume."""
        self.ui.goButton.enabled = self.parameters.flair

    def on_go(self) -> None:
        """Say that the button was clicked."""
        self.ui.status.text = _("Went with {name}").format(name=self.parameters.flair.GetName())


class ToyLogic(ScriptedLoadableModuleLogic):
    """Finds the parameter node."""


class ToyTest(ScriptedLoadableModuleTest):
    """The self-test."""

    ran = 0

    def runTest(self) -> None:
        """Count."""
        self.delayDisplay("running")
        type(self).ran += 1
