"""Finds labels whose images are not the ones that they were drawn on any more.

The studies can change at any time. A label of images that have changed would teach the network something wrong, so it
is left out until it is submitted again.
"""

from __future__ import annotations

from datetime import datetime

from server_app.cases.case_ids import images_digest
from server_app.labels.store import LabelVersion
from training.cases.case import Case
from training.errors import InputError

#: The state of files, by which a change is noticed: path, size, and times of the last change (ns) of each.
_State = tuple[tuple[str, int, int, int], ...]


class ImageChanges:
    """Compares cases with the images that their labels record. Thread-safe.

    Files are read only if they were changed or replaced after the label was submitted, and once for each change.
    """

    def __init__(self) -> None:
        self._digests: dict[_State, str] = {}

    def since(self, case: Case, label: LabelVersion) -> bool:
        """Return whether a case's images differ from those that a label was drawn on.

        Files that cannot be read do not count as changed; they are reported elsewhere.
        """
        drawn_on, submitted = label.record.get("images"), _seconds(label.record.get("time"))
        if not isinstance(drawn_on, str):  # a label of an earlier release
            return False
        try:
            stats = [(path, path.stat()) for source in case.sources.values() for path in source.files]
            if all(max(stat.st_mtime, stat.st_ctime) < submitted for _, stat in stats):
                return False
            state = tuple((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats)
            if state not in self._digests:
                self._digests[state] = images_digest(case)
            return self._digests[state] != drawn_on
        except (OSError, InputError):
            return False


def _seconds(time: object) -> float:
    """Return a label's time in seconds; 0 if it records none that can be read."""
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return 0.0
