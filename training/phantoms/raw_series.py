"""The series of a raw study: protocols of usual scanners, their grids, and how a head becomes slices."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from training.images.grid import Grid, Volume
from training.images.resample import index_map, resample_linear
from training.phantoms.fields import Shape, smooth_noise

#: Directions of the first (to the right of the screen), second (down the screen) and third axis (next slice) of each
#: plane, in RAS: right-handed in DICOM's LPS.
PLANES: dict[str, np.ndarray] = {
    "axial": np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]]).T,
    "sagittal": np.array([[0.0, -1, 0], [0, 0, -1], [-1, 0, 0]]).T,
    "coronal": np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]]).T,
}

#: Distance of the upper end of a 3D series from the upper end of the brain, in mm: room for skull and scalp.
_ABOVE_MM = 24.0


@dataclass(frozen=True)
class Protocol:
    """How one series is acquired.

    Attributes:
        description: Series description.
        plane: Key of :data:`PLANES`.
        matrix: Columns and rows.
        pixel: Pixel size in mm.
        thickness: Slice thickness in mm.
        distance: Distance of slice centers in mm.
        repetition, echo, inversion: TR, TE, TI in ms; TI is ``None`` without inversion.
        flip: Flip angle in degrees.
        sequence: DICOM's scanning sequence.
        slices: Number of slices; 0 for as many as cover the brain.
        agent: Contrast agent; empty without.
    """

    description: str
    plane: str
    matrix: tuple[int, int]
    pixel: float
    thickness: float
    distance: float
    repetition: float
    echo: float
    inversion: float | None
    flip: float
    sequence: str
    slices: int = 0
    agent: str = ""

    @property
    def is_3d(self) -> bool:
        """Whether it is a 3D acquisition: slices without profile, as thin as pixels."""
        return self.slices > 0


_GD = "Gadobutrol"

#: Usual protocols by role. The contrast-enhanced T1 is 3D, the others mostly have thick slices.
PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "t1ce": (
        Protocol(
            "t1_mprage_sag_p2_iso_Gd", "sagittal", (256, 256), 1.0, 1.0, 1.0, 1900, 2.5, 900, 9, "GR\\IR", 176, _GD
        ),
        Protocol("Ax 3D BRAVO +C", "axial", (256, 256), 0.94, 1.2, 1.2, 8.2, 3.2, 450, 12, "GR\\IR", 152, _GD),
        Protocol("sT1W_3D_TFE_cor KM", "coronal", (240, 240), 1.0, 1.0, 1.0, 8.1, 3.7, None, 8, "GR", 210, _GD),
    ),
    "t1": (
        Protocol("t1_se_tra", "axial", (256, 320), 0.72, 5.0, 6.0, 550, 9.1, None, 90, "SE"),
        Protocol("Sag T1 SE", "sagittal", (256, 256), 0.94, 5.0, 6.0, 600, 12.0, None, 90, "SE"),
        Protocol("T1W_SE ax", "axial", (256, 256), 0.9, 5.0, 5.5, 596, 15.0, None, 69, "SE"),
    ),
    "t2": (
        Protocol("t2_tse_tra_512", "axial", (448, 448), 0.5, 5.0, 6.0, 5000, 98, None, 150, "SE"),
        Protocol("Ax T2 FSE", "axial", (512, 512), 0.43, 5.0, 5.0, 4200, 102, None, 111, "SE"),
        Protocol("T2W_TSE cor", "coronal", (400, 400), 0.55, 4.0, 4.4, 3500, 90, None, 90, "SE"),
    ),
    "flair": (
        Protocol("t2_tirm_tra_dark-fluid", "axial", (270, 320), 0.75, 5.0, 6.0, 9000, 92, 2500, 150, "SE\\IR"),
        Protocol("COR FLAIR", "coronal", (256, 256), 0.86, 5.0, 6.0, 8800, 125, 2200, 160, "SE\\IR"),
        Protocol("Sag FLAIR", "sagittal", (256, 256), 0.94, 4.0, 5.0, 9500, 120, 2400, 160, "SE\\IR"),
    ),
}


def coarse(protocol: Protocol, pixel: float = 2.0) -> Protocol:
    """Return the protocol with larger pixels over the same field of view: for tests."""
    shrink = pixel / protocol.pixel
    columns, rows = (max(1, math.ceil(n / shrink)) for n in protocol.matrix)
    if not protocol.is_3d:
        return replace(protocol, matrix=(columns, rows), pixel=pixel)
    slices = math.ceil(protocol.slices * protocol.distance / pixel)
    return replace(protocol, matrix=(columns, rows), pixel=pixel, thickness=pixel, distance=pixel, slices=slices)


def series_grid(protocol: Protocol, center: np.ndarray, turn: np.ndarray, brain: np.ndarray) -> Grid:
    """Return the grid of a series.

    Args:
        protocol: Of the series.
        center: Where the middle of the field of view should lie, RAS mm.
        turn: 3x3 rotation of the planes: oblique slices.
        brain: Positions ``(n, 3)`` on the brain's surface; slices of a 2D series cover them with a slice to spare, and
            the field of view of a 3D series begins above the vertex.
    """
    axes = turn @ PLANES[protocol.plane]
    lengths = np.array([protocol.pixel, protocol.pixel, protocol.distance])
    along = (brain - center) @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    slices = protocol.slices or math.ceil((high[2] - low[2]) / protocol.distance) + 2
    shape = (*protocol.matrix, slices)
    shift = np.zeros(3)
    if protocol.is_3d:
        up = int(np.argmax(np.abs(axes[2])))
        half = shape[up] * lengths[up] / 2 - _ABOVE_MM
        shift[up] = high[up] - half if axes[2, up] > 0 else low[up] + half
    else:
        shift[2] = (low[2] + high[2]) / 2
    affine = np.eye(4)
    affine[:3, :3] = axes * lengths
    affine[:3, 3] = center + axes @ shift - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def cut(grid: Grid, rng: np.random.Generator) -> Grid:
    """Leave out a fourth to two fifths of the slices on one side: a series that covers a part of the brain."""
    slices = grid.shape[2]
    gone = int(slices * rng.uniform(0.25, 0.4))
    affine = grid.affine.copy()
    if rng.random() < 0.5:
        affine[:3, 3] += affine[:3, 2] * gone
    return Grid((grid.shape[0], grid.shape[1], slices - gone), affine)


def scan(
    rng: np.random.Generator, image: np.ndarray, image_affine: np.ndarray, grid: Grid, protocol: Protocol
) -> Volume:
    """Acquire a series: slices averaged over their profile, magnitudes of noisy complex values, whole numbers.

    Args:
        rng: Random generator.
        image: ``(x, y, z)`` float32, the head in one modality with its coil's shading, white matter about 1.
        image_affine: Its voxels to the RAS millimeters of the series' frame: where the head lies now.
        grid: Of the series.
        protocol: Of the series.

    Returns:
        float32 with whole numbers from 0 to 32767.
    """
    clean = _slices(image, index_map(image_affine, grid.affine), grid.shape, protocol)
    noise = np.float32(np.exp(rng.uniform(np.log(0.01), np.log(0.04))))
    first, second = (rng.standard_normal(grid.shape, dtype=np.float32) * noise for _ in range(2))
    magnitude = np.hypot(clean + first, second)
    scale = np.exp(rng.uniform(np.log(250), np.log(1500)))
    return Volume(np.clip(np.round(magnitude * np.float32(scale)), 0, 32767), grid)


def _slices(image: np.ndarray, to_image: np.ndarray, shape: Shape, protocol: Protocol) -> np.ndarray:
    """Sample the image on the grid; a thick slice is the average of thin ones, weighted by its profile."""
    step = protocol.distance / float(np.linalg.norm(to_image[:3, 2]))  # voxel size of the image, whose voxels are cubes
    if protocol.thickness < 1.5 * step:
        return resample_linear(image, to_image, shape)
    parts = math.ceil(protocol.distance / step)
    weights = profile(protocol.thickness, protocol.distance / parts)
    to_thin = to_image.copy()
    to_thin[:3, 2] /= parts
    to_thin[:3, 3] -= to_thin[:3, 2] * (len(weights) // 2)
    thin = resample_linear(image, to_thin, (shape[0], shape[1], (shape[2] - 1) * parts + len(weights)))
    total = np.zeros(shape, np.float32)
    for first, weight in enumerate(weights):
        total += weight * thin[:, :, first : first + (shape[2] - 1) * parts + 1 : parts]
    return total


def profile(thickness: float, step: float) -> np.ndarray:
    """Return the weights of samples ``step`` mm apart around the center of a slice, float32; they sum to 1.

    The profile is a trapezoid, ``thickness`` mm wide at half its height, with ramps of a quarter of that.
    """
    reach = math.ceil(0.625 * thickness / step)
    place = np.abs(np.arange(-reach, reach + 1)) * step / thickness
    weights = np.clip((0.625 - place) / 0.25, 0, 1)
    return (weights / weights.sum()).astype(np.float32)


def shading(rng: np.random.Generator, shape: Shape, spacing: int, height: np.ndarray) -> np.ndarray:
    """Draw the shading of the coil: smooth, and fading toward the neck.

    Args:
        rng: Random generator.
        shape: Of the head's canvas.
        spacing: Voxel size of the canvas.
        height: MNI z of its voxels in mm.
    """
    field = np.exp(np.float32(rng.uniform(0.03, 0.22)) * smooth_noise(rng, shape, rng.uniform(60, 110) / spacing))
    fade = np.clip((height + np.float32(rng.uniform(128, 140))) / np.float32(rng.uniform(30, 55)), 0, 1)
    return field * fade * fade * (3 - 2 * fade)
