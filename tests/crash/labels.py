"""Labels that are told apart by their voxels, and clients that submit them without a break."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import requests

from tests import synthetic

GRID = synthetic.brats_grid()
#: The number of a label is written into so many voxels of its corner, one bit each.
_BITS = 24


def numbered(number: int) -> np.ndarray:
    """The true label of the synthetic head with a number written into its corner: uint8, values 0 to 3."""
    data = _truth().copy()
    data[:_BITS, 0, 0] = [2 if number >> bit & 1 else 0 for bit in range(_BITS)]
    return data


@cache
def _truth() -> np.ndarray:
    return synthetic.truth(GRID).data


def number_of(data: np.ndarray) -> int | None:
    """The number of a label; ``None`` if it is not exactly what :func:`numbered` makes of one."""
    number = sum(1 << bit for bit in range(_BITS) if data[bit, 0, 0] == 2)
    return number if np.array_equal(data, numbered(number)) else None


@dataclass
class Ledger:
    """The numbers that were sent, and those that the server said it had stored; thread-safe."""

    sent: set[int] = field(default_factory=set)
    stored: dict[tuple[str, str], int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_number(self) -> int:
        with self._lock:
            number = len(self.sent) + 1
            self.sent.add(number)
            return number

    def acknowledge(self, case: str, version: str, number: int) -> None:
        with self._lock:
            if (case, version) in self.stored:
                self.twice.append((case, version))
            self.stored[case, version] = number


class Submitter(threading.Thread):
    """A client that submits labels of a case, one after the other, until the server is gone, and notes them."""

    def __init__(self, url: str, case: str, ledger: Ledger, folder: Path, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._address, self._case, self._ledger = f"{url}/datastore/label?image={case}", case, ledger
        self._file = folder / f"{name}.nii.gz"

    def run(self) -> None:
        while True:
            number = self._ledger.next_number()
            nibabel.save(nibabel.Nifti1Image(numbered(number), GRID.affine), self._file)
            form = {"params": f'{{"client_id": "{self.name}", "comment": "label {number}"}}'}
            files = {"label": (self._file.name, self._file.read_bytes())}
            try:
                answer = requests.put(self._address, data=form, files=files, timeout=60)
                reply = answer.json()
            except (requests.RequestException, ValueError):
                return  # killed: whether this one was stored nobody was told
            if answer.status_code != 200:
                self._ledger.refused.append(f"{answer.status_code}: {answer.text[:200]}")
                return
            self._ledger.acknowledge(self._case, reply["version"], number)
