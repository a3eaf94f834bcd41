import numpy as np

from training.phantoms import atlas
from training.phantoms.atlas import load_atlas


def test_the_atlas_is_cached_a_damaged_cache_replaced_and_one_that_cannot_be_written_not_needed(monkeypatch, tmp_path):
    cache, load_uncached = tmp_path / "cache" / "atlas.npz", load_atlas.__wrapped__
    monkeypatch.setattr(atlas, "_cache_path", lambda: cache)
    built = load_uncached()
    assert cache.is_file()
    monkeypatch.setattr(atlas, "build_atlas", None)  # would fail if it were called
    cached = load_uncached()
    for name in ("csf", "white", "depth", "ventricle", "vessel", "deep", "origin"):
        assert np.array_equal(getattr(built, name), getattr(cached, name)), name
    monkeypatch.setattr(atlas, "build_atlas", lambda: built)  # which takes seconds
    cache.write_bytes(b"PK\x03\x04 not really a zip file")
    assert np.array_equal(load_uncached().csf, built.csf)
    with np.load(cache) as mended:
        assert mended["csf"].shape == built.csf.shape
    cache.unlink()
    cache.parent.rmdir()
    cache.parent.write_text("a file where the folder should be")
    assert load_uncached().csf.shape == built.csf.shape
