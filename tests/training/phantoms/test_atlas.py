"""The atlas and its cache."""

from pathlib import Path

import numpy as np
import pytest

from training.phantoms import atlas
from training.phantoms.atlas import load_atlas

load_uncached = load_atlas.__wrapped__


@pytest.fixture
def cache(monkeypatch, tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "atlas.npz"
    monkeypatch.setattr(atlas, "_cache_path", lambda: path)
    return path


def test_the_atlas_is_the_same_from_the_cache_as_newly_built(cache, monkeypatch):
    built = load_uncached()
    assert cache.is_file()
    monkeypatch.setattr(atlas, "build_atlas", None)  # would fail if it were called
    cached = load_uncached()
    for name in ("csf", "white", "depth", "ventricle", "vessel", "deep", "origin"):
        assert np.array_equal(getattr(built, name), getattr(cached, name)), name


def test_a_damaged_cache_is_replaced_and_one_that_cannot_be_written_is_not_needed(cache, monkeypatch):
    ready = load_atlas()
    monkeypatch.setattr(atlas, "build_atlas", lambda: ready)  # which takes seconds
    cache.parent.mkdir()
    cache.write_bytes(b"PK\x03\x04 not really a zip file")
    assert np.array_equal(load_uncached().csf, ready.csf)
    with np.load(cache) as mended:
        assert mended["csf"].shape == ready.csf.shape
    cache.unlink()
    cache.parent.rmdir()
    cache.parent.write_text("a file where the folder should be")
    assert load_uncached().csf.shape == ready.csf.shape
