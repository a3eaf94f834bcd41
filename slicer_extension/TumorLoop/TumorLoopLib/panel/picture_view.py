"""Shows a picture from a file in a label, as wide as the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt


class QtPictureView:
    """A picture in a ``QLabel``."""

    def __init__(self, label: Any) -> None:
        self._label = label
        self._picture: Any = None
        self._width = 0

    def load(self, path: Path) -> None:
        """Load a picture file, which is not needed any more afterwards, and show it."""
        self._picture, self._width = qt.QPixmap(str(path)), 0
        self.fit()

    def clear(self) -> None:
        """Hide the label, and forget the picture."""
        self._picture = None
        self._label.setVisible(False)

    def fit(self) -> None:
        """Scale the picture to the label, if the width of that has changed."""
        if self._picture is None or self._picture.isNull():
            return
        self._label.setVisible(True)
        width = min(max(120, self._label.width), self._picture.width())
        if width != self._width:
            self._width = width
            self._label.setPixmap(self._picture.scaledToWidth(width, qt.Qt.SmoothTransformation))
