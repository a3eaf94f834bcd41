"""What surrounds the brain of a raw phantom: fluid, dura, skull, scalp, muscle, eyes, air, and the upper neck.

The shape of the head and the soft tissue of face and neck are those of an average head (``head.npz``: T1 of the mean
that pydeface 2.1.0 ships, registered to ICBM152; ``python -m docs.raw.head_map`` makes it), deformed like the brain.
Fluid, dura and skull are layers around the brain of the phantom, so that they fit it.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from training.images.masks import bounding_box, large_components
from training.phantoms.anatomy import Pose, Warp, sample
from training.phantoms.atlas import Atlas
from training.phantoms.contrast import Contrast, Draw
from training.phantoms.fields import Shape, smooth_noise, smoothstep, upsample

#: Voxel size of ``head.npz`` in mm, and T1 of one of its gray levels.
_MAP_MM = 2
_LEVEL = 16.0

#: Centers and radius of the eyes, and the course of the spinal cord with its radius, in MNI millimeters.
_EYES = ((-33.0, 60.0, -42.0), (33.0, 60.0, -42.0))
_EYE_RADIUS = 12.0
_CORD = ((0.0, -38.0, -62.0), (0.0, -42.0, -80.0), (0.0, -50.0, -105.0), (0.0, -54.0, -140.0))
_CORD_RADIUS = 5.0

#: The face that defacing removes lies in front of and below the plane through these MNI points (y, z), in mm.
_FACE_PLANE = ((92.0, 8.0), (12.0, -76.0))


@dataclass(frozen=True)
class HeadMap:
    """The average head on a 2 mm RAS grid.

    Attributes:
        t1: T1, about 0 in air and bone, 250 in muscle, 450 in fat; float32 ``(x, y, z)``. The brain is left out.
        skin: Depth below the skin in mm, negative outside the head.
        origin: MNI millimeters of voxel (0, 0, 0).
    """

    t1: np.ndarray
    skin: np.ndarray
    origin: np.ndarray

    def sample(self, name: str, mni: np.ndarray) -> np.ndarray:
        """Read one map at MNI coordinates ``(3, ...)``, linearly, float32."""
        from scipy import ndimage

        index = (mni - self.origin.astype(np.float32)[:, None, None, None]) / np.float32(_MAP_MM)
        return ndimage.map_coordinates(getattr(self, name), index, order=1, output=np.float32, mode="nearest")


@lru_cache(maxsize=1)
def load_head_map() -> HeadMap:
    """Return the average head."""
    from scipy import ndimage

    with (importlib.resources.files("training.phantoms") / "head.npz").open("rb") as file, np.load(file) as stored:
        levels, origin = stored["t1"], stored["origin"].astype(np.float64)
    # Air on all sides, but not below: the neck goes on.
    levels = np.pad(levels, [(8, 8), (8, 8), (0, 8)])
    inside = np.pad(levels > 0, [(0, 0), (0, 0), (20, 0)], mode="edge")
    inside_mm = ndimage.distance_transform_edt(inside, _MAP_MM)
    outside_mm = ndimage.distance_transform_edt(~inside, _MAP_MM)
    skin = np.where(inside, inside_mm - _MAP_MM / 2, _MAP_MM / 2 - outside_mm)[:, :, 20:]
    return HeadMap(levels * np.float32(_LEVEL), skin.astype(np.float32), origin - 8 * _MAP_MM * np.array([1, 1, 0]))


@dataclass
class Head:
    """The geometry of one head on the grid of its canvas.

    Attributes:
        origin: Output millimeters of voxel (0, 0, 0).
        spacing: Voxel size in mm, 1 or 2.
        shape: Of the canvas.
        inner: Where the grid of the phantom lies in the canvas.
        brain: Brain, boolean: all inside the pial surface, with its sulci and ventricles.
        outside: Distance in mm from where the surface of the brain would be without a tumor, negative in it.
        skin: Depth below the skin in mm, negative in the air.
        gap, skull: Thickness of fluid and of skull in mm, at every place outside the brain.
        t1: T1 of the average head.
        mni: MNI coordinates ``(3, x, y, z)``.
    """

    origin: np.ndarray
    spacing: int
    shape: Shape
    inner: tuple[slice, slice, slice]
    brain: np.ndarray
    outside: np.ndarray
    skin: np.ndarray
    gap: np.ndarray
    skull: np.ndarray
    t1: np.ndarray
    mni: np.ndarray


def build_head(rng: np.random.Generator, atlas: Atlas, warp: Warp, depth: np.ndarray, spacing: int) -> Head:
    """Build the head around the brain of a phantom.

    A tumor does not move the skull: the brain fills the room up to it, and ends there.

    Args:
        rng: Random generator.
        atlas: Of the phantom.
        warp: Of the phantom.
        depth: Depth below the surface of the brain in mm, on the grid of the phantom.
        spacing: Voxel size of the canvas in mm: 1 or 2.
    """
    wide, before = _canvas(warp)
    mni = wide.mni([])
    above = mni[2] >= atlas.origin[2]  # where the atlas ends, so does the brain: below is the spinal cord
    depth_around = np.where(above, sample(atlas, "depth", mni), np.float32(-20))
    outside = _outside(depth_around, float(np.cbrt(1 / abs(np.linalg.det(warp.pose.matrix)))))
    fields = {"outside": outside, **_layers(rng, mni, outside)}
    shape: Shape = mni.shape[1:]  # type: ignore[assignment]
    if spacing == 1:
        shape = wide.shape
        fields = {name: upsample(field, shape) for name, field in fields.items()}
        mni = np.stack([upsample(axis, shape) for axis in mni])
    inner = _inner(before, depth.shape, spacing)
    brain = np.zeros(shape, bool)
    brain[inner] = depth[::spacing, ::spacing, ::spacing] > 0
    brain = large_components(brain & (fields["outside"] < fields["gap"]) & (mni[2] >= atlas.origin[2]), np.inf)
    return Head(wide.origin, spacing, shape, inner, brain, mni=mni, **fields)


def _canvas(warp: Warp) -> tuple[Warp, np.ndarray]:
    """Enlarge the box of the brain to the head: the warp of the larger box, and the voxels added before each axis."""
    head = load_head_map()
    points = np.argwhere(head.skin[::4, ::4, ::4] > 0) * 4 * _MAP_MM + head.origin
    placed = warp.pose.to_output(points)
    low, high = placed.min(axis=0) - 12, placed.max(axis=0) + 12
    before = (np.maximum(np.ceil((warp.origin - low) / 2), 0) * 2).astype(int)
    after = (np.maximum(np.ceil((high - warp.origin - np.array(warp.shape)) / 2), 0) * 2).astype(int)
    bend = np.pad(warp.bend, [(0, 0), *zip(before // 2, after // 2, strict=True)], mode="edge")
    x, y, z = (int(n) for n in np.array(warp.shape) + before + after)
    pose = Pose(warp.pose.matrix, warp.pose.shift)
    return Warp(pose, warp.origin - before, (x, y, z), bend), before


def _inner(before: np.ndarray, shape: tuple[int, ...], step: int) -> tuple[slice, slice, slice]:
    first = before // step
    x, y, z = (slice(int(a), int(a) + -(-n // step)) for a, n in zip(first, shape, strict=True))
    return x, y, z


def _outside(depth: np.ndarray, size: float) -> np.ndarray:
    """Distance from the brain in mm on the half grid: near it that of the atlas, which is finer than voxels."""
    from scipy import ndimage

    far = ndimage.distance_transform_edt(depth <= 0, 2).astype(np.float32) - 1
    near = np.clip((8 - far) / 4, 0, 1)
    return near * (-depth * np.float32(size)) + (1 - near) * far


def _layers(rng: np.random.Generator, mni: np.ndarray, outside: np.ndarray) -> dict[str, np.ndarray]:
    """Thickness of the layers around the brain, on the half grid; the head grows where they need more room."""
    head = load_head_map()
    half: Shape = outside.shape  # type: ignore[assignment]
    gap = rng.uniform(1.0, 3.0) * (1 + 0.3 * smooth_noise(rng, half, 14))
    gap = np.clip(gap, 0.8, 6.0).astype(np.float32)
    skin = head.sample("skin", mni) + np.float32(rng.uniform(-1.0, 4.0)) + 0.7 * smooth_noise(rng, half, 12)
    # vault: the skull takes a part of the room between brain and skin; base: it is thin, and more tissue follows
    room = np.maximum(skin, 0) + np.maximum(outside, 0)
    vault = smoothstep((48 - room) / 24)
    share = np.float32(rng.uniform(0.35, 0.55)) * (1 + 0.12 * smooth_noise(rng, half, 16))
    bone = np.clip((room - gap) * share, 3.5, rng.uniform(8, 11))
    skull = vault * bone + (1 - vault) * np.float32(rng.uniform(2.5, 4.0))
    least = gap + 1 + skull + np.float32(rng.uniform(2.5, 4.0))
    skin = np.where(outside < least, np.maximum(skin, least - outside), skin)
    return {
        "skin": skin.astype(np.float32),
        "gap": gap,
        "skull": skull.astype(np.float32),
        "t1": head.sample("t1", mni),
    }


def paint_head(
    rng: np.random.Generator, head: Head, brain: np.ndarray, vessel: np.ndarray, contrast: Contrast
) -> np.ndarray:
    """Paint the head around the images of its brain.

    Args:
        rng: Random generator.
        head: Its geometry.
        brain: Images of the grid of the phantom ``(4, x, y, z)``, fluid outside of the brain.
        vessel: Distance to large vessels in mm on that grid.
        contrast: Of the phantom.

    Returns:
        ``(4, x, y, z)`` float32 on the canvas, 0 in the air, white matter on T1 about 1.
    """
    levels = _levels(rng.uniform, contrast)
    image = _soft_tissue(rng, head, levels)
    for name, weight in _shell(rng, head):
        _paint(image, weight, levels[name])
    inside = _soft(head.gap - head.outside)[head.inner]
    for channel in range(len(image)):
        here = image[(channel, *head.inner)]
        here += inside * (brain[channel] - here)
    caliber = np.float32(rng.uniform(1.5, 3.0))
    sinus = np.zeros(head.shape, np.float32)
    sinus[head.inner] = _soft(caliber - vessel) * (head.outside[head.inner] > -1)
    _paint(image, sinus, contrast.distractor["sinus"])
    for name, weight in _canal(head):
        _paint(image, weight, levels[name])
    image *= _soft(head.skin)
    return image


def face(head: Head) -> np.ndarray:
    """Return the voxels that defacing removes, boolean; the brain and what is near it remain."""
    (y, z), (y_back, z_back) = _FACE_PLANE
    border = z + (head.mni[1] - y) * np.float32((z - z_back) / (y - y_back))
    return (head.mni[2] < border) & (head.outside > 6)


def _levels(u: Draw, contrast: Contrast) -> dict[str, np.ndarray]:
    """Brightness of tissues in t1, t1ce, t2, flair; fat is bright on T1 and on fast spin echoes, unless suppressed."""
    gray, fluid, white = (contrast.tissue[name] for name in ("gray", "csf", "white"))
    muscle = np.array([u(0.42, 0.65), u(0.5, 0.8), gray[2] * u(0.3, 0.55), gray[3] * u(0.35, 0.6)])
    fat = np.array([u(1.3, 2.1), 0.0, gray[2] * u(1.1, 2.0), gray[3] * u(0.9, 1.8)])
    fat[1] = fat[0] * u(0.95, 1.1)
    for channel, chance in ((1, 0.15), (2, 0.1), (3, 0.3)):
        if u(0, 1) < chance:
            fat[channel] = muscle[channel] * u(0.5, 1.0)
    bone = np.array([u(0.03, 0.12), u(0.03, 0.12), u(0.01, 0.06), u(0.02, 0.08)])
    return {
        "muscle": muscle,
        "fat": fat,
        "bone": bone,
        "marrow": bone + (fat - bone) * u(0.35, 0.75),
        "dura": np.array([u(0.4, 0.7), u(0.9, 1.8), gray[2] * u(0.3, 0.6), gray[3] * u(0.5, 1.0)]),
        "fluid": fluid,
        "vitreous": fluid * np.array([1.0, 1.0, u(0.9, 1.1), u(0.8, 1.2)]),
        "lens": np.array([u(0.5, 0.7), u(0.5, 0.8), gray[2] * u(0.2, 0.5), gray[3] * u(0.4, 0.7)]),
        "mucosa": np.array([u(0.5, 0.8), u(1.2, 2.2), fluid[2] * u(0.6, 0.9), gray[3] * u(0.9, 1.5)]),
        "cord": white * u(0.85, 1.0),
    }


def _soft_tissue(rng: np.random.Generator, head: Head, levels: dict[str, np.ndarray]) -> np.ndarray:
    """Muscle, fat, bone and air of the average head, with layers of fat between the muscles, mucosa and eyes."""
    t1 = head.t1 + np.float32(18) * smooth_noise(rng, head.shape, 7 / head.spacing)
    beyond = head.outside - head.gap - 1 - head.skull
    # over the vault, the scalp: fat below the skin
    scalp = np.clip((30 - head.outside) / 8, 0, 1) * _soft(beyond) * smoothstep((head.mni[2] + 30) / 30)
    filled = np.maximum(smoothstep((t1 - 70) / 110), scalp)
    sheet = np.exp(-np.square(smooth_noise(rng, head.shape, 9 / head.spacing) / np.float32(0.12)))
    fat = smoothstep((t1 - 235) / 170) + np.float32(rng.uniform(0.2, 0.5)) * sheet * (filled > 0.9) * (head.skin > 6)
    fat = np.maximum(np.minimum(fat, 1), scalp * np.float32(rng.uniform(0.85, 1.0)))
    fat *= np.clip((head.skin - 1.2) / 1.2, 0, 1)
    grain = 1 + np.float32(0.06) * smooth_noise(rng, head.shape, 3 / head.spacing)
    image = np.empty((4, *head.shape), np.float32)
    for channel, (muscle, full) in enumerate(zip(levels["muscle"], levels["fat"], strict=True)):
        image[channel] = filled * grain * (np.float32(muscle) + fat * np.float32(full - muscle))
    nose = (head.mni[1] > -15) & (head.mni[2] > -105) & (head.mni[2] < -8) & (np.abs(head.mni[0]) < 42)
    air = smoothstep((125 - t1) / 40) * nose * (head.skin > 5)
    lining = np.clip(4 * air * (1 - air), 0, 1) * smoothstep(smooth_noise(rng, head.shape, 8 / head.spacing) + 0.9)
    _paint(image, lining, levels["mucosa"])
    for center in _EYES:
        distance = _distance(head.mni, center)
        _paint(image, _soft(np.float32(_EYE_RADIUS) + 0.8 - distance), levels["muscle"])
        _paint(image, _soft(np.float32(_EYE_RADIUS) - 0.6 - distance), levels["vitreous"])
        front = (center[0], center[1] + 0.72 * _EYE_RADIUS, center[2])
        _paint(image, _soft(3.6 - _distance(head.mni, front, (1.0, 2.0, 1.0))), levels["lens"])
    return image


def _shell(rng: np.random.Generator, head: Head) -> Iterator[tuple[str, np.ndarray]]:
    """The skull with its marrow between two tables, and the dura, from the outside to the inside."""
    into = head.outside - head.gap - 1
    yield "bone", _soft(head.skull - into)
    part = into / np.maximum(head.skull, 1)
    diploe = smoothstep((0.36 - np.abs(part - 0.5)) / 0.2) * smoothstep((head.skull - 3.5) / 3)
    yield "marrow", diploe * smoothstep(smooth_noise(rng, head.shape, 10 / head.spacing) * 0.5 + 0.8)
    yield "dura", _soft(-into)


def _canal(head: Head) -> Iterator[tuple[str, np.ndarray]]:
    """The spinal canal below the brain: fluid, and in it the cord."""
    z = head.mni[2]
    heights = [point[2] for point in reversed(_CORD)]
    middle = np.interp(z, heights, [point[1] for point in reversed(_CORD)]).astype(np.float32)
    distance = np.hypot(head.mni[0], head.mni[1] - middle)
    below = _soft((np.float32(_CORD[0][2]) - z) / 4) * (head.outside > -1)
    yield "fluid", _soft(np.float32(_CORD_RADIUS + 3.5) - distance) * below * (head.outside > 0)
    yield "cord", _soft(np.float32(_CORD_RADIUS) - distance) * below


def _distance(
    mni: np.ndarray, center: tuple[float, float, float], stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> np.ndarray:
    total = np.zeros(mni.shape[1:], np.float32)
    for axis in range(3):
        total += np.square((mni[axis] - np.float32(center[axis])) * np.float32(stretch[axis]))
    return np.sqrt(total)


def _soft(distance: np.ndarray) -> np.ndarray:
    """Return the part of a voxel that lies inside a surface at a signed distance in mm, positive inside."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def _paint(image: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> None:
    """Blend ``levels`` over the images with the opacity ``weight``, in place, where it is not 0."""
    box = bounding_box(weight > 0)
    if box is None:
        return
    part = weight[box]
    for channel, level in enumerate(levels):
        here = image[(channel, *box)]
        here += part * (np.float32(level) - here)
