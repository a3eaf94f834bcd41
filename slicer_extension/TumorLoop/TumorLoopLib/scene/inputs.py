"""The four volumes of the panel: which are selected, whether they can be used, which could be. UI thread only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from typing import Any

import slicer

from TumorLoopLib.i18n import _
from TumorLoopLib.scene.roles import ROLES, TITLES, Recognition, recognize
from TumorLoopLib.scene.volumes import VolumeSnapshot, problem_of, snapshot, texts_of

#: Attribute of a reference volume that came from a server: the server's address and the case's id.
_ORIGIN_ATTRIBUTE = "TumorLoop.origin"
#: Seconds that one check of the volumes may take: it blocks the user interface.
_CHECK_TIME = 0.03
#: Attribute of the maps that the panel adds, which are no images of the patient.
MAP_ATTRIBUTE = "TumorLoop.map"


def mark_origin(reference: Any, server: str, case_id: str) -> None:
    """Record on a reference volume which case of which server it is; saved with the scene."""
    reference.SetAttribute(_ORIGIN_ATTRIBUTE, f"{server} {case_id}")


def origin_of(parameters: Any) -> str:
    """Return the address of the server that the current case came from; empty for the user's own volumes.

    A case with a new name or another reference volume is no longer the server's.
    """
    reference = parameters.t1ce
    server, _space, case_id = ((reference.GetAttribute(_ORIGIN_ATTRIBUTE) or "") if reference else "").partition(" ")
    return server if case_id and case_id == parameters.case_id else ""


class Inputs:
    """The volumes in the four selectors.

    Checking the voxels of a volume is slow, so the result is kept until its image changes, and :meth:`problem` stops
    when its time is up.

    Attributes:
        unfinished: Whether :meth:`problem` must be called again.
    """

    def __init__(self) -> None:
        self.unfinished = False
        self._checked_voxels: dict[str, int] = {}

    def chosen(self, parameters: Any) -> dict[str, Any]:
        """Return the selected node of each role, without the roles that have none."""
        nodes = {role: getattr(parameters, role) for role in ROLES}
        return {role: node for role, node in nodes.items() if node is not None}

    def problem(self, parameters: Any) -> str:
        """Return why the volumes cannot be segmented; empty if they can."""
        nodes = self.chosen(parameters)
        missing = [TITLES[role] for role in ROLES if role not in nodes]
        if len(missing) == len(ROLES):
            return _("Choose the four volumes, or load a case.")
        if missing:
            return _("Missing: {volumes}. Choose it above, or load it.").format(volumes=", ".join(missing))
        duplicate = self._duplicate(nodes)
        if duplicate:
            return duplicate
        began = time.monotonic()
        self.unfinished = False
        for node in nodes.values():
            if time.monotonic() - began > _CHECK_TIME and not self._is_checked(node):
                self.unfinished = True
                return _("Checking the volumes …")
            problem = self._problem(node)
            if problem:
                return problem
        return ""

    def snapshot(self, role: str, node: Any) -> VolumeSnapshot:
        """Copy one volume, for a worker thread.

        Raises:
            UnusableVolume: If it cannot be used.
        """
        return snapshot(node, role, voxels_known=self._is_checked(node))

    def recognize(self, leave_out: Set[str]) -> Recognition[str]:
        """Recognize the modalities of the scene's volumes by their names; volumes are given by node id.

        Args:
            leave_out: Ids of nodes to ignore.
        """
        names = {}
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            hidden = node.GetHideFromEditors() or node.IsA("vtkMRMLLabelMapVolumeNode")
            if node.GetID() not in leave_out and not hidden and not node.GetAttribute(MAP_ATTRIBUTE):
                names[node.GetID()] = texts_of(node)
        return recognize(names)

    def _problem(self, node: Any) -> str:
        if node.GetAttribute(MAP_ATTRIBUTE):
            text = _('"{name}" shows where the model is unsure; it is no image of the patient. Choose another volume.')
            return text.format(name=node.GetName())
        problem = problem_of(node, voxels_known=self._is_checked(node))
        if not problem:
            self._checked_voxels[node.GetID()] = node.GetImageData().GetMTime()
        return problem

    def _is_checked(self, node: Any) -> bool:
        image = node.GetImageData()
        return image is not None and self._checked_voxels.get(node.GetID()) == image.GetMTime()

    def _duplicate(self, nodes: Mapping[str, Any]) -> str:
        by_id: dict[str, list[str]] = {}
        for role, node in nodes.items():
            by_id.setdefault(node.GetID(), []).append(TITLES[role])
        for node_id, titles in by_id.items():
            if len(titles) > 1:
                return _('"{name}" is chosen for {titles}. Each modality needs a volume of its own.').format(
                    name=slicer.mrmlScene.GetNodeByID(node_id).GetName(), titles=_(" and ").join(titles)
                )
        return ""
