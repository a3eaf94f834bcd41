from collections.abc import Callable
from pathlib import Path

import pytest

from training.atomic import write_text
from training.recipes.recipe import Recipe, load_recipe

STAGE = """
[[stage]]
name = "{name}"
phantoms = {{ first = 0, count = 2 }}
max_epochs = {epochs}
steps_per_epoch = 2\nbatch_size = 1\npatch = 32\nprecision = "float32"\nworkers = 0
"""
HEAD = """
description = "tiny"
[network]\nbase_filters = 8\nmax_filters = 8\nlevels = 2
[validation]\nfirst = 10\ncount = 1
"""


def tiny(*stages: str, epochs: int = 1) -> str:
    """Return the text of a recipe with these stages."""
    return HEAD + "".join(STAGE.format(name=name, epochs=epochs) for name in stages)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    return lambda text: write_text(tmp_path / "tiny.toml", text)


@pytest.fixture
def load(write: Callable[[str], Path]) -> Callable[[str], Recipe]:
    return lambda text: load_recipe(str(write(text)))
