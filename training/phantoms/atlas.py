"""The atlas: tissue, ventricles and large vessels of an average head, from which phantoms are generated.

Source: the ICBM 2009a nonlinear symmetric template (Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033), whose
gray matter, white matter and T1 maps are part of nilearn, so that nothing is downloaded. The derived maps take some
seconds and are kept in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from training.atomic import write_with
from training.images.masks import bounding_box, large_components

#: Increment when the maps below change, to invalidate old caches.
_VERSION = 4

#: Polylines of large vessels in MNI millimeters: those that could be mistaken for tumor.
_VESSELS: tuple[tuple[tuple[float, float, float], ...], ...] = (
    ((0, -42, 4), (0, -58, 10), (0, -74, 6), (0, -92, -4)),  # vein of Galen, straight sinus, torcula
    ((0, -92, -4), (22, -88, -12), (44, -74, -22), (54, -56, -32), (48, -42, -40)),  # transverse, sigmoid sinus
    ((0, -92, -4), (-22, -88, -12), (-44, -74, -22), (-54, -56, -32), (-48, -42, -40)),
    ((3, -38, 6), (3, -20, 10), (4, -2, 12)),  # internal cerebral veins
    ((-3, -38, 6), (-3, -20, 10), (-4, -2, 12)),
    ((0, -28, -48), (0, -22, -34), (0, -16, -20)),  # basilar artery
    ((0, -16, -20), (14, -24, -16), (16, -40, -8)),  # posterior cerebral arteries
    ((0, -16, -20), (-14, -24, -16), (-16, -40, -8)),
    ((10, 0, -30), (9, 2, -20), (14, 4, -18), (30, 4, -14), (40, 2, -6), (44, -8, 4)),  # carotid, middle cerebral
    ((-10, 0, -30), (-9, 2, -20), (-14, 4, -18), (-30, 4, -14), (-40, 2, -6), (-44, -8, 4)),
    ((9, 2, -20), (2, 10, -16), (1, 34, -6), (1, 40, 8), (1, 26, 24), (1, 0, 32)),  # anterior cerebral
)

#: Centers of the choroid plexus in MNI millimeters: glomus, body, fourth ventricle.
CHOROID_CENTERS: tuple[tuple[float, float, float], ...] = (
    (24, -40, 10),
    (-24, -40, 10),
    (10, -16, 16),
    (-10, -16, 16),
    (0, -50, -36),
)


@dataclass(frozen=True)
class Atlas:
    """Maps on one 1 mm RAS grid, cropped to the head.

    Attributes:
        csf: Fluid, sharpened to make the sulci of the average head visible, about 0-1, float32 ``(x, y, z)``.
        white: White matter as a fraction of gray + white, 0-1.
        depth: Depth below the surface of the brain in mm, negative outside.
        ventricle: Distance to the wall of the ventricles in mm, negative inside.
        vessel: Distance to the centerline of the large vessels in mm, at most 12.
        deep: 1 in the basal ganglia and thalamus, with soft edges.
        origin: MNI millimeters of voxel (0, 0, 0).
    """

    csf: np.ndarray
    white: np.ndarray
    depth: np.ndarray
    ventricle: np.ndarray
    vessel: np.ndarray
    deep: np.ndarray
    origin: np.ndarray


_MAPS = ("csf", "white", "depth", "ventricle", "vessel", "deep")


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Return the atlas from memory or the user's cache folder, or build it (some seconds)."""
    path = _cache_path()
    if path is not None and path.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, BadZipFile), np.load(path) as stored:
            maps = {name: stored[name].astype(np.float32) for name in _MAPS}
            return Atlas(**maps, origin=stored["origin"])
    atlas = build_atlas()
    if path is not None:
        maps = {name: getattr(atlas, name).astype(np.float16) for name in _MAPS}
        with contextlib.suppress(OSError):  # an unwritable cache only costs time
            write_with(path, lambda temporary: np.savez_compressed(temporary, **maps, origin=atlas.origin))
    # rounded like the cache, so that a seed gives the same phantom with and without it
    rounded = {name: getattr(atlas, name).astype(np.float16).astype(np.float32) for name in _MAPS}
    return Atlas(**rounded, origin=atlas.origin)


def build_atlas() -> Atlas:
    """Derive the maps from the template in nilearn."""
    from scipy import ndimage

    gray, white, t1, origin = _template()
    brain = ndimage.binary_closing(np.pad((gray + white) > 0.2, 6), iterations=4)[6:-6, 6:-6, 6:-6]
    brain = ndimage.binary_fill_holes(brain | (t1 > 0.12))
    brain = large_components(ndimage.binary_opening(brain, iterations=2), brain.size)
    box = bounding_box(brain, margin=12)
    assert box is not None
    gray, white, brain = gray[box], white[box], brain[box]
    origin = origin + np.array([part.start for part in box])

    depth = _signed_distance(brain)
    csf = np.clip(brain - gray - white, 0, 1).astype(np.float32)
    sharp = csf + 1.2 * (csf - ndimage.gaussian_filter(csf, 3.0))
    share = white / np.maximum(gray + white, 0.05)
    grid = np.stack(np.meshgrid(*[np.arange(n) + o for n, o in zip(brain.shape, origin, strict=True)], indexing="ij"))
    return Atlas(
        csf=np.clip(np.where(brain, sharp, 1.0), -0.3, 1.5).astype(np.float32),
        white=share.astype(np.float32),
        depth=depth,
        ventricle=-_signed_distance(_ventricles(csf, depth, grid)),
        vessel=_vessel_distance(depth, grid, origin),
        deep=_deep_nuclei(depth, grid),
        origin=origin,
    )


def _template() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    import nibabel

    folder = importlib.resources.files("nilearn") / "datasets" / "data"
    maps = []
    for name in ("gm", "wm", "t1"):
        with importlib.resources.as_file(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz") as path:
            image = nibabel.as_closest_canonical(nibabel.load(path))
            data = image.get_fdata(dtype=np.float32)
        maps.append(data / data.max())
    return maps[0], maps[1], maps[2], image.affine[:3, 3].copy()


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the distance to the border of ``mask`` in voxels, positive inside."""
    from scipy import ndimage

    return (ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)).astype(np.float32)


def _ventricles(csf: np.ndarray, depth: np.ndarray, grid: np.ndarray) -> np.ndarray:
    x, y, z = grid
    side = np.abs(x)
    lateral = (side > 2) & (side < 40) & (y > -58) & (y < 38) & (z > -2) & (z < 34) & ~((side > 25) & (y > -22))
    lateral &= ~((side < 5) & (y < -22)) & ~((side < 4) & (z > 18))
    third = (side <= 3) & (y > -28) & (y < 6) & (z > -12) & (z < 6)
    fourth = (side < 8) & (y > -58) & (y < -38) & (z > -44) & (z < -20)
    return (csf > 0.45) & (depth > 14) & (lateral | third | fourth)


def _vessel_distance(depth: np.ndarray, grid: np.ndarray, origin: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    line = np.zeros(depth.shape, bool)
    for polyline in _VESSELS:
        points = np.array(polyline, np.float64)
        for start, stop in itertools.pairwise(points):
            steps = np.linspace(0, 1, int(np.ceil(2 * np.linalg.norm(stop - start))) + 1)[:, None]
            index = np.round(start + steps * (stop - start) - origin).astype(int)
            inside = np.all((index >= 0) & (index < line.shape), axis=1)
            line[tuple(index[inside].T)] = True
    x, y, z = grid
    # superior sagittal sinus: the midline at the surface, from the forehead over the vertex to the torcula
    line |= (np.abs(x) < 1) & (np.abs(depth + 0.5) < 1) & ((z > 20) | ((y < -60) & (z > -6)))
    distance = ndimage.distance_transform_edt(~line)
    return np.minimum(distance, 12).astype(np.float32)


def _deep_nuclei(depth: np.ndarray, grid: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    x, y, z = grid
    inside = ((np.abs(x) - 16) / 17) ** 2 + ((y + 4) / 26) ** 2 + ((z - 4) / 17) ** 2 < 1
    return ndimage.gaussian_filter((inside & (depth > 12)).astype(np.float32), 2.0)


def _cache_path() -> Path | None:
    try:
        import platformdirs

        return Path(platformdirs.user_cache_dir("tumorloop", appauthor=False)) / f"atlas-v{_VERSION}.npz"
    except (ImportError, OSError, RuntimeError):
        return None
