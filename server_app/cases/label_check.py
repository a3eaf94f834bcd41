"""Which labels of the studies folder cannot be used: found in the background, since every label must be read for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from training.cases.case import Case, Problem
from training.errors import InputError

#: Seconds after which a refused label is tried again: a file beside it may say by now what its values mean.
_AGAIN = 5.0

#: A label, the size and time of its file, and a hash of what else is known of it.
_Key = tuple[Path, int, int, int]


class LabelCheck:
    """The labels that were read, each once per version of its file. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: What is wrong (empty for a usable label), and when that was found.
        self._results: dict[_Key, tuple[str, float]] = {}
        self._thread: threading.Thread | None = None

    def problems(self, cases: Sequence[Case], wait_seconds: float | None) -> list[Problem]:
        """Return the labels that are known to be unusable, and read those that are not known.

        Args:
            cases: Of the studies.
            wait_seconds: How long to wait for that; ``None`` until it is done.
        """
        keys = {key: case for case in cases if (key := _key(case)) is not None}
        with self._lock:
            unread = {key: case for key, case in keys.items() if self._is_due(key)}
            started = bool(unread) and not (self._thread is not None and self._thread.is_alive())
            if started:
                self._thread = threading.Thread(target=self._read, args=(unread,), daemon=True, name="label check")
                self._thread.start()
            thread = self._thread
        if thread is not None and (started or wait_seconds is None):
            thread.join(wait_seconds)
        with self._lock:
            found = {key: self._results[key][0] for key in keys if key in self._results}
        return [Problem(key[0], message) for key, message in found.items() if message]

    def _is_due(self, key: _Key) -> bool:
        message, when = self._results.get(key, ("unknown", -_AGAIN))
        return bool(message) and time.monotonic() - when >= _AGAIN

    def _read(self, unread: dict[_Key, Case]) -> None:
        for key, case in unread.items():
            try:
                case.label_reading()
                message = ""
            except InputError as error:
                message = error.message
            with self._lock:
                self._results[key] = message, time.monotonic()


def _key(case: Case) -> _Key | None:
    if case.label is None:
        return None
    try:
        stat = case.label.stat()
    except OSError:
        return None  # it has just been removed
    return case.label, stat.st_size, stat.st_mtime_ns, hash(case.label_context)
