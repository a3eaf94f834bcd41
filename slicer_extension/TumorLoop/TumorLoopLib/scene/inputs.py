"""The four volumes of the panel: which are chosen, whether they can be used, which could be chosen. UI thread only."""

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
#: Seconds that one look at the volumes may take: the user interface waits meanwhile.
_PATIENCE = 0.03
#: Attribute of the volumes that the panel itself makes and that are no image of the patient.
MAP_ATTRIBUTE = "TumorLoop.map"


def mark_origin(reference: Any, server: str, case_id: str) -> None:
    """Note on a reference volume which case of which server it is; the scene keeps it."""
    reference.SetAttribute(_ORIGIN_ATTRIBUTE, f"{server} {case_id}")


def origin_of(parameters: Any) -> str:
    """Return the address of the server that the present case came from; empty for volumes of the scene's own.

    A case that got another name, or another reference volume, is no longer the server's.
    """
    reference = parameters.t1ce
    server, _space, case_id = ((reference.GetAttribute(_ORIGIN_ATTRIBUTE) or "") if reference else "").partition(" ")
    return server if case_id and case_id == parameters.case_id else ""


class Inputs:
    """The volumes in the four selectors.

    Looking at the voxels of a volume takes a while, so what was found is kept until its image changes, and a call of
    :meth:`problem` stops looking when its time is over.

    Attributes:
        unfinished: Whether :meth:`problem` has to be asked again.
    """

    def __init__(self) -> None:
        self.unfinished = False
        self._good_voxels: dict[str, int] = {}

    def chosen(self, parameters: Any) -> dict[str, Any]:
        """Return the chosen node of each role, without the roles that have none."""
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
        doubled = self._doubled(nodes)
        if doubled:
            return doubled
        began = time.monotonic()
        self.unfinished = False
        for node in nodes.values():
            if time.monotonic() - began > _PATIENCE and not self._voxels_known(node):
                self.unfinished = True
                return _("The volumes are being looked at …")
            problem = self._problem(node)
            if problem:
                return problem
        return ""

    def snapshot(self, role: str, node: Any) -> VolumeSnapshot:
        """Copy one volume, for a worker thread.

        Raises:
            UnusableVolume: If it cannot be used.
        """
        return snapshot(node, role, voxels_known=self._voxels_known(node))

    def recognize(self, leave_out: Set[str]) -> Recognition[str]:
        """Tell from their names which volumes of the scene are which modality, by node id.

        Args:
            leave_out: Ids of nodes that are not looked at.
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
        problem = problem_of(node, voxels_known=self._voxels_known(node))
        if not problem:
            self._good_voxels[node.GetID()] = node.GetImageData().GetMTime()
        return problem

    def _voxels_known(self, node: Any) -> bool:
        image = node.GetImageData()
        return image is not None and self._good_voxels.get(node.GetID()) == image.GetMTime()

    def _doubled(self, nodes: Mapping[str, Any]) -> str:
        by_id: dict[str, list[str]] = {}
        for role, node in nodes.items():
            by_id.setdefault(node.GetID(), []).append(TITLES[role])
        for node_id, titles in by_id.items():
            if len(titles) > 1:
                return _('"{name}" is chosen for {titles}. Each modality needs a volume of its own.').format(
                    name=slicer.mrmlScene.GetNodeByID(node_id).GetName(), titles=_(" and ").join(titles)
                )
        return ""
