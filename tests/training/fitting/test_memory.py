"""Memory: estimated before a training, and half as many patches per batch where it has run out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import hardware
from training.errors import InputError
from training.fitting import dataset, memory
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.fitting.memory import gigabytes, is_out_of_memory, need_of
from training.network.unet import UNetConfig
from training.preparation.store import PreparedCase, PreparedStore

NETWORK = UNetConfig(base_filters=4, max_filters=8, levels=2)
BUNDLED = UNetConfig(base_filters=16, max_filters=128, levels=4)
CONFIG = FitConfig(max_epochs=3, steps_per_epoch=2, batch_size=4, patch=(16, 16, 16), augment=False, workers=0)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine without a GPU; returns a function that sets its free memory, in gigabytes."""
    monkeypatch.setattr(memory, "has_gpu", lambda: False)
    return lambda size: monkeypatch.setattr(memory, "free_memory_bytes", lambda: int(size * 1e9))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> PreparedCase:
    store = PreparedStore(tmp_path_factory.mktemp("prepared"))
    rng = np.random.default_rng(0)
    label = np.zeros((32, 32, 32), np.uint8)
    label[8:20, 8:20, 8:20] = 2
    return store.put("cube", rng.normal(size=(32, 32, 32, 4)).astype(np.float32), label, key="1")


# === The estimate ===


def test_more_patches_and_larger_ones_need_more(cpu: Any) -> None:
    cpu(1000)
    needs = [need_of(BUNDLED, 96, 1).bytes, need_of(BUNDLED, 96, 2).bytes, need_of(BUNDLED, 128, 2).bytes]
    assert needs == sorted(needs)
    assert need_of(BUNDLED, 96, 2).batch_size == 2


def test_the_estimate_is_above_what_was_measured_and_not_far_above(cpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu(1000)
    monkeypatch.setattr(hardware, "cpu_multiplies_bfloat16", lambda: True)
    assert 2.418e9 < need_of(BUNDLED, 96, 2).bytes < 2 * 2.418e9
    monkeypatch.setattr(hardware, "cpu_multiplies_bfloat16", lambda: False)
    assert 3.288e9 < need_of(BUNDLED, 96, 2).bytes < 2 * 3.288e9


def test_where_memory_is_short_the_batches_get_smaller_until_none_fits(cpu: Any) -> None:
    cpu(1000)
    single, four = need_of(BUNDLED, 128, 1).bytes, need_of(BUNDLED, 128, 4).bytes
    cpu((single + 1e6) / 1e9)
    assert need_of(BUNDLED, 128, 4).batch_size == 1
    cpu((four - 1e6) / 1e9)
    assert need_of(BUNDLED, 128, 4).batch_size == 2
    cpu((single - 1e6) / 1e9)
    assert need_of(BUNDLED, 128, 4).batch_size == 0


def test_on_a_gpu_nothing_is_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "has_gpu", lambda: True)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 0)
    assert need_of(BUNDLED, 256, 16).batch_size == 16
    assert need_of(BUNDLED, 256, 16).free_bytes is None


def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not hardware.has_gpu()


@pytest.mark.parametrize(
    ("limit", "used", "cached", "free"),
    [("1000", "400", "100", 700), ("1000", "1200", "0", 0), ("max", "1", "0", None)],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, limit: str, used: str, cached: str, free: int | None) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
    assert hardware._container_free_bytes(tmp_path) == free


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert hardware._container_free_bytes(tmp_path) is None
    assert hardware.free_memory_bytes() > 0


def test_bytes_are_written_for_people() -> None:
    assert gigabytes(2_340_000_000) == "2.3 GB"


# === Running out ===


class ResourceExhaustedError(Exception):
    """TensorFlow's, by name."""


@pytest.mark.parametrize(
    "error", [MemoryError(), ResourceExhaustedError("OOM when allocating"), RuntimeError("RESOURCE_EXHAUSTED: 2 GB")]
)
def test_running_out_of_memory_is_recognized_also_when_wrapped(error: Exception) -> None:
    outer = ValueError("outer")
    outer.__cause__ = error
    assert is_out_of_memory(error)
    assert is_out_of_memory(outer)


def test_other_errors_are_not_taken_for_it() -> None:
    circle = ValueError("memory")
    circle.__cause__ = circle
    assert not is_out_of_memory(circle)
    assert not is_out_of_memory(None)


def too_large(monkeypatch: pytest.MonkeyPatch, limit: int, after_epoch: int = 0) -> list[int]:
    """Let memory run out for batches of more than ``limit`` patches; returns the sizes of those that were drawn."""
    drawn: list[int] = []
    original = dataset.PatchDataset.__getitem__

    def draw(self: Any, index: int) -> Any:
        if self.batch_size > limit and self.epoch >= after_epoch:
            raise MemoryError(f"{self.batch_size} patches")
        drawn.append(self.batch_size)
        return original(self, index)

    monkeypatch.setattr(dataset.PatchDataset, "__getitem__", draw)
    return drawn


def test_the_batches_are_halved_until_they_fit_and_the_training_ends_as_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: PreparedCase
) -> None:
    told: list[int] = []
    drawn = too_large(monkeypatch, 1)
    result = fit(CONFIG, NETWORK, [case], [case], work_dir=tmp_path, on_smaller_batch=told.append)
    assert told == [2, 1]
    assert result.batch_size == 1
    assert result.epochs == 3
    assert set(drawn) == {1}


def test_a_training_that_runs_out_later_goes_on_from_its_last_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: PreparedCase
) -> None:
    too_large(monkeypatch, 2, after_epoch=2)
    seen: list[int] = []
    result = fit(
        CONFIG, NETWORK, [case], [case], work_dir=tmp_path, on_progress=lambda progress: seen.append(progress.epoch)
    )
    assert result.batch_size == 2
    assert [record["epoch"] for record in result.history] == [1, 2, 3]
    assert seen == sorted(seen)


def test_it_begins_with_the_batches_that_memory_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: PreparedCase
) -> None:
    drawn = too_large(monkeypatch, 2)
    assert fit(CONFIG, NETWORK, [case], [], work_dir=tmp_path, batch_size=2).batch_size == 2
    assert set(drawn) == {2}


def test_where_not_even_one_patch_fits_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: PreparedCase
) -> None:
    too_large(monkeypatch, 0)
    with pytest.raises(InputError, match="Choose a smaller patch") as caught:
        fit(CONFIG, NETWORK, [case], [], work_dir=tmp_path)
    assert caught.value.field == "patch"


def test_another_error_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: PreparedCase) -> None:
    def fail(self: Any, index: int) -> Any:
        raise OSError("gone")

    monkeypatch.setattr(dataset.PatchDataset, "__getitem__", fail)
    with pytest.raises(OSError, match="gone"):
        fit(CONFIG, NETWORK, [case], [], work_dir=tmp_path)
