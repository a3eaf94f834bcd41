"""The quality to be expected of a segmentation: the Dice of each region, one number for its uncertainty, and a warning.

The network's probabilities say how far it doubts its own answer, and the reported volumes how much a mistake would
weigh. ``docs/quality.md`` has the measurements, and what else was tried.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from training.images.masks import bounding_box
from training.labels import REGION_NAMES, REGIONS, region_mask
from training.prediction.postprocess import MIN_ENHANCING_ML

#: Version of the estimate: uncertainties of different versions cannot be ranked with each other.
ESTIMATE = 2

#: The network is overconfident: this power of the soft Dice is close to the Dice. Fitted on altered phantoms.
OVERCONFIDENCE = 2.0

#: Volume in mL at which it is a coin toss whether a region exists at all: it is where the rule of
#: :mod:`training.prediction.postprocess` decides that for enhancing tumor.
COIN_TOSS_ML = MIN_ENHANCING_ML

#: Expected Dice of what cannot be known: enhancing tumor without T1ce, and a tumor for which no core is reported.
COIN_TOSS_DICE = 0.5

#: Edema farther than this from the core and present on both sides is taken for a false finding: coil shading makes
#: white matter bright in both hemispheres, while the edema of a glioma surrounds its core.
FAR_MM = 20.0

#: A region of which less is expected is told, with a warning.
POOR_DICE = 0.6


def expected_dice(
    probabilities: np.ndarray,
    labels: np.ndarray,
    brain: np.ndarray,
    *,
    voxel_ml: float,
    missing: Collection[str] = (),
) -> dict[str, float]:
    """Return the Dice that can be expected of each region.

    With the probability ``p`` of the region in each voxel of the brain, its reported voxels ``M`` and their volume
    ``V``, it is ``(2 * sum(p in M) / (|M| + sum(p))) ** OVERCONFIDENCE * V / (V + COIN_TOSS_ML)``. The first factor is
    the soft Dice confidence of Borges et al. 2024 (arXiv:2402.10665), which weighs false negatives and false positives
    as Dice does; the second falls for small regions, which are often right or wrong as a whole. If none is reported,
    what remains is how likely there is none: ``1 / (1 + sum(p) / COIN_TOSS_ML)``, ``sum(p)`` as a volume. That of the
    whole tumor is lowered by :func:`mirrored_edema`.

    Args:
        probabilities: ``(x, y, z, class)``, 0-1, the classes in the order of the label values, background first.
        labels: ``(x, y, z)`` uint8, the segmentation; the first axis runs from left to right.
        brain: ``(x, y, z)`` bool; what is outside does not count.
        voxel_ml: Volume of a voxel in mL.
        missing: Roles of the missing modalities.

    Returns:
        By region (``WT``, ``TC``, ``ET``), 0-1. All 0 if no tumor is reported: in a study of gliomas that is most
        likely wrong and should be reviewed first.
    """
    if not np.any(labels):
        return dict.fromkeys(REGIONS, 0.0)
    found = {region: _expected(probabilities, labels, brain, region, voxel_ml) for region in REGIONS}
    false = mirrored_edema(labels, brain, voxel_ml=voxel_ml)
    found["WT"] *= (1 - false) / (1 - false / 2)  # the Dice of a segmentation of which this share is false
    if "t1ce" in missing:
        found["ET"] *= COIN_TOSS_DICE
    if not region_mask(labels, "TC").any():  # the edema of a glioma surrounds a core
        found["TC"] = min(found["TC"], COIN_TOSS_DICE)
    return found


def mirrored_edema(labels: np.ndarray, brain: np.ndarray, *, voxel_ml: float) -> float:
    """Return the share of the tumor that is far from its core and symmetric, as false findings from coil shading are.

    Args:
        labels: ``(x, y, z)`` uint8 on isotropic voxels; the first axis runs from left to right.
        brain: ``(x, y, z)`` bool; its bounding box is mirrored.
        voxel_ml: Volume of a voxel in mL.

    Returns:
        0-1: of the reported voxels, those farther than :data:`FAR_MM` from any core (all of them if there is no core)
        whose mirror image is reported as well; on voxels of about 2 mm, which takes a tenth of a second.
    """
    from scipy import ndimage

    side = (1000 * voxel_ml) ** (1 / 3)
    step = max(1, round(2 / side))
    inside = labels[bounding_box(brain) or ...][::step, ::step, ::step]
    tumor = inside > 0
    far = tumor & tumor[::-1]
    if not far.any():
        return 0.0
    core = region_mask(inside, "TC")
    if core.any():
        far &= ndimage.distance_transform_edt(~core) * (step * side) > FAR_MM
    return float(np.count_nonzero(far) / np.count_nonzero(tumor))


def uncertainty(expected: Mapping[str, float]) -> float:
    """Return 1 minus the mean expected Dice over the regions: 0 (certain) to 1."""
    return 1.0 - sum(expected[region] for region in REGIONS) / len(REGIONS)


def quality_warning(expected: Mapping[str, float], labels: np.ndarray, missing: Collection[str] = ()) -> str | None:
    """Return one sentence if the segmentation is likely poor, else ``None``.

    Enhancing tumor without T1ce is left out: the warning about the missing modality speaks of it already.

    Args:
        expected: From :func:`expected_dice`.
        labels: The segmentation.
        missing: Roles of the missing modalities.
    """
    if not np.any(labels):
        return None  # has a warning of its own
    poor = [region for region in REGIONS if expected[region] < POOR_DICE]
    if "t1ce" in missing and "ET" in poor:
        poor.remove("ET")
    if not poor:
        return None
    named = [_named(region, expected[region], bool(region_mask(labels, region).any())) for region in poor]
    worst = min(poor, key=lambda region: expected[region])
    return f"The draft is probably poor: expected Dice {' and '.join(named)}. Check the {REGION_NAMES[worst]} first."


def _expected(probabilities: np.ndarray, labels: np.ndarray, brain: np.ndarray, region: str, voxel_ml: float) -> float:
    likely = probabilities[..., REGIONS[region][0]]
    for value in REGIONS[region][1:]:
        likely = likely + probabilities[..., value]
    everywhere = float(likely[brain].sum(dtype=np.float64))
    reported = region_mask(labels, region)
    size = int(np.count_nonzero(reported))
    if size == 0:
        return 1.0 / (1.0 + everywhere * voxel_ml / COIN_TOSS_ML)
    within = float(likely[reported].sum(dtype=np.float64))
    confidence = min(1.0, 2.0 * within / (size + everywhere))
    volume = size * voxel_ml
    return float(confidence**OVERCONFIDENCE * volume / (volume + COIN_TOSS_ML))


def _named(region: str, dice: float, reported: bool) -> str:
    text = f"{dice:.2f} for the {REGION_NAMES[region]}"
    return text if reported else f"{text} (none is reported)"
