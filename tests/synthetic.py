"""Small synthetic heads for tests: analytic, so that they can be sampled on any grid, and fast.

A head is an ellipsoid with a spherical tumor off its center. It is neither a likeness nor training data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np

from training.images.grid import Grid, Volume, transform_points
from training.modalities import ROLES

#: Center of the tumor in RAS millimeters: right, anterior, superior.
TUMOR_CENTER = np.array([10.0, 12.0, 6.0])
_BRAIN_RADII = np.array([26.0, 32.0, 24.0])
#: Label and outer radius, from the outside in: edema, enhancing tumor, necrotic core.
_TUMOR_RADII = ((2, 11.0), (3, 8.0), (1, 4.0))
_BRIGHTNESS = {
    # role: brain, necrotic core, edema, enhancing tumor
    "t1": (400.0, 200.0, 300.0, 330.0),
    "t1ce": (420.0, 210.0, 310.0, 900.0),
    "t2": (300.0, 700.0, 600.0, 450.0),
    "flair": (350.0, 300.0, 800.0, 600.0),
}
Grids = Grid | Mapping[str, Grid]


def brats_grid(shape: tuple[int, int, int] = (64, 72, 60)) -> Grid:
    """A 1 mm grid with the axes of BraTS files (LPS), centered on the head."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = (np.array(shape) - 1) / 2 * [1, 1, -1]
    return Grid(shape, affine)


def oblique_grid(
    spacing: tuple[float, float, float],
    shape: tuple[int, int, int],
    *,
    axcodes: str = "LAS",
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """A grid with given axes, rotated by ``degrees`` about x, y and z, and centered at ``center`` (RAS mm)."""
    axes = np.zeros((3, 3))
    for column, code in enumerate(axcodes):
        axes["RLAPSI".index(code) // 2, column] = 1.0 if code in "RAS" else -1.0
    affine = np.eye(4)
    from scipy.spatial.transform import Rotation  # the environment with Slicer 5.12 has no SciPy

    affine[:3, :3] = Rotation.from_euler("XYZ", degrees, degrees=True).as_matrix() @ axes * np.array(spacing)
    affine[:3, 3] = np.array(center) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def head(grid: Grid, role: str) -> Volume:
    """The intensities of the head on a grid, int16; background 0, some voxels inside the brain negative."""
    points = positions(grid)
    values = np.array(_BRIGHTNESS[role])[labels_at(points)]
    values = values + 40.0 * np.sin(points[..., 0] / 5.0) * np.cos(points[..., 1] / 7.0)
    values = np.where(np.linalg.norm(points - [-10.0, -8.0, 0.0], axis=-1) < 5.0, -20.0, values)
    return Volume(np.where(in_brain(points), values, 0.0).astype(np.int16), grid)


def truth(grid: Grid) -> Volume:
    """The labels of the head on a grid, uint8, values of ``training.labels``."""
    return Volume(labels_at(positions(grid)), grid)


def brain(grid: Grid) -> np.ndarray:
    """The brain mask on a grid, bool."""
    return in_brain(positions(grid))


def in_brain(points: np.ndarray) -> np.ndarray:
    """Whether points ``(..., 3)`` in RAS millimeters lie in the brain."""
    inside: np.ndarray = np.linalg.norm(points / _BRAIN_RADII, axis=-1) < 1.0
    return inside


def labels_at(points: np.ndarray) -> np.ndarray:
    """The labels at points ``(..., 3)`` in RAS millimeters, uint8."""
    labels = np.zeros(points.shape[:-1], np.uint8)
    distance = np.linalg.norm(points - TUMOR_CENTER, axis=-1)
    for value, radius in _TUMOR_RADII:
        labels[distance < radius] = value
    labels[~in_brain(points)] = 0
    return labels


def four_volumes(grids: Grids) -> dict[str, Volume]:
    """The four modalities, on one grid or each on its own, as float32 like ``training.images.read.read_volume``."""
    heads = {role: head(grids if isinstance(grids, Grid) else grids[role], role) for role in ROLES}
    return {role: Volume(volume.data.astype(np.float32), volume.grid) for role, volume in heads.items()}


def whole_head(*, noise: float = 12.0, spacing: float = 4.0) -> dict[str, Volume]:
    """The four modalities of a whole head of 3.1 L: a brain of 1.3 L in dark bone and bright scalp.

    Args:
        noise: Scale of the Rician noise, which is everywhere; 0 for air that is exactly 0.
        spacing: Voxel size in mm.
    """
    shape = (round(220 / spacing), round(256 / spacing), round(216 / spacing))
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    affine[:3, 3] = (np.array(shape) - 1) / 2 * spacing * [1, 1, -1]
    grid = Grid(shape, affine)
    points = positions(grid)
    inside = [np.linalg.norm(points / radii, axis=-1) < 1.0 for radii in ((65, 80, 60), (76, 93, 72), (86, 104, 82))]
    rng = np.random.default_rng(0)
    volumes = {}
    for role in ROLES:
        tissue = np.array(_BRIGHTNESS[role])[labels_at(points / 2.5)] * (1 + 0.1 * np.sin(points[..., 0] / 12.0))
        values = np.select(inside, [tissue, 15.0, 450.0], 0.0)
        noisy = np.hypot(values + noise * rng.standard_normal(grid.shape), noise * rng.standard_normal(grid.shape))
        volumes[role] = Volume(np.round(noisy).astype(np.float32), grid)
    return volumes


def save(volume: Volume, path: Path, *, sform: int = 1, qform: int = 1) -> Path:
    """Write a NIfTI file with the given header codes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(volume.data, volume.grid.affine)
    image.set_sform(volume.grid.affine, code=sform)
    image.set_qform(volume.grid.affine, code=qform)
    nibabel.save(image, path)
    return path


def write_case(
    root: Path,
    name: str = "BraTS20_Training_001",
    *,
    grids: Grids | None = None,
    label: bool = True,
    ending: str = ".nii.gz",
) -> Path:
    """Write a case as BraTS does (``<name>/<name>_t1.nii.gz`` ..., label values 1, 2, 4); returns its folder."""
    grids = grids if grids is not None else brats_grid()
    by_role = dict.fromkeys(ROLES, grids) if isinstance(grids, Grid) else grids
    for role in ROLES:
        save(head(by_role[role], role), root / name / f"{name}_{role}{ending}")
    if label:
        values = truth(by_role["t1ce"])
        save(Volume(np.array([0, 1, 2, 4], np.uint8)[values.data], values.grid), root / name / f"{name}_seg{ending}")
    return root / name


def positions(grid: Grid) -> np.ndarray:
    """The positions of the voxels of a grid, ``(x, y, z, 3)`` in RAS millimeters."""
    indices = np.stack(np.meshgrid(*[np.arange(side) for side in grid.shape], indexing="ij"), axis=-1)
    return transform_points(grid.affine, indices)
