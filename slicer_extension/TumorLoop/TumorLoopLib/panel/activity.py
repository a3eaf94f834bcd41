"""How long somebody works on a segmentation, without the pauses."""

from __future__ import annotations

from collections.abc import Callable

#: Seconds without an edit that are a pause.
PAUSE = 120.0


class Activity:
    """Adds up the time between two edits, unless it is a pause.

    Looking at the model's segmentation before the first edit, and at the result before it is submitted, counts as well.

    Args:
        clock: Returns a time in seconds that never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: float | None = None
        self.seconds = 0.0

    def begin(self) -> None:
        """Start from zero: there is a new segmentation."""
        self.seconds, self._last = 0.0, self._clock()

    def resume(self, seconds: float) -> None:
        """Continue at the next edit: a case was loaded on which somebody worked for ``seconds``."""
        self.seconds, self._last = float(seconds), None

    def touch(self) -> None:
        """Count the time since the last edit, if it is no pause: there is another one, or it is submitted."""
        now = self._clock()
        if self._last is not None and now - self._last <= PAUSE:
            self.seconds += now - self._last
        self._last = now
