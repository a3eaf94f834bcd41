"""Geometry of nodes as 4x4 numpy affines in RAS millimeters. UI thread only.

A parent transform moves a node in world space without changing the node's own matrix, so every affine that leaves the
panel includes it. Only linear transforms can be expressed as an affine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk


def array_of(matrix: Any) -> np.ndarray:
    """Return a ``vtkMatrix4x4`` as 4x4 float64."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)], np.float64)


def matrix_of(array: np.ndarray) -> Any:
    """Return a 4x4 array as ``vtkMatrix4x4``."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(array[row, column]))
    return matrix


def parent_to_world(node: Any) -> np.ndarray | None:
    """Return a node's parent transforms, 4x4; the identity without any, ``None`` if they are not linear."""
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return array_of(matrix)


def local_ijk_to_ras(volume: Any) -> np.ndarray:
    """Return a volume's own matrix, 4x4, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return array_of(matrix)


def world_ijk_to_ras(volume: Any) -> np.ndarray | None:
    """Return a volume's matrix with its parent transforms, 4x4; ``None`` if they are not linear."""
    to_world = parent_to_world(volume)
    return None if to_world is None else to_world @ local_ijk_to_ras(volume)


def shape_kji(volume: Any) -> tuple[int, int, int]:
    """Return a volume's voxel counts in the order of its numpy array; zeros without image data."""
    image = volume.GetImageData()
    if image is None:
        return 0, 0, 0
    i, j, k = image.GetDimensions()
    return k, j, i


def in_scene(node: Any) -> bool:
    """Return whether a node is (still) part of the scene."""
    return node is not None and node.GetScene() is slicer.mrmlScene
