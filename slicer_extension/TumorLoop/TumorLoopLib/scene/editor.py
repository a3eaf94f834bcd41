"""The embedded Segment Editor: its own parameter node, and what has to happen when scenes and modules change.

With a node of its own, the tool and segment selected here are independent of those in the Segment Editor module. The
editor must release its nodes before a scene is closed.
"""

from __future__ import annotations

from typing import Any

import slicer

_TAG = "TumorLoopSegmentEditor"
_UNDO_STEPS = 20


class Editor:
    """The Segment Editor widget in the panel.

    Args:
        widget: The ``qMRMLSegmentEditorWidget``.
    """

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        widget.setAutoShowSourceVolumeNode(False)  # the panel itself decides what the slice views show
        widget.setMaximumNumberOfUndoStates(_UNDO_STEPS)
        widget.setSegmentationNodeSelectorVisible(False)  # the other selector stays: edema is thresholded on FLAIR

    def attach(self) -> None:
        """Use the node of the current scene, creating it if necessary."""
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)  # the scene keeps it
            node.SetSingletonTag(_TAG)
            node = scene.AddNode(node)
        # A tool that was active when the scene was saved would paint at once, whichever module is shown.
        node.SetActiveEffectName("")
        self._widget.setMRMLSegmentEditorNode(node)

    def detach(self) -> None:
        """Release everything in the scene."""
        self._widget.setActiveEffect(None)
        self._widget.setSegmentationNode(None)
        self._widget.setSourceVolumeNode(None)
        self._widget.setMRMLSegmentEditorNode(None)

    def enter(self) -> None:
        """Activate the editor: the panel is shown."""
        self._widget.setupViewObservations()
        self._widget.updateWidgetFromMRML()

    def exit(self) -> None:
        """Deactivate the tool: another module is shown, and clicks in its views must not paint."""
        self._widget.setActiveEffect(None)
        self._widget.removeViewObservations()

    def edit(self, segmentation: Any, source: Any) -> None:
        """Edit a segmentation, ``None`` for none; the user may select another source volume than ``source``."""
        changed = self._widget.segmentationNode() is not segmentation
        if changed:
            self._widget.setSegmentationNode(segmentation)
        if segmentation is not None and (changed or self._widget.sourceVolumeNode() is None):
            self._widget.setSourceVolumeNode(source)

    def list_effects(self) -> None:
        """Show the effects that there are now; modules that are loaded later may add some."""
        self._widget.updateEffectList()

    def undo(self) -> None:
        """Undo the last edit."""
        self._widget.undo()

    def redo(self) -> None:
        """Redo the edit that was undone."""
        self._widget.redo()
