"""Random gliomas: position, structure of the core, and edema that spreads along white matter."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.labels import ED, ET, NCR
from training.phantoms.anatomy import Anatomy
from training.phantoms.fields import Shape, half_length, smooth_noise, smoothstep, upsample

#: Kinds of tumor and their probabilities: ring-enhancing with necrosis, solid enhancing, non-enhancing (low grade),
#: patchy.
KINDS = ("ring", "solid", "low", "patchy")
_CHANCES = (0.51, 0.13, 0.27, 0.09)

#: Minimum number of core voxels of a tumor (0.15 mL).
MIN_CORE = 150

#: Minimum number of enhancing voxels (0.3 mL); fewer become core.
MIN_ENHANCING = 300

#: Median and maximum of the core radius in mm: cores of 10 to 100 mL are usual in BraTS.
_RADIUS = (20.0, 38.0)
_LOW_GRADE_RADIUS = (24.0, 42.0)

#: Range of the core radius of small tumors in mm (spheres of 0.5 to 4 mL).
_SMALL = (5.0, 10.0)

#: Position (0-1) of the edge of the edema label between the onset of its brightness and full brightness: experts
#: include everything brighter than the adjacent tissue, instead of stopping halfway.
EDEMA_BORDER = 0.45


@dataclass(frozen=True)
class Focus:
    """One core: its center (output mm), radius (mm) and kind."""

    center: np.ndarray
    radius: float
    kind: str


@dataclass
class Tumor:
    """A tumor inside a box of the output grid.

    Attributes:
        box: The box as slices.
        label: ``uint8`` values of :mod:`training.labels` inside the box.
        weight: Opacity (0-1) of ``"ed"``, ``"ncr"``, ``"inner"`` (the center of a layered core) and ``"et"``, float32
            in the box.
        kind: Kind of the first focus.
    """

    box: tuple[slice, slice, slice]
    label: np.ndarray
    weight: dict[str, np.ndarray]
    kind: str
    foci: list[Focus] = field(default_factory=list)


def draw_foci(rng: np.random.Generator, center: np.ndarray, *, small: bool = False) -> list[Focus]:
    """Draw the foci of a tumor around ``center``: mostly one, sometimes with satellites of the same kind.

    Args:
        rng: Random generator.
        center: Center in output mm.
        small: Whether the first focus has a small radius.
    """
    kind = str(rng.choice(KINDS, p=_CHANCES))
    usual, largest = _LOW_GRADE_RADIUS if kind == "low" else _RADIUS
    radius = float(np.clip(np.exp(rng.normal(np.log(usual), 0.4)), 6.5, largest))
    if small:
        radius = float(rng.uniform(*_SMALL))
    foci = [Focus(center, radius, kind)]
    if rng.random() < 0.22:
        for _ in range(rng.integers(1, 4)):
            way = rng.standard_normal(3)
            away = way / np.linalg.norm(way) * radius * rng.uniform(1.2, 2.4)
            foci.append(Focus(center + away, float(np.clip(radius * rng.uniform(0.2, 0.55), 3, 12)), kind))
    return foci


def grow(rng: np.random.Generator, anatomy: Anatomy, foci: list[Focus], origin: np.ndarray) -> Tumor | None:
    """Grow a tumor from its foci in tissue that is already displaced.

    Returns:
        The tumor, or ``None`` if no focus lies in brain tissue inside the grid.
    """
    kept = [(focus, seed) for focus in foci if (seed := _nearest_tissue(anatomy, focus.center - origin)) is not None]
    if not kept:
        return None
    reach = max(focus.radius for focus, _ in kept)
    low_grade = kept[0][0].kind == "low"
    least, most, without = (2.5, 16.0, 0.15) if low_grade else (3.5, 30.0, 0.06)
    spread = float(np.exp(rng.uniform(np.log(least), np.log(most)))) if rng.random() >= without else 0.0
    box = _box(anatomy.csf.shape, kept, int(reach * 1.6 + spread * 1.2 + 6))
    shape: Shape = anatomy.csf[box].shape  # type: ignore[assignment]
    room = anatomy.brain[box] & (anatomy.ventricle[box] > 0.3)
    start = np.array([part.start for part in box])
    resistance = anatomy.csf[box] + np.float32(rng.uniform(0, 0.6)) * anatomy.gray[box]

    core = np.full(shape, -9, np.float32)
    necrosis = np.full(shape, -9, np.float32)
    for focus, seed in kept:
        shell, inner = _core(rng, resistance, focus, seed - start)
        np.maximum(core, shell, out=core)
        np.maximum(necrosis, inner, out=necrosis)
    core = np.where(room, core, -9)
    if np.count_nonzero(core > 0) < MIN_CORE:
        return None
    enhancing = (core > 0) & (necrosis <= 0)
    edge = (
        spread
        - _travel_time(rng, anatomy, box, room, core > 0)
        + smooth_noise(rng, shape, 11) * (rng.uniform(0.1, 0.35) * spread)
        + smooth_noise(rng, shape, 5) * 0.8
    )
    edge = np.where(room & (spread > 0), edge - 6 * np.clip(anatomy.csf[box] - 0.4, 0, 1), -9).astype(np.float32)

    label = np.zeros(shape, np.uint8)
    label[edge > 0] = ED.value
    label[core > 0] = NCR.value
    label[enhancing] = ET.value
    if low_grade and rng.random() < 0.65:
        label[label == ET.value] = NCR.value
    label = _remove_specks(label)
    if np.count_nonzero(label == ET.value) < MIN_ENHANCING:
        label[label == ET.value] = NCR.value
    weight = _weights(rng, label, edge, spread) | {"inner": _inner(rng, label, necrosis, kept[0][0].kind)}
    drawn = rng.random()
    if drawn < 0.6:
        label = _dilate_enhancing(label, generous=drawn < 0.2)
    return Tumor(box, label, weight, kept[0][0].kind, [focus for focus, _ in kept])


def _box(shape: tuple[int, ...], kept: list[tuple[Focus, np.ndarray]], margin: int) -> tuple[slice, slice, slice]:
    points = np.array([seed for _, seed in kept])
    low = np.maximum(points.min(axis=0) - margin, 0) // 2 * 2
    high = np.minimum(points.max(axis=0) + margin + 1, shape)
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _nearest_tissue(anatomy: Anatomy, place: np.ndarray) -> np.ndarray | None:
    """Return the voxel of solid tissue nearest to ``place`` (voxels), at most 10 mm away."""
    corner = np.round(place).astype(int) - 10
    low = np.maximum(corner, 0)
    window = tuple(slice(first, max(first, last)) for first, last in zip(low, corner + 21, strict=True))
    fit = anatomy.brain[window] & (anatomy.csf[window] < 0.4) & (anatomy.ventricle[window] > 2)
    candidates = np.argwhere(fit) + low
    if not len(candidates):
        return None
    distance = np.linalg.norm(candidates - place, axis=1)
    return candidates[distance.argmin()] if distance.min() <= 10 else None


def _travel_time(
    rng: np.random.Generator, anatomy: Anatomy, box: tuple[slice, slice, slice], room: np.ndarray, core: np.ndarray
) -> np.ndarray:
    """Travel time of tumor cells from the core (in mm of white matter): fast in white, slow in gray matter and fluid.

    Computed on every second voxel as a minimum-cost path.
    """
    from skimage.graph import MCP_Geometric

    white = anatomy.white[box]
    slow_gray = np.exp(rng.uniform(np.log(1.3), np.log(9.0)))
    cost = 1.0 / (0.08 + (1 - anatomy.csf[box]) * (white + (1 - white) / slow_gray))
    cost = np.where(room, cost, 60.0).astype(np.float32)
    shape: Shape = cost.shape  # type: ignore[assignment]
    coarse, inside = _every_second(cost), _every_second(core)
    if not inside.any():
        inside[tuple(n // 2 for n in inside.shape)] = True
    starts = [tuple(voxel) for voxel in np.argwhere(inside)]
    # starting voxels are free, so that the time starts at the border of the core
    costs, _ = MCP_Geometric(np.where(inside, 1e-3, coarse)).find_costs(starts)
    return upsample(np.minimum(2 * costs, 500).astype(np.float32), shape)


def _every_second(field: np.ndarray) -> np.ndarray:
    """Take voxels 0, 2, 4 ... that enclose the field, as :func:`upsample` expects."""
    padded = np.pad(field, [(0, 2)] * 3, mode="edge")[::2, ::2, ::2]
    return padded[tuple(slice(0, half_length(n)) for n in field.shape)].copy()


def _core(
    rng: np.random.Generator, resistance: np.ndarray, focus: Focus, seed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances (approximately in mm, positive inside) to the core and to its non-enhancing part."""
    shape: Shape = resistance.shape  # type: ignore[assignment]
    axes = [np.arange(n, dtype=np.float32) - np.float32(s) for n, s in zip(shape, seed, strict=True)]
    offset = np.stack(np.meshgrid(*axes, indexing="ij"))
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    stretch = np.exp(rng.normal(0, 0.22, 3))
    stretch /= np.cbrt(stretch.prod())
    distance = np.sqrt(np.square(np.tensordot((turn * stretch).T.astype(np.float32), offset, 1)).sum(axis=0))
    # low-grade tumors follow the tissue they grow in, high-grade ones push it aside
    follow = rng.uniform(0.3, 0.7) if focus.kind == "low" else rng.uniform(0, 0.3)
    size = np.float32(focus.radius)
    distance += np.float32(follow) * size * resistance
    wobble = smooth_noise(rng, shape, max(5.0, 0.8 * focus.radius)) * rng.uniform(0.1, 0.3)
    wobble += smooth_noise(rng, shape, max(3.0, 0.3 * focus.radius)) * rng.uniform(0.04, 0.12)
    shell = size * (1 - wobble.astype(np.float32)) - distance
    return shell, _non_enhancing(rng, shape, focus, shell)


def _non_enhancing(rng: np.random.Generator, shape: Shape, focus: Focus, shell: np.ndarray) -> np.ndarray:
    """Signed distance to the non-enhancing part of the core, by kind."""
    size = focus.radius
    coarse = smooth_noise(rng, shape, max(4.0, 0.5 * size))
    fine = smooth_noise(rng, shape, 4)
    if focus.kind == "ring":
        rim = np.clip(rng.uniform(0.14, 0.45) * size, 2.2, 9)
        if rng.random() < 0.3:  # a broken rim, open on one side
            rim = rim * (1 - 0.9 * (coarse > rng.uniform(0.4, 1.2)))
        return (shell - rim * (1 + 0.45 * coarse + 0.2 * fine)).astype(np.float32)
    if focus.kind == "solid":
        return np.minimum(shell - 1.5, (0.7 * coarse + 0.5 * fine - rng.uniform(0.8, 1.8)) * 4).astype(np.float32)
    threshold = rng.uniform(0.2, 1.3) if focus.kind == "patchy" else rng.uniform(1.2, 2.3)
    return ((threshold - (0.8 * coarse + 0.6 * fine)) * 4).astype(np.float32)


def _remove_specks(label: np.ndarray) -> np.ndarray:
    """Remove specks that no expert would draw: isolated voxels of a class get the surrounding label."""
    from scipy import ndimage

    present = label > 0
    whole = ndimage.binary_opening(present, iterations=1)
    whole = ndimage.binary_fill_holes(whole)
    label = np.where(whole, np.where(present, label, ED.value), 0).astype(np.uint8)
    for value, instead in ((ET.value, NCR.value), (NCR.value, ET.value)):
        mask = label == value
        specks = mask & ~ndimage.binary_opening(mask, structure=np.ones((2, 2, 2)))
        others = label[specks]
        near = ndimage.uniform_filter((label == instead).astype(np.float32), 3)[specks]
        label[specks] = np.where(near > 0.3, instead, others)
    return label


def _weights(rng: np.random.Generator, label: np.ndarray, edge: np.ndarray, spread: float) -> dict[str, np.ndarray]:
    from scipy import ndimage

    blur = rng.uniform(0.4, 1.0)
    core = ndimage.gaussian_filter(((label == NCR.value) | (label == ET.value)).astype(np.float32), blur)
    enhancing = ndimage.gaussian_filter((label == ET.value).astype(np.float32), blur)
    fade = rng.uniform(1.0, np.clip(0.4 * spread, 1.5, 6.0))
    edema = smoothstep(edge / np.float32(fade) + np.float32(EDEMA_BORDER))
    np.maximum(edema, core, out=edema)
    edema *= ndimage.gaussian_filter((label > 0).astype(np.float32), 0.7)
    return {"ed": edema, "ncr": core, "et": np.minimum(enhancing, core)}


def _inner(rng: np.random.Generator, label: np.ndarray, necrosis: np.ndarray, kind: str) -> np.ndarray:
    """Opacity of a differing part of the core, which two in five tumors have.

    In ring-enhancing tumors the center of a layered core (old blood, protein), in others cysts.
    """
    from scipy import ndimage

    if rng.random() > 0.4 or necrosis.max() <= 0:
        return np.zeros(label.shape, np.float32)
    if kind == "ring":
        inside = necrosis > np.float32(rng.uniform(0.15, 0.6)) * necrosis.max()
    else:
        shape: Shape = label.shape  # type: ignore[assignment]
        inside = smooth_noise(rng, shape, rng.uniform(6, 16)) > rng.uniform(0.3, 1.3)
    inside &= label == NCR.value
    return ndimage.gaussian_filter(inside.astype(np.float32), rng.uniform(0.5, 1.2))


def _dilate_enhancing(label: np.ndarray, *, generous: bool) -> np.ndarray:
    """Close small gaps of the enhancing tumor and add its blurred rim, as in labels by experts and algorithms.

    ``generous`` closes wider gaps, as experts who draw around a patchy enhancement.
    """
    from scipy import ndimage

    enhancing = label == ET.value
    ball = ndimage.generate_binary_structure(3, 1)
    closed = ndimage.binary_closing(enhancing, structure=ball, iterations=4 if generous else 2)
    wide = ndimage.gaussian_filter(closed.astype(np.float32), 1.0) > (0.3 if generous else 0.36)
    return np.where((label > 0) & (wide | enhancing), ET.value, label).astype(np.uint8)
