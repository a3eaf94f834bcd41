import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training import rejected
from training.fitting.dataset import PatchDataset, read_patch
from training.preparation.store import PreparedStore

ROOT = Path(__file__).resolve().parents[3]


def ball(shape, center, radius):
    return np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - np.array(center), axis=-1) < radius


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Three heads of 64^3 with a small tumor in one corner each, and a healthy one; FLAIR equals the label."""
    store = PreparedStore(tmp_path_factory.mktemp("prepared"))
    rng = np.random.default_rng(0)
    made = []
    for number, center in enumerate([(14, 14, 14), (50, 14, 50), (50, 50, 14), None]):
        label = np.zeros((64, 64, 64), np.uint8)
        if center is not None:
            label[ball(label.shape, center, 8)] = 2
            label[ball(label.shape, center, 4)] = 1 + 2 * (number % 2)
        image = rng.standard_normal((*label.shape, 4)).astype(np.float32)
        image[..., 3] = label
        made.append(store.put(f"case-{number}", image, label, key="x"))
    return made


def tumor_shown(dataset, classes=(1, 2, 3)):
    """Which patches hold a voxel of these classes."""
    batches = [dataset[index][1] for index in range(len(dataset))]
    return np.concatenate([y[..., list(classes)].any(axis=(1, 2, 3, 4)) for y in batches])


def test_a_batch_is_float32_with_one_hot_labels_that_belong_to_the_image_also_when_augmented(cases):
    dataset = PatchDataset(cases, patch=(32, 48, 16), batch_size=3, steps=4, augment=False)
    for x, y in (dataset[index] for index in range(4)):
        assert x.shape == y.shape == (3, 32, 48, 16, 4)
        assert x.dtype == y.dtype == np.float32
        assert np.array_equal(y.sum(axis=-1), np.ones(y.shape[:-1]))
        assert set(np.unique(y)) == {0, 1}
        assert np.array_equal(np.argmax(y, axis=-1), x[..., 3])
    dataset = PatchDataset(cases, patch=(32, 24, 16), steps=8, seed=2, tumor_fraction=1.0, weights=[1, 1, 1, 0])
    agreement = []
    for x, y in (dataset[index] for index in range(8)):
        tumor = np.argmax(y, axis=-1) > 0
        agreement.append(x[..., 3][tumor].mean() - x[..., 3][~tumor].mean())
    assert np.median(agreement) > 1


def test_patches_hold_tumor_as_often_as_requested_small_classes_like_large_ones_and_cases_by_their_weights(cases):
    """By chance alone a patch of 16 voxels holds some tumor in under 0.3 of the draws."""
    options: dict[str, Any] = {"patch": (16, 16, 16), "batch_size": 20, "steps": 12, "augment": False}
    for fraction, low, high in ((1.0, 1.0, 1.0), (0.7, 0.66, 0.85), (0.0, 0.0, 0.3)):
        assert low <= tumor_shown(PatchDataset(cases[:3], tumor_fraction=fraction, **options)).mean() <= high
    small = PatchDataset(cases[:3], patch=(8, 8, 8), batch_size=50, steps=4, tumor_fraction=1.0, augment=False)
    assert tumor_shown(small, classes=(1, 3)).mean() > 0.5  # an eighth of the tumor's voxels
    assert not tumor_shown(PatchDataset(cases, patch=(8, 8, 8), batch_size=64, steps=4, weights=[0, 0, 0, 2.0])).any()


def test_patches_are_copies_and_padded_with_background_outside_the_case(cases):
    x, y = PatchDataset(cases[:1], patch=(96, 48, 80), steps=1, tumor_fraction=0, augment=False)[0]
    assert not x[:, :16].any()
    assert not x[:, 80:].any()
    assert np.all(y[:, :16, ..., 0] == 1)
    assert x[:, 16:80, :, 8:72].any()
    assert y[..., 1:].sum() > 0
    array = np.arange(1, 28, dtype=np.float16).reshape(3, 3, 3)
    patch = read_patch(array, np.array([-1, 1, 2]), (3, 3, 3))
    assert np.array_equal(patch[1:, :2, :1], array[:2, 1:, 2:])
    assert np.count_nonzero(patch) == 4
    mapped = read_patch(cases[0].image(), np.array([0, 0, 0]), (16, 16, 16))
    assert not isinstance(mapped, np.memmap)
    assert mapped.flags.owndata


def test_a_batch_depends_on_seed_epoch_and_index_alone_and_wrong_arguments_are_rejected(cases):
    one, other, third = (PatchDataset(cases, patch=(32, 32, 32), seed=seed) for seed in (5, 5, 6))
    other[3]  # earlier reads make no difference
    first = one[1]
    assert all(np.array_equal(a, b) for a, b in zip(first, other[1], strict=True))
    one.on_epoch_end()
    assert one.epoch == 1
    assert not any(np.array_equal(first[0], x) for x in (other[2][0], third[1][0], one[1][0]))
    one.epoch = 0
    assert np.array_equal(one[1][0], first[0])
    weights = ([1.0], [0, 0, 0, 0], [1, -1, 1, 1], [1, float("nan"), 1, 1])
    wrong = [("patch", (16, 16)), ("patch", (16, 0, 16)), ("batch_size", 0), ("steps", 0), ("tumor_fraction", 1.5)]
    for field, value in [*wrong, ("cases", []), *(("weights", value) for value in weights)]:
        with rejected("", field):
            PatchDataset(**{"cases": cases, field: value})


@pytest.mark.parametrize("workers", [0, 3])
def test_keras_trains_on_it_with_any_number_of_workers(cases, workers):
    import keras

    seen: list[tuple[int, int]] = []

    class Recorder(PatchDataset):
        def __getitem__(self, index):
            seen.append((self.epoch, index))
            return super().__getitem__(index)

    dataset = Recorder(cases, patch=(16, 16, 16), steps=4, workers=workers)
    model = keras.Sequential([keras.layers.Conv3D(4, 1)])
    model.compile(optimizer="sgd", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    # Keras makes a dry pass before the first epoch and counts it, so a reproducible training sets the epoch itself.
    set_epoch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(dataset, "epoch", epoch + 10))
    history = model.fit(dataset, epochs=3, shuffle=False, verbose=0, callbacks=[set_epoch])
    assert (len(history.history["loss"]), dataset.epoch) == (3, 13)
    drawn = sorted((epoch, index) for epoch, index in seen if epoch >= 10)
    assert drawn == [(epoch, index) for epoch in (10, 11, 12) for index in range(4)]


_MEASURE = """
import json, sys, psutil
from pathlib import Path
from training.fitting.dataset import PatchDataset
from training.preparation.store import PreparedStore
store = PreparedStore(Path(sys.argv[1]))
names, process, peaks = store.ids(), psutil.Process(), []
for count in (10, 100):
    dataset = PatchDataset([store.get(name) for name in names[:count]], patch=(48, 48, 48), steps=60, workers=0)
    peaks.append(max(len(dataset[index]) and process.memory_info().rss for index in range(len(dataset))))
print(json.dumps([len(names), *peaks]))
"""


def test_memory_with_a_hundred_cases_equals_that_with_ten(tmp_path):
    """Measured in a process of its own, with cases of a brain's size: together far more than the tolerance."""
    store = PreparedStore(tmp_path / "prepared")
    image = np.random.default_rng(0).standard_normal((96, 112, 96, 4)).astype(np.float16)
    label = np.where(ball(image.shape[:3], (48, 56, 48), 14), 2, 0).astype(np.uint8)
    first = store.put("case-000", image, label, key="x")
    for number in range(1, 100):  # linked, not copied, to save a gigabyte of disk; mapped separately all the same
        folder = store.put(f"case-{number:03d}", image[:2, :2, :2], label[:2, :2, :2], key="x").image_path.parent
        for file in ("image.npy", "label.npy", "aims.npy"):
            (folder / file).unlink()
            os.link(first.image_path.parent / file, folder / file)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _MEASURE, str(store.folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, timeout=600)
    count, ten, hundred = json.loads(done.stdout.splitlines()[-1])
    assert count == 100
    assert hundred < 1.05 * ten
    assert 90 * image.nbytes > 0.5 * ten  # 100 cases of 8 MB each: keeping them would show
