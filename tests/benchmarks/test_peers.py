"""What is measured beside us does the same work; tiny inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import our_training
from benchmarks.parts import cases, environment, evaluation
from benchmarks.parts.request_stages import parse_timing
from benchmarks.peers import bundle, caching, metrics, unet


def test_the_metrics_of_both_agree() -> None:
    truth = np.zeros((24, 24, 24), np.uint8)
    truth[4:16, 6:18, 6:18], truth[6:12, 8:14, 8:14], truth[8:10, 9:12, 9:12] = 2, 3, 1

    own = evaluation.compare(evaluation.moved(truth), truth)

    assert own == pytest.approx(metrics.compare(evaluation.moved(truth), truth), abs=1e-6)
    assert 0 < min(own) < max(own) < 1


def test_the_networks_that_are_trained_are_about_the_same_size_and_learn() -> None:
    image, label = our_training.batch(16, 2)
    own, peer = our_training.load(image, label, "float32"), unet.load(image, label)

    assert 0.8 < own / peer < 1.25
    for step in (our_training.step, unet.step):
        losses = [step() for _ in range(6)]
        assert np.all(np.isfinite(losses))
        assert losses[-1] < losses[0]


def test_the_batches_that_are_drawn_have_the_size_of_those_that_are_trained(tmp_path: Path) -> None:
    our_training.prepare_drawing(tmp_path, 16, 2)

    assert our_training.draw(3) == our_training.batch(16, 2)[0].size


def test_the_network_of_the_bundle_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "WINDOW", (16, 16, 16))  # it pads smaller images to its window
    bundle.load((16, 16, 16))
    assert 0 <= bundle.segment() <= 3 * 16**3
    assert 0 < bundle.compute() < 1


def test_both_trainings_read_the_same_prepared_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "STEPS", 6)
    cases.write_cases(tmp_path / "prepared", 3)

    assert caching.load(tmp_path / "prepared", 2) == 2
    seconds = cases.train(tmp_path / "prepared", 2, tmp_path / "fit")
    assert 0 < seconds < 60


def test_a_header_of_the_server_is_read_in_seconds() -> None:
    assert parse_timing("upload;dur=1500, total;dur=2") == {"upload": 1.5, "total": 0.002}


def test_the_size_of_a_folder_counts_hard_links_once(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "one").write_bytes(b"1" * 2**20)
    (folder / "two").hardlink_to(folder / "one")
    (tmp_path / "link").symlink_to(folder)

    assert environment.size_mib(folder) == pytest.approx(1.0, abs=0.1)
    assert environment.size_mib(tmp_path / "link") < 0.1
