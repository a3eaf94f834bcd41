"""Image volumes of the scene: checks, copies, and new ones. UI thread only, except :func:`digest`.

A volume is checked with :func:`problem_of` and copied with :func:`snapshot`; everything slow is then done with the copy
in a worker thread. Later edits in the scene do not affect the copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.scene import alignment, dicom, geometry
from TumorLoopLib.scene.series_names import understood

#: Fewest voxels along a side: the network halves an image four times.
SMALLEST_SIDE = 16

#: Attribute of a volume from the server: its modality.
ROLE_ATTRIBUTE = "TumorLoop.role"


class UnusableVolume(ClientError):
    """A node cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True)
class VolumeSnapshot:
    """A copy of one volume that worker threads may use.

    Attributes:
        role: Its modality: ``t1``, ``t1ce``, ``t2`` or ``flair``.
        node_id: The node it was copied from.
        name: That node's name.
        array: ``(k, j, i)``, in the type of the volume.
        ijk_to_ras: 4x4 float64, voxel index to millimeters in world space, parent transforms included but for those of
            :mod:`TumorLoopLib.scene.alignment`.
    """

    role: str
    node_id: str
    name: str
    array: np.ndarray
    ijk_to_ras: np.ndarray


def problem_of(node: Any, *, voxels_known: bool = False) -> str:
    """Say why a node cannot be segmented; an empty string if it can.

    Args:
        node: A node of the scene, or ``None``.
        voxels_known: Its voxels were checked since they last changed, so the one slow check can be skipped.
    """
    if not geometry.in_scene(node):
        return _("No volume is chosen.")
    problem = _problem_of_kind(node) or _problem_of_image(node) or _problem_of_geometry(node)
    return problem or ("" if voxels_known else _problem_of_values(node))


def snapshot(node: Any, role: str, *, voxels_known: bool = False) -> VolumeSnapshot:
    """Copy a volume.

    Args:
        node: A ``vtkMRMLScalarVolumeNode`` of the scene.
        role: Its modality.
        voxels_known: See :func:`problem_of`.

    Raises:
        UnusableVolume: With the message of :func:`problem_of`.
    """
    problem = problem_of(node, voxels_known=voxels_known)
    ijk_to_ras = None if problem else alignment.ijk_to_ras_to_send(node)
    if ijk_to_ras is None:
        raise UnusableVolume(problem)
    array = np.array(slicer.util.arrayFromVolume(node), order="C", copy=True)
    return VolumeSnapshot(role, node.GetID(), node.GetName() or "", array, ijk_to_ras)


def add_volume(array: np.ndarray, ijk_to_ras: np.ndarray, name: str, role: str = "") -> Any:
    """Add an image to the scene as a new volume, with a window that suits it.

    Args:
        array: ``(k, j, i)``, real numbers.
        ijk_to_ras: 4x4, voxel index to millimeters in world space.
        name: Of the new node; a number is appended if the scene has that name already.
        role: Its modality, kept as an attribute and so independent of later names; empty for a map.

    Returns:
        The ``vtkMRMLScalarVolumeNode``; no view shows it yet.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    # Slicer would look at every voxel to set the window, and so block the user interface for too long.
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevelMinMax(*_window_of(array))
    node.SetIJKToRASMatrix(geometry.matrix_of(ijk_to_ras))
    slicer.util.updateVolumeFromArray(node, array)
    if role:
        node.SetAttribute(ROLE_ATTRIBUTE, role)
    return node


def remove(node: Any) -> None:
    """Remove a volume or segmentation from the scene, with its display and storage nodes, which MRML leaves there."""
    displays = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
    slicer.mrmlScene.RemoveNode(node)
    for owned in (*displays, node.GetStorageNode()):
        if geometry.in_scene(owned):
            slicer.mrmlScene.RemoveNode(owned)


def came_from_server(node: Any) -> bool:
    """Return whether the panel downloaded a volume from a server."""
    return bool(node.GetAttribute(ROLE_ATTRIBUTE))


def nonlinear_transform(node: Any) -> str:
    """Say that a node's transform is not linear, so no matrix can express it, and what to do."""
    return _(
        '"{name}" is under a nonlinear transform. Harden it first: Data module, right-click it, "Harden transform".'
    ).format(name=node.GetName())


def digest(volume: VolumeSnapshot) -> str:
    """Return a SHA-256 of voxels, type, shape and geometry, in hex; any thread.

    Role and name are left out, so the same image is recognized under another name.
    """
    array = np.ascontiguousarray(volume.array)
    # To a thousandth of a micrometer, so that rounding errors make no difference.
    affine = np.round(np.asarray(volume.ijk_to_ras, np.float64), 6) + 0.0
    sha = hashlib.sha256(f"{array.dtype.str} {array.shape} {affine.tolist()}".encode("ascii"))
    sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def texts_of(node: Any) -> list[str]:
    """Return what may tell a volume's role: name, DICOM series description, file name; empty ones are left out.

    For a volume from the server it is the role that the server gave, and nothing else. Those of a DICOM series are
    in words that are understood, and say so if the header names a contrast agent.
    """
    role = node.GetAttribute(ROLE_ATTRIBUTE)
    if role:
        return [role]
    storage = node.GetStorageNode()
    path = (storage.GetFileName() or "") if storage is not None else ""
    texts = [node.GetName() or "", dicom.series_description(node), path.replace("\\", "/").rpartition("/")[2]]
    texts = [text for text in texts if text.strip()]
    if dicom.instances_of(node):
        agent = bool(dicom.contrast_agent(node))
        texts = [understood(text, agent=agent) for text in texts]
    return texts


def _problem_of_kind(node: Any) -> str:
    name = node.GetName()
    if node.IsA("vtkMRMLLabelMapVolumeNode") or node.IsA("vtkMRMLSegmentationNode"):
        return _('"{name}" is a segmentation, not an image. Choose the image it was made from.').format(name=name)
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        return _('"{name}" is not an image volume. Choose another one.').format(name=name)
    return ""


def _problem_of_image(node: Any) -> str:
    name, image = node.GetName(), node.GetImageData()
    if image is None or image.GetPointData() is None or image.GetPointData().GetScalars() is None:
        return _('"{name}" has no image data. Load it again or choose another volume.').format(name=name)
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        return _(
            '"{name}" has {components} values per voxel (a color or vector image). Choose a volume with one.'
        ).format(name=name, components=components)
    if image.GetScalarType() == vtk.VTK_BIT:
        return _('"{name}" holds one bit per voxel, so it is a mask, not an image. Choose another volume.').format(
            name=name
        )
    sides = geometry.shape_kji(node)[::-1]
    if min(sides) < SMALLEST_SIDE:
        return _(
            '"{name}" is too small: {sides} voxels, and each side needs {least}. Choose a three-dimensional volume.'
        ).format(name=name, sides=" x ".join(str(side) for side in sides), least=SMALLEST_SIDE)
    return ""


def _problem_of_geometry(node: Any) -> str:
    ijk_to_ras = geometry.world_ijk_to_ras(node)
    if ijk_to_ras is None:
        return nonlinear_transform(node)
    if not np.all(np.isfinite(ijk_to_ras)) or abs(np.linalg.det(ijk_to_ras[:3, :3])) < 1e-9:
        return _('"{name}" has no valid geometry: its spacing or an axis is zero. Correct it in Volumes.').format(
            name=node.GetName()
        )
    return ""


def _problem_of_values(node: Any) -> str:
    array = slicer.util.arrayFromVolume(node)
    low, high = array.min(), array.max()  # NaN if any voxel is
    if not np.isfinite(low) or not np.isfinite(high):
        return _('"{name}" contains voxels that are not numbers (NaN or infinite). Load the original again.').format(
            name=node.GetName()
        )
    if low == high:
        return _('"{name}" is blank: all its voxels have the value {value:g}. Choose another volume.').format(
            name=node.GetName(), value=float(low)
        )
    return ""


def _window_of(array: np.ndarray) -> tuple[float, float]:
    """Return the values to show as black and white, from every fourth voxel along each side without the background."""
    sample = array[::4, ::4, ::4]
    inside = sample[sample > sample.min()]
    if inside.size == 0:
        return float(sample.min()), float(sample.min()) + 1.0
    low, high = np.percentile(inside, (1.0, 99.5))
    return float(low), max(float(high), float(low) + 1e-6)
