from pathlib import Path

import pytest

from tests import synthetic
from training.cases.find import find_cases
from training.learning.hospital import Hospital
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.phantoms.generate import GENERATOR_VERSION, generate, phantom_id
from training.preparation.store import PreparedStore, _phantom_key, prepare_phantom
from training.retraining.config import RetrainConfig
from training.retraining.corrections import EVALUATION_SEEDS

QUICK = RetrainConfig(
    max_epochs=1, steps_per_epoch=2, batch_size=1, patch=32, replay=0, derived=0, judge_phantoms=1, learning_rate=1e-2
)


def a_hospital(root: Path, name: str, patients: int) -> Hospital:
    for number in range(patients):
        synthetic.write_case(root / name, f"{name}{number}")
    return Hospital(name, tuple(find_cases(root / name)[0]), "small synthetic heads")


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> list[Hospital]:
    """Two hospitals of small synthetic heads, of four and of two patients."""
    root = tmp_path_factory.mktemp("hospitals")
    return [a_hospital(root, "north", 4), a_hospital(root, "south", 3)]


def put_phantoms(work: Path) -> Path:
    """Let patches stand for the whole phantoms of a work folder, which take seconds to generate."""
    seed = EVALUATION_SEEDS[0]
    image, label, _ = prepare_phantom(generate(seed, (32, 32, 32)))
    judged = PreparedStore(work / "retraining" / "phantoms")
    judged.put(phantom_id(seed), image, label, key=_phantom_key(seed, True, "some"))
    fixed = PreparedStore(work / "evaluation" / "phantoms")
    key = f"phantom generator {GENERATOR_VERSION} seed {FIXED_SEEDS[0]} stride 2"
    fixed.put(phantom_id(FIXED_SEEDS[0]), image, label, key=key)
    return work
