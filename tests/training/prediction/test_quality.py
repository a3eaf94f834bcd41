import numpy as np
import pytest

from training.labels import REGIONS
from training.prediction.quality import OVERCONFIDENCE, expected_dice, mirrored_edema, quality_warning, uncertainty

SHAPE = (40, 24, 24)  # the tumor lies on one side
BRAIN = np.ones(SHAPE, bool)
TUMOR = np.zeros(SHAPE, bool)
TUMOR[2:18, 4:20, 4:20] = True
CORE = np.zeros(SHAPE, bool)
CORE[4:16, 6:18, 6:18] = True
ENHANCING = np.zeros(SHAPE, bool)
ENHANCING[6:14, 8:16, 8:16] = True


def labels_from(tumor=TUMOR, core=CORE, enhancing=ENHANCING) -> np.ndarray:
    return np.where(enhancing, 3, np.where(core, 1, np.where(tumor, 2, 0))).astype(np.uint8)


def sure_of(labels: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Probabilities of a network that gives each voxel's own label this probability, and the others the rest."""
    others = (1 - share) / 3
    return np.where(np.eye(4, dtype=bool)[labels], share, others).astype(np.float32)


LABELS = labels_from()


def expected(probabilities: np.ndarray, labels: np.ndarray = LABELS, *, voxel_ml: float = 1.0, **more) -> dict:
    return expected_dice(probabilities, labels, more.pop("brain", BRAIN), voxel_ml=voxel_ml, **more)


def test_a_large_tumor_of_a_sure_network_is_expected_to_be_right_and_what_is_outside_the_brain_does_not_count():
    found = expected(sure_of(LABELS))
    assert list(found) == list(REGIONS)
    assert list(found.values()) == pytest.approx([1, 1, 1], abs=1e-3)
    assert uncertainty(found) == pytest.approx(0, abs=1e-3)
    beyond = sure_of(LABELS)
    beyond[36:] = sure_of(LABELS, 0.4)[36:]
    brain = BRAIN.copy()
    brain[36:] = False
    assert expected(beyond, brain=brain) == expected(sure_of(LABELS), brain=brain)
    assert expected(beyond)["WT"] < found["WT"] - 0.1
    assert uncertainty({"WT": 0.9, "TC": 0.6, "ET": 0.3}) == pytest.approx(0.4)


def test_the_soft_dice_is_that_of_truths_drawn_from_the_probabilities():
    rng = np.random.default_rng(1)
    likely = np.where(TUMOR, 0.8, 0.1)
    probabilities = np.repeat(likely[..., None] / 3, 4, axis=-1).astype(np.float32)
    probabilities[..., 0] = 1 - likely
    truths = [rng.random(SHAPE) < likely for _ in range(50)]
    dice = [2 * np.count_nonzero(truth & TUMOR) / (truth.sum() + TUMOR.sum()) for truth in truths]
    assert expected(probabilities)["WT"] ** (1 / OVERCONFIDENCE) == pytest.approx(np.mean(dice), abs=0.01)


def test_doubt_about_reported_voxels_and_about_those_left_out_both_lower_it_for_the_region_concerned():
    sure = expected(sure_of(LABELS, 0.97))
    assert all(value < sure[region] for region, value in expected(sure_of(LABELS, 0.9)).items())
    edema_may_be_core = sure_of(LABELS)
    edema_may_be_core[LABELS == 2] = [0, 0.4, 0.6, 0]
    found = expected(edema_may_be_core)
    assert found["TC"] < 0.7 < 0.99 < found["WT"]
    assert found["ET"] > 0.99


def test_a_region_at_the_volume_where_the_rule_decides_is_a_coin_toss_reported_or_not():
    voxel_ml = 0.5 / ENHANCING.sum()
    assert expected(sure_of(LABELS), voxel_ml=voxel_ml)["ET"] == pytest.approx(0.5, abs=1e-3)
    none = labels_from(enhancing=np.zeros(SHAPE, bool))
    assert expected(sure_of(LABELS), none, voxel_ml=voxel_ml)["ET"] == pytest.approx(0.5, abs=1e-3)
    assert expected(sure_of(none), none, voxel_ml=voxel_ml)["ET"] == pytest.approx(1)
    volumes = [expected(sure_of(LABELS), voxel_ml=scale * voxel_ml)["ET"] for scale in (2, 10, 100)]
    assert volumes == sorted(volumes)


def test_what_the_images_cannot_show_is_not_expected_to_be_right():
    assert expected(sure_of(LABELS), missing=["t1ce"])["ET"] == pytest.approx(0.5, abs=1e-3)
    assert expected(sure_of(LABELS), missing=["flair"]) == expected(sure_of(LABELS))
    edema = labels_from(core=ENHANCING & False, enhancing=ENHANCING & False)
    assert expected(sure_of(edema), edema)["TC"] == 0.5
    empty = np.zeros(SHAPE, np.uint8)
    assert (expected(sure_of(empty), empty), uncertainty(expected(sure_of(empty), empty))) == (
        {"WT": 0, "TC": 0, "ET": 0},
        1,
    )


def test_symmetric_edema_far_from_the_core_scores_worse_than_one_sided_edema():
    brain = np.zeros((100, 60, 40), bool)
    brain[4:96] = True
    tumor = np.zeros(brain.shape, np.uint8)
    tumor[20:40, 10:30, 10:30] = 2
    tumor[26:34, 16:24, 16:24] = 3
    far = np.zeros(brain.shape, bool)
    far[20:40, 50:58, 10:30] = True  # more than 20 mm behind the core
    one_sided, symmetric = tumor.copy(), tumor.copy()
    one_sided[far] = 2
    symmetric[far | far[::-1]] = 2
    assert mirrored_edema(one_sided, brain, voxel_ml=0.001) == 0
    share = 2 * far.sum() / np.count_nonzero(symmetric)
    assert mirrored_edema(symmetric, brain, voxel_ml=0.001) == pytest.approx(share, abs=0.03)
    found = [
        expected(sure_of(labels), labels, brain=brain, voxel_ml=0.001)["WT"] for labels in (tumor, one_sided, symmetric)
    ]
    assert found[2] < found[0] - 0.15 < found[1] - 0.15
    butterfly = np.where(tumor > tumor[::-1], tumor, tumor[::-1])
    assert mirrored_edema(butterfly, brain, voxel_ml=0.001) == 0  # symmetric, but around a core
    without_core = np.where(symmetric > 0, 2, 0).astype(np.uint8)
    assert mirrored_edema(without_core, brain, voxel_ml=0.001) == pytest.approx(share, abs=0.03)


def test_a_poor_draft_is_told_in_one_sentence_with_the_region_to_check():
    fine = {"WT": 0.9, "TC": 0.8, "ET": 0.61}
    assert quality_warning(fine, LABELS) is None
    assert (
        quality_warning({**fine, "TC": 0.55}, LABELS)
        == "The draft is probably poor: expected Dice 0.55 for the tumor core. Check the tumor core first."
    )
    none = labels_from(enhancing=ENHANCING & False)
    assert quality_warning({**fine, "TC": 0.55, "ET": 0.41}, none) == (
        "The draft is probably poor: expected Dice 0.55 for the tumor core and 0.41 for the enhancing tumor (none is "
        "reported). Check the enhancing tumor first."
    )
    # the warning about the missing T1ce, and the one about an empty answer, say it already
    assert quality_warning({**fine, "ET": 0.3}, none, ["t1ce"]) is None
    assert quality_warning(dict.fromkeys(REGIONS, 0.0), np.zeros(SHAPE, np.uint8)) is None
