from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from training.learning.answers import Answer
from training.learning.strategies import STRATEGIES, Turn


def answer(tumor: dict[int, int], sure: float = 0.9, expected: float = 0.5) -> Answer:
    """An answer with so many voxels of each label, all equally sure."""
    labels = np.repeat(list(tumor), list(tumor.values())).astype(np.uint8).reshape(-1, 1, 1)
    probabilities = np.full((*labels.shape, 4), (1 - sure) / 3, np.float32)
    np.put_along_axis(probabilities, labels[..., None], np.float32(sure), axis=-1)
    return Answer(labels, probabilities, dict.fromkeys(("WT", "TC", "ET"), expected))


@pytest.fixture
def choose() -> Callable[..., list[str]]:
    def chosen(name: str, answers: dict[str, Answer], count: int, corrected: int = 0, order: int = 0, seed: int = 0):
        strategy = STRATEGIES[name]
        measures = {case: strategy.measure(one) if strategy.measure else np.zeros(0) for case, one in answers.items()}
        return strategy.choose(measures, Turn(count, corrected, order, np.random.default_rng(seed)))

    return chosen


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_chooses_different_cases_reproducibly_and_no_more_than_there_are(choose, name):
    answers = {f"case-{number}": answer({0: 5, 2: 3 + number, 1: 1, 3: 2}) for number in range(7)}
    first = choose(name, answers, 4)
    assert len(set(first)) == 4
    assert set(first) <= set(answers)
    assert choose(name, dict(reversed(answers.items())), 4) == first
    assert sorted(choose(name, answers, 20)) == sorted(answers)


def test_random_order_depends_on_the_seed_alone(choose):
    answers = {f"case-{number}": answer({2: 3}) for number in range(8)}
    assert len({tuple(choose("random", answers, 8, seed=seed)) for seed in range(6)}) > 1


def test_stratified_takes_small_medium_and_large_tumors_in_turn(choose):
    size = {f"case-{number}": number // 3 for number in range(9)}
    answers = {case: answer({0: 1, 2: 100 * (stratum + 1)}) for case, stratum in size.items()}
    for order in range(3):
        strata = [size[case] for case in choose("stratified", answers, 6, order=order)]
        assert strata == [(order + place) % 3 for place in range(6)]
    assert size[choose("stratified", answers, 1, corrected=2)[0]] == 2  # goes on where the stage before ended
    starts = Counter(choose("stratified", answers, 1, seed=seed)[0] for seed in range(40))
    assert len(starts) == 3


def test_least_sure_takes_the_lowest_expected_dice_first(choose):
    expected = {"a": 0.7, "b": 0.2, "c": 0.9, "d": 0.4}
    answers = {case: answer({2: 3}, expected=value) for case, value in expected.items()}
    assert choose("least-sure", answers, 3) == ["b", "d", "a"]


def test_noisy_entropy_looks_at_one_label_after_the_other_and_its_noise_fades(choose):
    answers = {
        "unsure-core": answer({1: 9}, sure=0.3),
        "unsure-edema": answer({2: 9}, sure=0.3),
        "unsure-enhancing": answer({3: 9}, sure=0.3),
        "sure": answer({1: 9, 2: 9, 3: 9}, sure=0.999),
    }
    for order, case in enumerate(("unsure-core", "unsure-edema", "unsure-enhancing")):
        assert choose("noisy-entropy", answers, 1, corrected=300, order=order) == [case]
    close = {f"case-{number}": answer({1: 9}, sure=0.3 + 0.02 * number) for number in range(6)}
    early = Counter(choose("noisy-entropy", close, 1, seed=seed)[0] for seed in range(60))
    late = Counter(choose("noisy-entropy", close, 1, corrected=3000, seed=seed)[0] for seed in range(60))
    assert len(early) > 2
    assert len(late) == 1
