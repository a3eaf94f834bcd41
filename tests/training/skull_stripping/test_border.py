import numpy as np

from training.skull_stripping.border import without_rim

SHAPE = (90, 90, 90)
AWAY = np.linalg.norm(np.indices(SHAPE).T - 44.5, axis=-1).T
BRAIN, MASK = AWAY <= 32, AWAY <= 41


def head() -> tuple[np.ndarray, np.ndarray]:
    """Return T1 and FLAIR: the brain, 5 voxels of fluid and bone, 4 of scalp, and air."""
    t1 = np.where(BRAIN, 100.0, np.where(AWAY <= 37, 20.0, np.where(AWAY <= 41, 150.0, 0.0)))
    flair = np.where(BRAIN, 80.0, np.where(AWAY <= 37, 15.0, np.where(AWAY <= 41, 90.0, 0.0)))
    return t1, flair


def test_fluid_bone_and_scalp_are_removed_but_for_one_voxel():
    found = without_rim(MASK, *head(), np.ones(SHAPE, bool))
    assert found[AWAY <= 32].all()
    assert not found[AWAY > 34].any()


def test_what_is_dark_on_t1_alone_stays():
    t1, flair = head()
    necrosis = BRAIN & (np.indices(SHAPE)[0] > 66)
    t1[necrosis], flair[necrosis] = 20, 110
    assert without_rim(MASK, t1, flair, np.ones(SHAPE, bool))[necrosis].all()


def test_nothing_is_removed_where_flair_was_not_scanned():
    covered = np.indices(SHAPE)[2] < 45
    found = without_rim(MASK, *head(), covered)
    assert found[MASK & ~covered].mean() > 0.95
    assert not found[(AWAY > 35) & (np.indices(SHAPE)[2] < 35)].any()


def test_a_tight_mask_stays_as_it_is():
    found = without_rim(BRAIN, *head(), np.ones(SHAPE, bool))
    assert np.mean(found != BRAIN) < 0.001
    assert not without_rim(np.zeros(SHAPE, bool), *head(), np.ones(SHAPE, bool)).any()


def test_scalp_is_removed_behind_bone_that_thick_slices_of_flair_do_not_show():
    t1, flair = head()
    scalp = (AWAY > 37) & (AWAY <= 44)
    t1[scalp], flair[(AWAY > 32) & (AWAY <= 44)] = 150, 70
    cap = scalp & (np.indices(SHAPE)[2] > 60)
    found = without_rim((AWAY <= 37) | cap, t1, flair, np.ones(SHAPE, bool))
    assert found[BRAIN].all()
    assert not found[AWAY > 40].any()


def test_a_part_of_the_brain_that_fluid_surrounds_stays():
    t1, flair = head()
    t1[BRAIN & (np.abs(np.indices(SHAPE)[2] - 30) < 2)] = 20
    assert without_rim(MASK, t1, flair, np.ones(SHAPE, bool))[BRAIN].all()
