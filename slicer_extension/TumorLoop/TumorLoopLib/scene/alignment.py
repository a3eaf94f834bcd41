"""Transforms that put the other series onto the reference, as the server's registration found them. UI thread only.

Each moved volume is under a linear transform of its own, which the scene saves and the user may correct in the
Transforms module. It changes where the volume is shown, not what is sent: a volume is sent where it was scanned, so
that the registration starts anew, unless the user has changed the transform. Then it is sent where the user put it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import slicer

from TumorLoopLib.i18n import _
from TumorLoopLib.scene import geometry

#: The node reference from a volume to its transform.
_REFERENCE = "TumorLoop.alignment"
#: Attributes of the transform: where the volume was sent and what the server found, 4x4 relative to its parent, and the
#: volume's own matrix at that time.
_SENT, _FOUND, _VOLUME = "TumorLoop.sent", "TumorLoop.found", "TumorLoop.volume"


def place(volume: Any, sent_ijk_to_ras: np.ndarray, matrix: np.ndarray, target: str) -> None:
    """Show a volume where the registration found it to lie on the reference.

    Args:
        volume: A volume node; nothing happens if it is under a nonlinear transform by now.
        sent_ijk_to_ras: 4x4, where it was sent.
        matrix: 4x4, from the world's millimeters of the reference to those of the volume as it was sent.
        target: Name of the reference.
    """
    local, transform = geometry.local_ijk_to_ras(volume), transform_of(volume)
    parent = geometry.parent_to_world(volume if transform is None else transform)
    if parent is None:
        return
    if transform is None:
        name = _("{volume} to {reference}").format(volume=volume.GetName(), reference=target)
        transform = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLLinearTransformNode", slicer.mrmlScene.GenerateUniqueName(name)
        )
        transform.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        volume.SetNodeReferenceID(_REFERENCE, transform.GetID())
    sent = sent_ijk_to_ras @ np.linalg.inv(local)
    to_parent = np.linalg.inv(parent)
    found = to_parent @ np.linalg.inv(matrix) @ sent
    transform.SetMatrixTransformToParent(geometry.matrix_of(found))
    for name, value in ((_SENT, to_parent @ sent), (_FOUND, found), (_VOLUME, local)):
        transform.SetAttribute(name, json.dumps(value.tolist()))
    show(volume, True)


def transform_of(volume: Any) -> Any:
    """Return the transform of :func:`place`.

    Returns:
        ``None`` if there is none, or the user has put the volume under another transform since, hardened it, or changed
        the volume's own matrix.
    """
    transform = volume.GetNodeReference(_REFERENCE)
    local = None if transform is None else _stored(transform, _VOLUME)
    if local is None or not np.allclose(local, geometry.local_ijk_to_ras(volume), atol=1e-6):
        return None
    parents = (transform.GetID(), transform.GetTransformNodeID())
    return transform if volume.GetTransformNodeID() in parents else None


def show(volume: Any, on: bool) -> None:
    """Show a volume on the reference, or where it was scanned; a volume without such a transform stays."""
    transform = transform_of(volume)
    if transform is not None:
        volume.SetAndObserveTransformNodeID(transform.GetID() if on else transform.GetTransformNodeID())


def shown(volumes: Iterable[Any]) -> bool | None:
    """Return whether volumes are shown on the reference; ``None`` if none of them has a transform for that."""
    known = [(volume, transform) for volume in volumes if (transform := transform_of(volume)) is not None]
    return any(volume.GetParentTransformNode() is transform for volume, transform in known) if known else None


def remove(volume: Any) -> None:
    """Put a volume back where it was scanned, and remove its transform from the scene."""
    transform = transform_of(volume)
    if transform is None:
        return
    show(volume, False)
    volume.SetNodeReferenceID(_REFERENCE, None)
    slicer.mrmlScene.RemoveNode(transform)


def ijk_to_ras_to_send(volume: Any) -> np.ndarray | None:
    """Return a volume's matrix with its parent transforms, without what the registration has found.

    Returns:
        4x4; ``None`` if a parent transform is not linear.
    """
    transform = transform_of(volume)
    if transform is None:
        return geometry.world_ijk_to_ras(volume)
    own = slicer.util.arrayFromTransformMatrix(transform)
    found, sent = _stored(transform, _FOUND), _stored(transform, _SENT)
    if found is not None and sent is not None and np.allclose(own, found, atol=1e-6):
        own = sent
    parent = geometry.parent_to_world(transform)
    return None if parent is None else parent @ own @ geometry.local_ijk_to_ras(volume)


def _stored(transform: Any, name: str) -> np.ndarray | None:
    """Return a matrix kept in an attribute; ``None`` if it is missing or damaged."""
    try:
        matrix = np.array(json.loads(transform.GetAttribute(name) or ""), np.float64)
    except (ValueError, TypeError):
        return None
    return matrix if matrix.shape == (4, 4) else None
