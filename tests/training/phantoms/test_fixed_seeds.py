import pytest

from tests.training import rejected
from training.phantoms.fixed_seeds import DISTRACTOR_SEEDS, FIXED_SEEDS, HEALTHY_SEEDS, refuse_fixed
from training.preparation.store import PreparedStore, prepare_phantoms


@pytest.mark.parametrize("seeds", [FIXED_SEEDS, HEALTHY_SEEDS, DISTRACTOR_SEEDS])
def test_evaluation_phantoms_are_rejected_for_training(seeds, tmp_path):
    with rejected(f"Phantom {seeds[-1]} is reserved for evaluation"):
        prepare_phantoms(PreparedStore(tmp_path), [1, seeds[-1]])
    assert list(tmp_path.iterdir()) == []
    refuse_fixed([1000, 900_000, FIXED_SEEDS[-1] + 1])
