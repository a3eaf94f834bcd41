"""A tiny recipe: 8 filters, 2 levels, patches of 32, two phantoms per stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training.recipes.recipe import Recipe, load_recipe

STAGE = """
[[stage]]
name = "{name}"
phantoms = {{ first = 0, count = 2 }}
max_epochs = {epochs}
steps_per_epoch = 2
batch_size = 1
patch = 32
precision = "float32"
workers = 0
"""
HEAD = """
description = "tiny"
[network]
base_filters = 8
max_filters = 8
levels = 2
[validation]
first = 10
count = 1
"""


def tiny(*stages: str, epochs: int = 1) -> str:
    """Return the text of a recipe with these stages."""
    return HEAD + "".join(STAGE.format(name=name, epochs=epochs) for name in stages)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_recipe(text: str) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return path

    return write_recipe


@pytest.fixture
def load(write: Callable[[str], Path]) -> Callable[[str], Recipe]:
    return lambda text: load_recipe(str(write(text)))
