"""TumorLoop, a module of 3D Slicer: segment gliomas, correct them, submit, retrain.

This file is the shell that Slicer loads; everything else is in ``TumorLoopLib``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from TumorLoopLib.panel import sample_data
from TumorLoopLib.panel.panel import Panel
from TumorLoopLib.panel.parameters import ParametersOfScene, TumorLoopParameters
from TumorLoopLib.panel.slicer_services import SlicerServices
from TumorLoopLib.scene import segments
from TumorLoopLib.scene.labels import Label, LabelSet

_CODE = ("SCT", "49755003", "Morphologically Altered Structure")


class TumorLoop(ScriptedLoadableModule):
    """The module's entry in Slicer's module list."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("TumorLoop")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Active Learning")]
        self.parent.dependencies = ["Segmentations", "SegmentEditor"]
        self.parent.contributors = ["The TumorLoop developers"]
        self.parent.helpText = _(
            "Segment a glioma in T1, T1 with contrast, T2 and FLAIR, correct the segmentation, submit it, and let the "
            "model learn from your corrections. The computation runs on a TumorLoop server, which may be this machine. "
            "For research only: not a medical device."
        )
        self.parent.acknowledgementText = _(
            "TumorLoop builds on 3D Slicer, MONAI Label and Keras. Its label names and codes follow BraTS and DICOM."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data() -> None:
    """Offer the module's case in the Sample Data module, which is loaded when Slicer has started."""
    sample_data.register(Path(__file__).parent / "Resources" / "Icons")


class TumorLoopWidget(ScriptedLoadableModuleWidget):
    """Loads the widgets and makes the panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.panel: Panel | None = None

    def setup(self) -> None:
        """Make the panel; called when the module is opened for the first time, and by *Reload*."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/TumorLoop.ui"))
        self.layout.addWidget(widget)
        ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = TumorLoopLogic()
        self.panel = Panel(ui, self.logic.getParameterNode, SlicerServices())
        if getattr(self.parent, "isEntered", False):  # Reload does not call enter()
            self.enter()

    def enter(self) -> None:
        """The module is shown."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        """Another module is shown."""
        if self.panel is not None:
            self.panel.exit()

    def onReload(self) -> None:
        """Reload the library as well, for developers: Slicer itself reloads only this file."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "TumorLoopLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def cleanup(self) -> None:
        """The module is unloaded."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None


class TumorLoopLogic(ScriptedLoadableModuleLogic):
    """Owns the parameter node, in which the scene stores the panel's values."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._parameters = ParametersOfScene(super().getParameterNode)

    def getParameterNode(self) -> TumorLoopParameters:
        """Return the typed parameter node of the present scene."""
        return self._parameters()


class TumorLoopTest(ScriptedLoadableModuleTest):
    """The self-test of "Reload and Test": what needs Slicer and no server. It clears the scene."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        for test in (self.test_volumes_are_recognized_by_name, self.test_a_renamed_segment_keeps_its_label):
            self.setUp()
            test()
        self.delayDisplay(_("All tests of TumorLoop passed."))

    def test_volumes_are_recognized_by_name(self) -> None:
        """Four volumes with recognizable names fill the four selectors."""
        names = {"t1": "AX T1", "t1ce": "AX T1 POST GD", "t2": "AX T2", "flair": "SAG FLAIR"}
        for name in names.values():
            self._add_volume(name)
        slicer.util.getModuleWidget("TumorLoop")  # makes it if the module was not opened before
        panel = slicer.modules.TumorLoopWidget.panel
        panel.tick()  # as its timer does: attaches to the scene that was just cleared
        panel.case.recognize(replace=True)
        for role, name in names.items():
            assert getattr(panel.context.parameters, role).GetName() == name
            assert getattr(panel.ui, f"{role}Selector").currentNode().GetName() == name
        assert panel.state().volumes_problem == ""

    def test_a_renamed_segment_keeps_its_label(self) -> None:
        """A labelmap becomes a segmentation and back without a changed voxel, also after a segment was renamed."""
        labels = LabelSet((Label(1, "necrotic core", (0, 1, 1), _CODE), Label(3, "enhancing tumor", (1, 0, 0), _CODE)))
        reference = self._add_volume("AX T1 POST GD")
        array = np.zeros((20, 24, 28), np.uint8)
        array[5:9, 6:12, 7:15], array[9:12, 6:12, 7:15] = 1, 3
        ijk_to_ras = slicer.util.arrayFromVTKMatrix(reference_matrix(reference))
        node = segments.add_segmentation(array, ijk_to_ras, labels, reference, "Test")
        node.GetSegmentation().GetNthSegment(0).SetName("something else")
        assert np.array_equal(segments.labelmap_of(node, reference, labels).array, array)

    def _add_volume(self, name: str) -> Any:
        """Add a small volume to the scene."""
        voxels = np.random.default_rng(1).integers(0, 100, (20, 24, 28)).astype(np.int16)
        return slicer.util.addVolumeFromArray(voxels, name=name)


def reference_matrix(volume: Any) -> Any:
    """Return the IJK to RAS matrix of a volume node."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix
