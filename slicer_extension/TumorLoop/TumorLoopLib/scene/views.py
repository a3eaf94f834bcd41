"""What the slice views show: the modality behind, the uncertainty map over it, the segmentation on top."""

from __future__ import annotations

from typing import Any

import slicer

from TumorLoopLib.scene.inputs import MAP_ATTRIBUTE

#: Colors of the uncertainty map: dark is sure, bright is unsure.
MAP_COLORS = "vtkMRMLColorTableNodeWarm1"
#: Uncertainty below this share of the largest one is not drawn.
MAP_THRESHOLD = 0.1


def show_volume(node: Any, *, fit: bool = False) -> None:
    """Show a volume in all slice views, below what they already overlay.

    Args:
        node: A volume node.
        fit: Adjust the field of view to the whole volume.
    """
    for composite in _composites():
        composite.SetBackgroundVolumeID(node.GetID())
    if fit:
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveVolumeID(node.GetID())
        logic.PropagateBackgroundVolumeSelection(1)


def shown_volume() -> str:
    """Return the id of the volume in the slice views; empty if there is none or they differ."""
    ids = {composite.GetBackgroundVolumeID() or "" for composite in _composites()}
    return ids.pop() if len(ids) == 1 else ""


def show_map(node: Any, opacity: float) -> None:
    """Overlay a map on the images.

    Args:
        node: A scalar volume; ``None`` removes the map, but no other overlay.
        opacity: 0 to 1.
    """
    for composite in _composites():
        if node is not None:
            composite.SetForegroundVolumeID(node.GetID())
            composite.SetForegroundOpacity(opacity)
        elif _is_map(composite.GetForegroundVolumeID()):
            composite.SetForegroundVolumeID(None)
            composite.SetForegroundOpacity(0.0)


def style_map(node: Any, largest: float) -> None:
    """Give an uncertainty map its colors; where the model is sure, the image shows through."""
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(MAP_COLORS)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, max(largest, 1e-6))
    display.SetThreshold(MAP_THRESHOLD * max(largest, 1e-6), max(largest, 1e-6))
    display.ApplyThresholdOn()


def show_overlay(segmentation: Any, visible: bool) -> None:
    """Show or hide a segmentation in all views; opacities stay as they are."""
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    if display is not None:
        display.SetVisibility(visible)


def overlay_shown(segmentation: Any) -> bool:
    """Return whether a segmentation is shown."""
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    return bool(display is not None and display.GetVisibility())


def _is_map(node_id: str | None) -> bool:
    node = slicer.mrmlScene.GetNodeByID(node_id) if node_id else None
    return node is not None and bool(node.GetAttribute(MAP_ATTRIBUTE))


def _composites() -> list[Any]:
    return list(slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"))
