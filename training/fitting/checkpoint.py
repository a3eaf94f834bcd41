"""The checkpoint of an unfinished training: one file from which it resumes after a kill at any moment.

It holds everything that determines the next epoch: weights, optimizer variables, average weights, best weights so far,
epoch, and history. The file is replaced atomically after each epoch.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import write_with
from training.errors import InputError
from training.models.weights import Weights


@dataclass
class TrainingState:
    """The content of a checkpoint.

    Attributes:
        epoch: Number of finished epochs.
        fingerprint: Hash of settings and initial weights; a checkpoint of another training is not resumed.
        weights: Weights of the network.
        optimizer: Variables of the optimizer by position.
        average: Moving average of the weights; empty without averaging.
        best: The best weights so far by validation.
        best_metric: Mean validation Dice of ``best``.
        history: One record per finished epoch.
    """

    epoch: int = 0
    fingerprint: str = ""
    weights: Weights = field(default_factory=dict)
    optimizer: Weights = field(default_factory=dict)
    average: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    best_metric: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


_GROUPS = ("weights", "optimizer", "average", "best")


def save_state(state: TrainingState, path: Path) -> Path:
    """Write the state atomically."""
    meta = {
        "epoch": state.epoch,
        "fingerprint": state.fingerprint,
        "best_metric": state.best_metric,
        "history": state.history,
    }
    arrays = {f"{group}|{key}": value for group in _GROUPS for key, value in getattr(state, group).items()}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode("utf-8"), np.uint8)

    def write(temporary: Path) -> None:
        np.savez(temporary, **arrays)

    return write_with(path, write)


def load_state(path: Path) -> TrainingState | None:
    """Read a state; ``None`` if the file does not exist.

    Raises:
        InputError: If the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            meta = json.loads(archive["meta"].tobytes().decode("utf-8"))
            state = TrainingState(**meta)
            for key in archive.files:
                if "|" in key:
                    group, name = key.split("|", 1)
                    getattr(state, group)[name] = archive[key]
            return state
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"The checkpoint {path} cannot be read: {error}. Delete it to start anew.") from error
