import numpy as np
import pytest

from tests.training import rejected
from training.labels import region_mask
from training.learning import made
from training.learning.alterations import FLAIR, T1, T1CE, T2
from training.learning.made import MADE, make_hospital, make_phantom
from training.phantoms.fixed_seeds import HOSPITAL_SEEDS, refuse_fixed
from training.phantoms.generate import Phantom, generate

#: A patch with a lot of each label stands for the whole head, which takes seconds to generate.
SHAPE = (96, 96, 96)


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return next(
        phantom
        for seed in range(700_000_003, 700_000_020)
        if all(np.count_nonzero((phantom := generate(seed, SHAPE)).label == value) > 4000 for value in (1, 2, 3))
    )


@pytest.fixture(scope="module")
def altered(plain: Phantom) -> dict[str, Phantom]:
    return {name: recipe.alter(plain, np.random.default_rng(3)) for name, recipe in MADE.items()}


@pytest.mark.parametrize("name", MADE)
def test_an_alteration_is_deterministic_valid_and_leaves_the_phantom_alone(plain, altered, name):
    before = plain.image.copy(), plain.label.copy()
    again = MADE[name].alter(plain, np.random.default_rng(3))
    assert np.array_equal(again.image, altered[name].image)
    assert np.array_equal(again.label, altered[name].label)
    assert np.array_equal(plain.image, before[0])
    assert np.array_equal(plain.label, before[1])
    assert (again.image.shape, again.image.dtype, again.label.dtype) == (plain.image.shape, np.float32, np.uint8)
    assert np.isfinite(again.image).all()
    assert set(np.unique(again.label)) - {0} == set(MADE[name].labels)
    assert not again.label[~plain.brain].any()
    assert not again.image[~plain.brain].any()
    assert np.array_equal(again.image > 0, plain.image > 0)
    assert (again.image[again.image > 0] >= 1).all()


def changed_roles(plain: Phantom, other: Phantom) -> set[int]:
    return {channel for channel in range(4) if not np.allclose(plain.image[..., channel], other.image[..., channel])}


def test_another_protocol_changes_the_contrast_of_t1_and_the_slices_of_flair_and_t2(plain, altered):
    other = altered["protocol"]
    assert changed_roles(plain, other) == {T1, T1CE, T2, FLAIR}
    assert np.array_equal(other.label, plain.label)
    for channel in (T1, T1CE):  # a curve keeps the order of the voxels
        order = np.argsort(plain.image[plain.brain][:, channel])
        assert (np.diff(other.image[plain.brain][order, channel]) >= -1e-2).all()
    for channel, axis in ((FLAIR, 0), (T2, 1)):  # thick slices: neighbors across them are alike
        inner = other.image[30:66, 30:66, 30:66, channel]
        plain_inner = plain.image[30:66, 30:66, 30:66, channel]
        assert np.abs(np.diff(inner, axis=axis)).mean() < 0.6 * np.abs(np.diff(plain_inner, axis=axis)).mean()


def test_the_habit_is_a_generous_edema_and_no_necrosis_on_the_same_images(plain, altered):
    habit = altered["habit"]
    assert not changed_roles(plain, habit)
    assert np.array_equal(habit.label == 3, region_mask(plain.label, "TC"))
    more = (habit.label > 0) & (plain.label == 0)
    assert more.sum() > 0.05 * (plain.label > 0).sum()
    assert (habit.label[more] == 2).all()
    assert (habit.label > 0)[plain.label > 0].all()


def test_a_cavity_is_fluid_within_blood_and_takes_away_tumor_that_is_then_not_labeled(plain, altered):
    surgery = altered["surgery"]
    gone = (plain.label > 0) & (surgery.label == 0)
    assert 1000 < gone.sum() < (plain.label > 0).sum()
    assert not ((plain.label == 0) & (surgery.label > 0)).any()
    assert changed_roles(plain, surgery) == {T1, T1CE, T2, FLAIR}
    here = np.abs(surgery.image - plain.image)[..., T1] > 1
    brain = plain.image[plain.brain]
    assert np.median(surgery.image[gone][:, T2]) > np.percentile(brain[:, T2], 80)
    assert np.percentile(surgery.image[here][:, T1], 97) > np.percentile(brain[:, T1], 85)


def test_only_flair_is_poor(plain, altered):
    poor = altered["poor-flair"]
    assert changed_roles(plain, poor) == {FLAIR}
    assert np.array_equal(poor.label, plain.label)


def test_made_cases_are_read_like_any_case_and_made_once(plain, altered, tmp_path, monkeypatch):
    seeds: list[int] = []

    def quick(name: str, seed: int) -> Phantom | None:
        seeds.append(seed)
        return altered[name] if seed % 3 else None  # every third holds too little tumor

    monkeypatch.setattr(made, "make_phantom", quick)
    hospital = make_hospital("habit", tmp_path, 3, workers=1)
    first = HOSPITAL_SEEDS[0] + 1000
    accepted = [seed for seed in range(first, first + 10) if seed % 3][:3]
    assert [case.id for case in hospital.cases] == [f"habit-{seed}" for seed in accepted]
    assert len({case.patient for case in hospital.cases}) == 3
    label = hospital.cases[0].read_label()
    assert set(np.unique(label.data)) == {0, 2, 3}
    assert np.count_nonzero(label.data) == np.count_nonzero(altered["habit"].label)
    assert hospital.cases[0].read("flair").grid.matches(label.grid)
    tried = len(seeds)
    assert [case.id for case in make_hospital("habit", tmp_path, 3, workers=1).cases] == [
        case.id for case in hospital.cases
    ]
    assert set(seeds[tried:]) <= {seed for seed in seeds if seed % 3 == 0}
    with rejected("known are protocol, habit", field="made"):
        make_hospital("east", tmp_path, 3)


def test_a_head_with_too_little_of_a_label_is_passed_over(monkeypatch, plain):
    monkeypatch.setattr(made, "generate", lambda seed: plain)
    assert make_phantom("habit", 5) is not None
    healthy = generate(5, SHAPE, tumor=False)
    monkeypatch.setattr(made, "generate", lambda seed: healthy)
    assert make_phantom("habit", 5) is None


def test_seeds_of_made_hospitals_are_refused_in_training():
    with rejected("reserved for evaluation", field="seeds"):
        refuse_fixed([5, HOSPITAL_SEEDS[0]])
    refuse_fixed([5, HOSPITAL_SEEDS[-1] + 1])
