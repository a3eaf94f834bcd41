"""Stand-in of Slicer's layout manager: the slice views by name, without drawing them."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from tests.slicer_extension.harness.boot import SLICE_VIEWS


class SliceWidget:
    """A slice view (``qMRMLSliceWidget``), as far as its nodes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def mrmlSliceNode(self) -> Any:
        """Return the node that says which slice is shown."""
        return slicer.mrmlScene.GetSingletonNode(self._name, "vtkMRMLSliceNode")

    def mrmlSliceCompositeNode(self) -> Any:
        """Return the node that says which volumes are shown."""
        return slicer.mrmlScene.GetSingletonNode(self._name, "vtkMRMLSliceCompositeNode")

    def sliceLogic(self) -> SliceLogic:
        """Return what computes the slice."""
        return SliceLogic()


class SliceLogic:
    """A slice logic; nothing is drawn."""

    def FitSliceToBackground(self) -> None:
        """Do nothing."""

    FitSliceToAll = FitSliceToBackground


class LayoutManager:
    """The views of the conventional layout (``qSlicerLayoutManager``)."""

    layout = 2
    threeDViewCount = 0
    tableViewCount = 0
    plotViewCount = 0

    def sliceViewNames(self) -> tuple[str, ...]:
        """Return the slice views' names."""
        return tuple(SLICE_VIEWS)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """Return a slice view, or None."""
        return SliceWidget(name) if name in SLICE_VIEWS else None

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        """Return the slice logics: none, since nothing is drawn."""
        return vtk.vtkCollection()

    def resetSliceViews(self) -> None:
        """Do nothing: nothing is drawn."""

    def setLayout(self, layout: int) -> None:
        """Arrange the views differently."""
        self.layout = layout
