import numpy as np
import pytest

from tests.training import rejected
from training.phantoms.generate import GENERATOR_VERSION
from training.preparation.store import PreparedStore, prepare_phantom, prepare_phantoms

LABEL = np.zeros((32, 48, 16), np.uint8)
LABEL[8:24, 8:24, 4:12] = 2
LABEL[12:20, 12:20, 6:10] = 1
LABEL[12:14, 12:14, 6:8] = 3
IMAGE = np.random.default_rng(0).standard_normal((*LABEL.shape, 4)).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    return PreparedStore(tmp_path / "prepared")


def test_a_stored_case_comes_back_memory_mapped_and_is_written_again_only_under_another_key(store):
    store.put("case-1", IMAGE, LABEL, key="a")
    case = PreparedStore(store.folder).get("case-1")
    assert case.shape == LABEL.shape
    assert isinstance(case.image(), np.memmap)
    assert isinstance(case.label(), np.memmap)
    assert np.array_equal(case.image(), IMAGE.astype(np.float16))
    assert np.array_equal(case.label(), LABEL)
    classes = LABEL[tuple(case.tumor_index.T)]  # patch targets
    assert [np.count_nonzero(classes == value) for value in range(4)] == [0, np.sum(LABEL == 1), 256, 8]
    old = store.put("case-1", IMAGE, LABEL, key="a")
    before, mapped = old.image_path.stat().st_mtime_ns, old.image()
    again = store.put("case-1", IMAGE, LABEL, key="a")
    assert (again.image_path, again.image_path.stat().st_mtime_ns) == (old.image_path, before)
    new = store.put("case-1", IMAGE + 1, LABEL, key="b")
    assert ((store.has("case-1", "b"), store.has("case-1", "a")), store.ids()) == ((True, False), ["case-1"])
    assert np.array_equal(new.image(), (IMAGE + 1).astype(np.float16))
    assert np.array_equal(mapped, IMAGE.astype(np.float16))  # a reader of the old version keeps it
    store.put("case", IMAGE, LABEL, key="a")
    store.remove("case")  # not the one whose id begins alike
    assert store.ids() == ["case-1"]
    assert store.put("healthy", IMAGE, np.zeros_like(LABEL), key="a").tumor_index.shape == (0, 3)


def test_invalid_ids_unknown_cases_and_unusable_labels_are_errors_and_a_failed_write_leaves_nothing(store, monkeypatch):
    for bad in ("../x", "a.b", "", "a/b", "x" * 65):
        with rejected("letters, digits", "id"):
            store.put(bad, IMAGE, LABEL, key="a")
    assert not store.folder.exists()
    with rejected("nobody"):
        store.get("nobody")
    for message, label in (("do not fit", LABEL[:-1]), ("value 4", np.where(LABEL == 3, 4, LABEL))):
        with rejected(message):
            store.put("case-1", IMAGE, label, key="a")
    monkeypatch.setattr("training.preparation.store.publish_folder", None)  # fails when it is called
    with pytest.raises(TypeError):
        store.put("case-1", IMAGE, LABEL, key="a")
    assert list(store.folder.iterdir()) == store.ids() == []


def test_a_phantom_is_prepared_once_z_scored_and_padded_to_the_stride(store, phantom_head):
    image, label, brain = prepare_phantom(phantom_head)
    assert all(side % 16 == 0 for side in label.shape)
    assert image.shape == (*label.shape, 4)
    assert not image[~brain].any()
    assert np.allclose(image[brain].mean(axis=0), 0, atol=1e-3)
    assert np.allclose(image[brain].std(axis=0), 1, atol=1e-3)
    assert label.sum() == phantom_head.label.sum()
    told: list[tuple[int, int]] = []
    for _ in range(2):
        (case,) = prepare_phantoms(store, [3], workers=1, on_progress=lambda done, total: told.append((done, total)))
    assert np.array_equal(case.image(), image.astype(np.float16))
    assert np.array_equal(case.label(), label)
    assert (case.id, told) == ("phantom-00000003", [(1, 1)])
    assert str(GENERATOR_VERSION) in case.key
