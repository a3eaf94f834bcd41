"""The store of prepared cases: one complete version per case, mapped from disk."""

from __future__ import annotations

import numpy as np
import pytest

from training.errors import InputError
from training.phantoms.generate import GENERATOR_VERSION, generate
from training.preparation.store import PreparedStore, prepare_phantom, prepare_phantoms


@pytest.fixture
def store(tmp_path):
    return PreparedStore(tmp_path / "prepared")


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    label = np.zeros((32, 48, 16), np.uint8)
    label[8:24, 8:24, 4:12] = 2
    label[12:20, 12:20, 6:10] = 1
    label[12:14, 12:14, 6:8] = 3
    return rng.standard_normal((32, 48, 16, 4)).astype(np.float32), label


def test_a_stored_case_comes_back_in_half_precision(store, arrays):
    image, label = arrays
    store.put("case-1", image, label, key="a")
    case = PreparedStore(store.folder).get("case-1")
    assert case.shape == (32, 48, 16)
    assert np.array_equal(case.image(), image.astype(np.float16))
    assert np.array_equal(case.label(), label)


def test_arrays_are_mapped_rather_than_read(store, arrays):
    case = store.put("case-1", *arrays, key="a")
    assert isinstance(case.image(), np.memmap)
    assert isinstance(case.label(), np.memmap)


def test_a_case_with_the_same_key_is_not_written_again(store, arrays):
    first = store.put("case-1", *arrays, key="a")
    before = first.image_path.stat().st_mtime_ns
    again = store.put("case-1", *arrays, key="a")
    assert again.image_path == first.image_path
    assert again.image_path.stat().st_mtime_ns == before


def test_a_case_with_another_key_replaces_the_old_version(store, arrays):
    image, label = arrays
    old = store.put("case-1", image, label, key="a")
    mapped = old.image()
    new = store.put("case-1", image + 1, label, key="b")
    assert store.has("case-1", "b")
    assert not store.has("case-1", "a")
    assert store.ids() == ["case-1"]
    assert np.array_equal(new.image(), (image + 1).astype(np.float16))
    assert np.array_equal(mapped, image.astype(np.float16))  # whoever reads the old one goes on reading it


def test_an_id_that_begins_like_another_is_another_case(store, arrays):
    store.put("case", *arrays, key="a")
    store.put("case-1", *arrays, key="a")
    store.remove("case")
    assert store.ids() == ["case-1"]


def test_tumor_voxels_are_remembered_for_each_class(store, arrays):
    image, label = arrays
    case = store.put("case-1", image, label, key="a")
    classes = label[tuple(case.tumor_index.T)]
    assert np.all(classes > 0)
    assert np.sum(classes == 3) == 8  # all there are
    assert np.sum(classes == 2) == np.sum(classes == 1) * 256 // min(256, np.sum(label == 1))


def test_a_case_without_tumor_has_no_tumor_voxels(store, arrays):
    image, label = arrays
    assert store.put("healthy", image, np.zeros_like(label), key="a").tumor_index.shape == (0, 3)


def test_nothing_half_written_is_left_or_listed(store, arrays, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("training.preparation.store.publish_folder", fail)
        with pytest.raises(OSError, match="disk full"):
            store.put("case-1", *arrays, key="a")
    assert list(store.folder.iterdir()) == []
    assert store.ids() == []


def test_an_unknown_case_is_an_error_that_names_it(store):
    with pytest.raises(InputError, match="nobody"):
        store.get("nobody")


@pytest.mark.parametrize("bad", ["../x", "a.b", "", "a/b", "x" * 65])
def test_an_id_that_is_no_slug_is_refused(store, arrays, bad):
    with pytest.raises(InputError) as caught:
        store.put(bad, *arrays, key="a")
    assert caught.value.field == "id"
    assert not store.folder.exists()


def test_a_label_that_does_not_fit_is_refused(store, arrays):
    image, label = arrays
    with pytest.raises(InputError, match="do not fit"):
        store.put("case-1", image, label[:-1], key="a")
    with pytest.raises(InputError, match="value 4"):
        store.put("case-1", image, np.where(label == 3, 4, label), key="a")


def test_a_prepared_phantom_is_z_scored_and_padded_to_the_stride():
    phantom = generate(2, (70, 60, 50))
    image, label, brain = prepare_phantom(phantom)
    assert all(side % 16 == 0 for side in label.shape)
    assert image.shape == (*label.shape, 4)
    assert not image[~brain].any()
    assert np.allclose(image[brain].mean(axis=0), 0, atol=1e-3)
    assert np.allclose(image[brain].std(axis=0), 1, atol=1e-3)
    assert label.sum() == phantom.label.sum()


def test_phantoms_are_prepared_once_and_told_about(store):
    told: list[tuple[int, int]] = []
    cases = prepare_phantoms(store, [7], workers=1, on_progress=lambda done, total: told.append((done, total)))
    assert [case.id for case in cases] == ["phantom-00000007"]
    assert str(GENERATOR_VERSION) in cases[0].key
    assert told == [(1, 1)]
    written = cases[0].image_path.stat().st_mtime_ns
    again = prepare_phantoms(store, [7], workers=1, on_progress=lambda *_: told.append((0, 0)))
    assert again[0].image_path.stat().st_mtime_ns == written
    assert told == [(1, 1)]
