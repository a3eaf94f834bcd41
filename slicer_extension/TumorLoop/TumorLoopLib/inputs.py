"""The four volumes of the panel: which are chosen, whether they can be used, which could be chosen. UI thread only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import slicer

from TumorLoopLib.i18n import _
from TumorLoopLib.roles import ROLES, TITLES, Recognition, recognize
from TumorLoopLib.volumes import VolumeSnapshot, problem_of, snapshot, texts_of

#: Attribute of a reference volume that came from a server: the server's address and the case's id.
_ORIGIN_ATTRIBUTE = "TumorLoop.origin"
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

    Looking at the voxels of a volume takes milliseconds, so what was found is kept until the volume changes.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

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
        return next((problem for problem in map(self._problem, nodes.values()) if problem), "")

    def snapshots(self, parameters: Any) -> dict[str, VolumeSnapshot]:
        """Copy the chosen volumes, for a worker thread.

        Raises:
            UnusableVolume: If one cannot be used.
        """
        return {role: snapshot(node, role) for role, node in self.chosen(parameters).items()}

    def recognize(self) -> Recognition[str]:
        """Tell from their names which volumes of the scene are which modality, by node id."""
        names = {}
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            hidden = node.GetHideFromEditors() or node.IsA("vtkMRMLLabelMapVolumeNode")
            if not hidden and not node.GetAttribute(MAP_ATTRIBUTE):
                names[node.GetID()] = texts_of(node)
        return recognize(names)

    def _problem(self, node: Any) -> str:
        image = node.GetImageData()
        transform = node.GetParentTransformNode()
        changed = max(
            node.GetMTime(),
            image.GetMTime() if image is not None else 0,
            transform.GetMTime() if transform is not None else 0,
        )
        kept = self._found.get(node.GetID())
        if kept is None or kept[0] != changed:
            self._found[node.GetID()] = kept = (changed, problem_of(node))
        return kept[1]

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
