"""Recognizes modalities that were exchanged or are not what they are given as, by the contrast of the images.

Fluid is dark on T1 and FLAIR and bright on T2; white matter is brighter than gray matter on T1 and darker on T2;
lesions are bright on T2 and FLAIR; contrast agent makes vessels, meninges and tumor the brightest on T1. All of it is
measured between two images by ranks inside the brain, so that scale, offset and gamma do not matter.

A pair of images that shows what its modalities do not is a contradiction. Only a clear one leads to a warning, and only
if other modalities explain the images: a wrong warning about a right patient is worse than a missed exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, permutations, product

import numpy as np

from training.images.masks import dice
from training.images.tissue import LARGEST_BRAIN_ML
from training.modalities import ROLES, TITLES, display_name
from training.preparation.ranks import ranks
from training.preparation.same_voxels import check_same_voxels

#: Sampled voxels are this far apart, enough for shares of the brain.
_STEP_MM = 2.0
#: Contrast is measured this far below the surface of the brain, where voxels are mixed with the background.
_DEPTH_MM = 6.0
#: Below the volume of any whole brain but an infant's.
_SMALLEST_BRAIN_ML = 400.0
#: Tissue that overlaps less with the brain (Dice) is not registered to it, not stripped, or not covered.
_OVERLAPPING = 0.9
#: Number of samples that a comparison needs; an adult brain gives more than 90,000.
_FEWEST = 2000
#: This share of the voxels of an image counts as bright, and as much as dark.
_EXTREME = 0.1
# Contradictions measured on 14 patients (2 of them also as scanned) and 30 phantoms:
# - The right modalities: at most 0.05. Also with noise, gamma 0.6 to 1.6, inhomogeneity of 20 %, thick slices, 8 bits
#   or shifts of 3 mm: 0.29, and other modalities explained that no better, so that nothing was told.
# - All 23 exchanges: median 0.8 to 5; told in 343 of 345 and 689 of 690. FLAIR for T2: 15 of 15 and 30 of 30; T1 for T1
#   with contrast: 15 of 15 and 29 of 30.
# - A second scan of another modality: T2 or FLAIR for T1, T1 for T2 and T2 for FLAIR in nearly all. A second T1 for T1
#   with contrast cannot be told from one that does not enhance.
#: A smaller contradiction is not told.
_TOLD = 0.2


@dataclass(frozen=True)
class _Pair:
    """How two images relate. The shares are relative to the bright (or dark) voxels of one image.

    Attributes:
        both_bright: Share that is bright in both.
        bright_dark: Share that is bright in the first and dark in the second.
        dark_bright: Share that is dark in the first and bright in the second.
        correlation: Spearman's rank correlation.
        enhancement: How far the brightest voxels of the second image stand out more than those of the first, as the
            logarithm of a ratio; the reversed pair has the opposite sign.
    """

    both_bright: float
    bright_dark: float
    dark_bright: float
    correlation: float
    enhancement: float


@dataclass(frozen=True)
class _Limit:
    """The least of a measure that a pair of modalities shows; less is a contradiction.

    Attributes:
        first: Roles of the first image.
        second: Roles of the second image.
        measure: What is measured.
        least: The limit.
        weight: Factor of what is lacking.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    measure: Callable[[_Pair], float]
    least: float
    weight: float = 1.0


_T1S = ("t1", "t1ce")

#: In parentheses: the extreme among 14 patients and 30 phantoms whose modalities are right.
_LIMITS = (
    # Both T1 show the tissues in the same order, whatever enhances (0.37) ...
    _Limit(("t1",), ("t1ce",), lambda pair: pair.correlation, 0.2),
    # ... and more is bright with contrast agent than without (0.56).
    _Limit(("t1",), ("t1ce",), lambda pair: pair.enhancement, 0.0, 1.5),
    # Fluid and lesions are dark on T1 and bright on T2 (0.21); most tissues are opposed (0.11 with much enhancement).
    _Limit(_T1S, ("t2",), lambda pair: pair.dark_bright, 0.12),
    _Limit(_T1S, ("t2",), lambda pair: -pair.correlation, -0.25),
    # Fluid is more extreme than white matter, which is the reverse (0.15; 0.02 with much enhancement).
    _Limit(("t1",), ("t2",), lambda pair: pair.dark_bright - pair.bright_dark, 0.0, 1.5),
    _Limit(("t1ce",), ("t2",), lambda pair: pair.dark_bright - pair.bright_dark, -0.15, 1.5),
    # A FLAIR is no T1, although fluid is dark on both (0.61).
    _Limit(_T1S, ("flair",), lambda pair: -pair.correlation, -0.75),
    # What is dark on T1 is mostly dark on FLAIR too, because it is fluid (0.34).
    _Limit(("t1",), ("flair",), lambda pair: -pair.dark_bright, -0.45, 2.0),
    # Fluid is bright on T2 and dark on FLAIR (0.10 where tumor fills the brain), never the reverse (0.07).
    _Limit(("t2",), ("flair",), lambda pair: pair.bright_dark, 0.05, 5.0),
    _Limit(("t2",), ("flair",), lambda pair: -pair.dark_bright, -0.12),
)


def check_modalities(
    values: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], brain: np.ndarray, spacing_mm: float
) -> tuple[str, ...]:
    """Check that no image was given twice, and that each looks like the modality it is given as.

    Args:
        values: By role, ``(x, y, z)`` real on one isotropic grid; scale and offset do not matter.
        masks: By role, where it shows tissue: ``(x, y, z)`` bool.
        brain: ``(x, y, z)`` bool.
        spacing_mm: Voxel size of the grid.

    Returns:
        Warnings, at most one of them about modalities that look like others.

    Raises:
        InputError: If two modalities hold the same voxels; ``field`` is the second of them.
    """
    roles = [role for role in ROLES if role in values]
    inside = np.logical_and.reduce([brain, *(masks[role] for role in roles)])
    copies = check_same_voxels(values, inside, spacing_mm)
    brain_ml = np.count_nonzero(brain) * spacing_mm**3 / 1000
    if not _SMALLEST_BRAIN_ML <= brain_ml <= LARGEST_BRAIN_ML:  # a piece may lack a tissue, a whole head has more
        return ()
    if any(dice(masks[role], brain) < _OVERLAPPING for role in roles):
        return copies
    step = max(1, round(_STEP_MM / spacing_mm))
    every = (slice(None, None, step),) * 3
    deep = _below_surface(inside[every], max(1, round(_DEPTH_MM / (step * spacing_mm))))
    if np.count_nonzero(deep) < _FEWEST:
        return copies
    looks = _looks(roles, _pairs([values[role][every][deep] for role in roles]))
    return copies if looks == tuple(roles) else (_sentence(roles, looks), *copies)


def _below_surface(mask: np.ndarray, voxels: int) -> np.ndarray:
    from scipy import ndimage

    result: np.ndarray = ndimage.binary_erosion(mask, iterations=voxels)
    return result


def _looks(roles: Sequence[str], pairs: Mapping[tuple[int, int], _Pair]) -> tuple[str, ...]:
    """Return the modality that each image looks like: ``roles`` unless others explain the images much better."""
    given = _contradiction(roles, pairs)
    if given < _TOLD:
        return tuple(roles)

    def cost(looks: tuple[str, ...]) -> float:
        # An exchange is likelier than a series given twice, and few changes are likelier than many.
        changes = sum(look != role for look, role in zip(looks, roles, strict=True))
        return _contradiction(looks, pairs) + 0.03 * changes + (0.1 if set(looks) != set(roles) else 0.0)

    best = min(product(ROLES, repeat=len(roles)), key=cost)
    # Images that do not lie on each other, for instance, agree with no modalities.
    return best if _contradiction(best, pairs) < given / 2 else tuple(roles)


def _sentence(roles: Sequence[str], looks: Sequence[str]) -> str:
    """Say which modality looks like which."""
    changed = [(role, look) for role, look in zip(roles, looks, strict=True) if role != look]
    parts = [
        f"{display_name(role)} {'looks like' if number == 0 else 'like'} {TITLES[look]}"
        for number, (role, look) in enumerate(changed)
    ]
    listed = " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    question = "were they exchanged" if set(looks) == set(roles) else "is it the wrong series"
    return f"{listed}: {question}? Check the files before you use the result."


def _contradiction(roles: Sequence[str], pairs: Mapping[tuple[int, int], _Pair]) -> float:
    """Return how far the images contradict the modalities ``roles``; 0 if nothing speaks against them."""
    return sum(max(0.0, lacking) for lacking in _lacking(roles, pairs))


def _lacking(roles: Sequence[str], pairs: Mapping[tuple[int, int], _Pair]) -> Iterator[float]:
    """Yield what is lacking to each limit; negative if nothing is."""
    images = range(len(roles))
    for first, second in permutations(images, 2):
        pair = pairs[first, second]
        for limit in _LIMITS:
            if roles[first] in limit.first and roles[second] in limit.second:
                yield limit.weight * (limit.least - limit.measure(pair))
        if first < second and roles[first] == roles[second]:
            yield 0.4 - pair.correlation
            yield max(pair.bright_dark, pair.dark_bright) - 0.1
    for flair in (image for image in images if roles[image] == "flair"):
        t1s = [image for image in images if roles[image] in _T1S]
        for one, other in combinations(t1s, 2):
            # Two T1 are more alike than either is like the FLAIR (by 0.17).
            alike = max(pairs[one, flair].correlation, pairs[other, flair].correlation)
            yield alike - pairs[one, other].correlation if alike > 0.3 else 0.0
        for t2, t1 in product((image for image in images if roles[image] == "t2"), t1s):
            # What is bright on FLAIR is bright on T2 rather than dark; on T1 it is the reverse.
            as_flair = pairs[t2, flair].both_bright - pairs[t2, flair].dark_bright
            as_t1 = pairs[t2, t1].both_bright - pairs[t2, t1].dark_bright
            yield as_t1 - as_flair - (0.15 if roles[t1] == "t1ce" else 0.0)


def _pairs(samples: Sequence[np.ndarray]) -> dict[tuple[int, int], _Pair]:
    """Measure every ordered pair of images."""
    with ThreadPoolExecutor(2) as pool:  # sorting releases the interpreter's lock
        measured = pool.submit(_enhancements, samples)
        ranked = list(pool.map(ranks, samples))
        enhancement = measured.result()
    bright = [rank >= 1 - _EXTREME for rank in ranked]
    dark = [rank < _EXTREME for rank in ranked]
    correlation = np.atleast_2d(np.corrcoef(ranked))
    size = _EXTREME * samples[0].size
    return {
        (first, second): _Pair(
            both_bright=np.count_nonzero(bright[first] & bright[second]) / size,
            bright_dark=np.count_nonzero(bright[first] & dark[second]) / size,
            dark_bright=np.count_nonzero(dark[first] & bright[second]) / size,
            correlation=float(correlation[first, second]),
            enhancement=enhancement[first, second],
        )
        for first, second in permutations(range(len(samples)), 2)
    }


def _enhancements(samples: Sequence[np.ndarray]) -> dict[tuple[int, int], float]:
    """Return :attr:`_Pair.enhancement` of every ordered pair of images."""
    scaled = [_scaled(values) for values in samples]
    ends = [np.percentile(values, [99, 99.9]) for values in scaled]
    found: dict[tuple[int, int], float] = {}
    for first, second in combinations(range(len(samples)), 2):
        lower, low, middle, high, upper = _percentiles(scaled[second] - scaled[first], (0.1, 25, 50, 75, 99.9))
        extent = max(high - low, 1e-6)
        brighter, darker = (upper - middle) / extent, (middle - lower) / extent
        found[first, second] = _enhancement(ends[first], ends[second], brighter, darker)
        found[second, first] = _enhancement(ends[second], ends[first], darker, brighter)
    return found


def _enhancement(first: np.ndarray, second: np.ndarray, brighter: float, darker: float) -> float:
    """Return the larger of two logarithms of ratios, each for one voxel in a thousand on either side.

    One compares how far the brightest voxels of both images are from the median; the other, in the difference of the
    images, the voxels that are brighter in the second with those that are brighter in the first.

    Args:
        first: The 99th and the 99.9th percentile of the first image.
        second: The same of the second one.
        brighter: How far from its median the difference is exceeded by one voxel in a thousand.
        darker: The same below its median.
    """
    (first_high, first_top), (second_high, second_top) = first, second
    clipped = first_top - first_high < 0.01 * first_top or second_top - second_high < 0.01 * second_top
    if clipped or min(brighter, darker, first_top, second_top) <= 0:
        return 0.0
    return float(max(np.log(brighter / darker), np.log(second_top / first_top)))


def _percentiles(values: np.ndarray, shares: Sequence[float]) -> list[float]:
    return [float(each) for each in np.percentile(values, shares)]


def _scaled(values: np.ndarray) -> np.ndarray:
    """Return values of median 0 and interquartile range 1."""
    lower, middle, upper = _percentiles(values, (25, 50, 75))
    return (values - middle) / max(upper - lower, 1e-6)
