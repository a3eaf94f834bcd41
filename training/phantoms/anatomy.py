"""The anatomy of one random head: pose, deformation, tissue, and skull stripping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantoms.atlas import Atlas
from training.phantoms.fields import Shape, half_length, smooth_noise, smoothstep, upsample


@dataclass(frozen=True)
class Pose:
    """The mapping from output (RAS) to MNI millimeters: ``matrix @ p + shift``, followed by an elastic deformation."""

    matrix: np.ndarray
    shift: np.ndarray

    def to_output(self, mni: np.ndarray) -> np.ndarray:
        """Map ``(..., 3)`` MNI points to output millimeters, without the elastic deformation."""
        return (mni - self.shift) @ np.linalg.inv(self.matrix).T


@dataclass
class MassEffect:
    """Displacement of tissue away from ``center`` (output mm) by a core of ``radius`` mm."""

    center: np.ndarray
    radius: float
    strength: float


@dataclass
class Anatomy:
    """Tissue of one head on the output grid; fields are float32 ``(x, y, z)`` unless noted.

    Attributes:
        csf, gray, white: Tissue fractions, summing to 1.
        brain: Boolean brain mask after skull stripping.
        depth: Depth below the surface in mm.
        ventricle: Distance to the (enlarged) ventricles in mm, negative inside.
        vessel: Distance to the centerline of the nearest large vessel in mm, at most 12.
        deep: 1 in deep gray matter.
        cortex: 1 near the surface, 0 in the interior.
        mni_half: MNI coordinates at every second voxel, ``(3, x', y', z')``.
    """

    csf: np.ndarray
    gray: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    depth: np.ndarray
    ventricle: np.ndarray
    vessel: np.ndarray
    deep: np.ndarray
    cortex: np.ndarray
    mni_half: np.ndarray


def random_pose(rng: np.random.Generator) -> Pose:
    """Draw the pose of a head: size, proportions, tilt, and left-right mirroring."""
    size = rng.uniform(0.87, 1.02) * rng.uniform(0.95, 1.05, 3)
    matrix = np.eye(3)
    for axes, spread in (((0, 1), 0.09), ((0, 2), 0.07), ((1, 2), 0.14)):
        angle = rng.normal() * spread
        turn = np.eye(3)
        turn[np.ix_(axes, axes)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = matrix @ turn
    matrix = matrix @ np.diag(1 / size)
    if rng.random() < 0.5:
        matrix = np.diag([-1.0, 1.0, 1.0]) @ matrix
    return Pose(matrix, rng.uniform(-2, 2, 3))


def head_box(atlas: Atlas, pose: Pose) -> tuple[np.ndarray, Shape]:
    """Return the output millimeters of voxel (0, 0, 0) and the shape of a box around the whole head."""
    points = np.argwhere(atlas.depth[::3, ::3, ::3] > -1) * 3 + atlas.origin
    placed = pose.to_output(points)
    low = np.floor(placed.min(axis=0)) - 10
    high = np.ceil(placed.max(axis=0)) + 10
    shape = tuple(int(n) for n in high - low + 1)
    return low, (shape[0], shape[1], shape[2])


@dataclass
class Warp:
    """The elastic deformation of one head at every second voxel of a box, and its pose."""

    pose: Pose
    origin: np.ndarray
    shape: Shape
    bend: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, pose: Pose, origin: np.ndarray, shape: Shape) -> Warp:
        """Draw a smooth deformation for the box at ``origin`` (output mm)."""
        half: Shape = (half_length(shape[0]), half_length(shape[1]), half_length(shape[2]))
        bend = np.zeros((3, *half), np.float32)
        for scale, most in ((32.0, 4.5), (14.0, 2.2), (7.0, 0.9)):
            amount = rng.uniform(0.1, 1) * most
            for axis in range(3):
                bend[axis] += smooth_noise(rng, half, scale / 2) * np.float32(amount)
        return cls(pose, origin, shape, bend)

    def mni(self, mass_effects: list[MassEffect]) -> np.ndarray:
        """MNI coordinates at every second voxel, ``(3, x', y', z')`` float32, after mass effect."""
        axes = [self.origin[k] + 2 * np.arange(n, dtype=np.float64) for k, n in enumerate(self.bend.shape[1:])]
        place = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
        for effect in mass_effects:
            offset = place - effect.center.astype(np.float32)[:, None, None, None]
            distance = np.sqrt((offset**2).sum(axis=0)) + 1e-3
            # tissue at this distance was closer before the core grew: volume is preserved, and the effect decays
            moved = effect.strength * effect.radius**3 * np.exp(-((distance / (3.5 * effect.radius)) ** 2))
            before = np.cbrt(np.maximum(distance**3 - moved, (0.35 * distance) ** 3))
            place = place + offset * (before / distance - 1)
        linear = np.tensordot(self.pose.matrix.astype(np.float32), place, 1)
        return linear + self.pose.shift.astype(np.float32)[:, None, None, None] + self.bend


def sample(atlas: Atlas, name: str, mni: np.ndarray) -> np.ndarray:
    """Read one map of the atlas at MNI coordinates ``(3, ...)``, linearly, float32."""
    from scipy import ndimage

    index = mni - atlas.origin.astype(np.float32)[:, None, None, None]
    return ndimage.map_coordinates(getattr(atlas, name), index, order=1, output=np.float32, mode="nearest")


def build_anatomy(rng: np.random.Generator, atlas: Atlas, warp: Warp, mass_effects: list[MassEffect]) -> Anatomy:
    """Build the tissue of a box: folded cortex, sulci, ventricles, and an imperfect skull stripping."""
    shape = warp.shape
    mni_half = warp.mni(mass_effects)
    mni = np.stack([upsample(axis, shape) for axis in mni_half])
    soft = {name: upsample(sample(atlas, name, mni_half), shape) for name in ("depth", "ventricle", "vessel", "deep")}
    depth = soft["depth"]
    # ventricles from slit-like to wide, as in atrophy; sulci widen with them
    age = rng.beta(1.3, 1.8)
    ventricle = soft["ventricle"] + np.float32(1.2 - 5.0 * age + rng.normal() * 0.5)
    cortex = smoothstep((np.float32(22) - depth) / 12) * smoothstep((soft["ventricle"] - 8) / 8)
    csf, white = _fold(rng, sample(atlas, "csf", mni), sample(atlas, "white", mni), cortex, age)
    np.maximum(csf, smoothstep((0.7 - ventricle) / 1.4), out=csf)
    white *= 1 - csf
    brain = _skull_strip(rng, depth, csf)
    return Anatomy(
        csf=csf,
        gray=1 - csf - white,
        white=white,
        brain=brain,
        depth=depth,
        ventricle=ventricle,
        vessel=soft["vessel"],
        deep=soft["deep"],
        cortex=cortex,
        mni_half=mni_half,
    )


def _fold(
    rng: np.random.Generator, csf: np.ndarray, white: np.ndarray, cortex: np.ndarray, age: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fold the blurred average: sheets where a noise field is zero become sulci lined by cortex."""
    shape: Shape = csf.shape  # type: ignore[assignment]
    field = smooth_noise(rng, shape, rng.uniform(7, 11))
    width = rng.uniform(0.06, 0.11) * (0.8 + 0.9 * age)
    strength = cortex * np.float32(rng.uniform(0.35, 0.9))
    sheet = np.exp(-np.square(field / np.float32(width)))
    lining = np.exp(-np.square(field / np.float32(width * rng.uniform(4.0, 6.5))))
    # keeps the gyral crowns closed: the noise deepens existing sulci instead of cutting new ones
    fluid = csf + sheet * strength + smooth_noise(rng, shape, 5) * np.float32(0.05)
    middle = rng.uniform(0.42, 0.62) - 0.18 * age
    fluid = smoothstep((fluid - np.float32(middle)) / np.float32(rng.uniform(0.35, 0.6)) + np.float32(0.5))
    myelin = white - lining * strength * np.float32(0.9) + smooth_noise(rng, shape, 5) * np.float32(0.03)
    myelin = smoothstep((myelin - np.float32(rng.uniform(0.45, 0.65))) / np.float32(rng.uniform(0.25, 0.6)) + 0.5)
    return fluid, myelin * (1 - fluid)


def _skull_strip(rng: np.random.Generator, depth: np.ndarray, csf: np.ndarray) -> np.ndarray:
    """Skull stripping: a smooth or a tight mask with local errors in both directions."""
    from scipy import ndimage

    shape: Shape = depth.shape  # type: ignore[assignment]
    edge = rng.uniform(-0.5, 2.0) + smooth_noise(rng, shape, 18) * rng.uniform(0.2, 1.2)
    brain = depth > edge.astype(np.float32)
    if rng.random() < 0.55:
        reach = rng.uniform(2, 7) + smooth_noise(rng, shape, 12) * 1.5
        brain &= (csf < rng.uniform(0.35, 0.85)) | (depth > reach.astype(np.float32))
        brain = ndimage.binary_opening(brain)
    return brain
