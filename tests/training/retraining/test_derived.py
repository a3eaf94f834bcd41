from pathlib import Path

import numpy as np
import pytest

from training.preparation.normalize import zscore
from training.preparation.store import PreparedCase, PreparedStore
from training.retraining.derived import derivations, derive, prepare_derived

SHAPE = (40, 48, 32)


def head(seed: int, tumor_at: tuple[int, int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """A head with a cube of edema (2) around enhancing tumor (3), bright on T1ce and FLAIR."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    brain = (x[:, None, None] / 18) ** 2 + (y[None, :, None] / 22) ** 2 + (z[None, None, :] / 14) ** 2 < 1
    image = rng.normal(100, 5, (*SHAPE, 4)).astype(np.float32)
    label = np.zeros(SHAPE, np.uint8)
    if tumor_at is not None:
        for value, size in ((2, 5), (3, 3)):
            label[tuple(slice(at - size, at + size) for at in tumor_at)] = value
    label[~brain] = 0
    image[label == 2, 3] = 200
    image[label == 3, 1] = 250
    return zscore(image, brain), label


@pytest.fixture
def cases(tmp_path: Path) -> list[PreparedCase]:
    store = PreparedStore(tmp_path / "prepared")
    tumors = ((12, 24, 16), (28, 20, 14), (20, 32, 18))
    return [
        store.put(f"case{number}", *head(number, tumor), key=f"key {number}") for number, tumor in enumerate(tumors)
    ]


def test_a_head_without_tumor_gets_that_of_the_donor_with_its_intensities() -> None:
    for seed in range(5):
        image, label = derive(np.random.default_rng(seed), head(0, None), head(1, (12, 24, 16)))

        assert {2, 3} <= set(np.unique(label)), f"seed {seed}"
        healthy = (label == 0) & np.any(image != 0, axis=-1)
        assert image[label == 3, 1].mean() > image[healthy, 1].mean() + 2
        assert image[label == 2, 3].mean() > image[healthy, 3].mean() + 1.5


def test_a_derived_head_is_normalized_labeled_inside_the_brain_only_and_keeps_the_grid() -> None:
    image, label = derive(np.random.default_rng(0), head(0, (28, 20, 14)), head(1, (12, 24, 16)))

    brain = np.any(image != 0, axis=-1)
    assert image.shape == (*SHAPE, 4)
    assert label.shape == SHAPE
    assert not label[~brain].any()
    np.testing.assert_allclose(image[brain].mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(image[brain].std(axis=0), 1, atol=1e-3)


def test_a_missing_modality_stays_missing() -> None:
    image, label = head(0, (28, 20, 14))
    image[..., 2] = 0

    derived, _ = derive(np.random.default_rng(0), (image, label), head(1, (12, 24, 16)))

    assert not derived[..., 2].any()
    assert derived[..., 3].any()


def test_donors_are_other_cases_and_a_new_case_changes_only_the_heads_it_gives_its_tumor_to(
    cases: list[PreparedCase],
) -> None:
    before = {(d.host.id, d.number): d for d in derivations(cases[:2], 12)}
    after = {(d.host.id, d.number): d for d in derivations(cases, 12)}

    assert all(d.donor is None or d.donor.id != d.host.id for d in after.values())
    assert {d.donor.id for d in after.values() if d.donor} == {"case0", "case1", "case2"}
    changed = [d for place, d in after.items() if place in before and d.id != before[place].id]
    assert changed
    assert all(d.donor is not None and d.donor.id == "case2" for d in changed)


def test_derived_heads_of_one_case_have_no_donor(cases: list[PreparedCase]) -> None:
    assert [d.donor for d in derivations(cases[:1], 4)] == [None] * 4


def test_derived_heads_are_made_once_and_alike(cases: list[PreparedCase], tmp_path: Path) -> None:
    wanted = derivations(cases, 2)
    told: list[tuple[int, int]] = []
    first = prepare_derived(PreparedStore(tmp_path / "first"), wanted, 1, lambda *done: told.append(done))
    again = prepare_derived(PreparedStore(tmp_path / "first"), wanted, 1, lambda *done: told.append(done))
    other = prepare_derived(PreparedStore(tmp_path / "second"), wanted, 1)

    assert told == [(number, 6) for number in range(1, 7)]
    assert [case.id for case in first] == [case.id for case in again]
    for one, two in zip(first, other, strict=True):
        np.testing.assert_array_equal(one.image(), two.image())
        np.testing.assert_array_equal(one.label(), two.label())
