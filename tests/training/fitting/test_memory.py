from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training import rejected
from training import hardware
from training.fitting import dataset, memory
from training.fitting.config import FitConfig, FitProgress, FitResult
from training.fitting.fit import fit
from training.fitting.memory import gigabytes, is_out_of_memory, need_of
from training.network.unet import UNetConfig
from training.preparation.store import PreparedStore

NETWORK = UNetConfig(base_filters=2, max_filters=2, levels=1)
BUNDLED = UNetConfig(base_filters=16, max_filters=128, levels=4)
CONFIG = FitConfig(
    max_epochs=2, steps_per_epoch=2, batch_size=4, patch=(16, 16, 16), augment=False, workers=0, precision="float32"
)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A machine without a GPU; returns a function that sets its free memory, in gigabytes."""
    monkeypatch.setattr(memory, "has_gpu", lambda: False)
    return lambda size: monkeypatch.setattr(memory, "free_memory_bytes", lambda: int(size * 1e9))


@pytest.mark.parametrize(("bfloat16", "measured"), [(True, 2.418e9), (False, 3.288e9)])
def test_the_estimate_lies_a_little_above_what_was_measured(cpu, monkeypatch, bfloat16: bool, measured: float) -> None:
    cpu(1000)
    monkeypatch.setattr(memory, "cpu_supports_bfloat16", lambda: bfloat16)
    assert measured < need_of(BUNDLED, 96, 2).bytes < 2 * measured
    assert need_of(BUNDLED, 96, 1).bytes < need_of(BUNDLED, 96, 2).bytes < need_of(BUNDLED, 128, 2).bytes
    assert need_of(BUNDLED, 96, 2).batch_size == 2


def test_batches_shrink_with_the_free_memory_until_none_fits_but_not_on_a_gpu(cpu, monkeypatch) -> None:
    cpu(1000)
    single, four = need_of(BUNDLED, 128, 1).bytes, need_of(BUNDLED, 128, 4).bytes
    for free, batch in ((single + 1e6, 1), (four - 1e6, 2), (single - 1e6, 0)):
        cpu(free / 1e9)
        assert need_of(BUNDLED, 128, 4).batch_size == batch
    assert gigabytes(2_340_000_000) == "2.3 GB"
    monkeypatch.setattr(memory, "has_gpu", lambda: True)
    need = need_of(BUNDLED, 256, 16)
    assert (need.batch_size, need.free_bytes) == (16, None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not hardware.has_gpu()


@pytest.mark.parametrize(
    ("limit", "used", "cached", "free"),
    [("1000", "400", "100", 700), ("1000", "1200", "0", 0), ("max", "1", "0", None)],
)
def test_the_memory_limit_of_a_container_counts(tmp_path: Path, limit: str, used: str, cached: str, free) -> None:
    assert hardware._container_free_bytes(tmp_path) is None
    for file, content in (("max", limit), ("current", used), ("stat", f"anon 5\ninactive_file {cached}")):
        (tmp_path / f"memory.{file}").write_text(f"{content}\n")
    assert hardware._container_free_bytes(tmp_path) == free
    assert hardware.free_memory_bytes() > 0


class ResourceExhaustedError(Exception):
    """Named like TensorFlow's."""


@pytest.mark.parametrize(
    "error", [MemoryError(), ResourceExhaustedError("OOM when allocating"), RuntimeError("RESOURCE_EXHAUSTED: 2 GB")]
)
def test_running_out_of_memory_is_recognized_even_if_wrapped(error: Exception) -> None:
    outer = ValueError("outer")
    outer.__cause__ = error
    assert is_out_of_memory(error)
    assert is_out_of_memory(outer)
    circle = ValueError("memory")
    circle.__cause__ = circle
    assert not is_out_of_memory(circle)
    assert not is_out_of_memory(None)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FitResult]:
    """Train while batches of more than ``limit`` patches raise ``error``, from epoch ``after`` on."""
    label = np.zeros((32, 32, 32), np.uint8)
    label[8:20, 8:20, 8:20] = 2
    image = np.random.default_rng(0).normal(size=(32, 32, 32, 4)).astype(np.float32)
    case = PreparedStore(tmp_path / "prepared").put("cube", image, label, key="1")
    original = dataset.PatchDataset.__getitem__

    def start(limit: int, error: Exception, after: int = 0, **options: Any) -> FitResult:
        def draw(self: Any, index: int) -> Any:
            if self.batch_size > limit and self.epoch >= after:
                raise error
            return original(self, index)

        monkeypatch.setattr(dataset.PatchDataset, "__getitem__", draw)
        return fit(CONFIG, NETWORK, [case], [], work_dir=tmp_path / f"{limit}-{after}", **options)

    return start


def test_batches_are_halved_until_they_fit_or_there_is_advice_and_other_errors_are_raised_at_once(train) -> None:
    told: list[int] = []
    result = train(1, MemoryError(), on_smaller_batch=told.append)
    assert (told, result.batch_size, result.epochs) == ([2, 1], 1, 2)
    seen: list[FitProgress] = []
    result = train(2, MemoryError(), after=1, on_progress=seen.append)
    assert (result.batch_size, [record["epoch"] for record in result.history]) == (2, [1, 2])
    assert [progress.epoch for progress in seen] == sorted(progress.epoch for progress in seen)
    told.clear()
    with rejected("Choose a smaller patch", "patch"):
        train(0, MemoryError(), batch_size=2, on_smaller_batch=told.append)
    assert told == [1]
    with pytest.raises(OSError, match="gone"):
        train(0, OSError("gone"), on_smaller_batch=told.append)
    assert told == [1]
