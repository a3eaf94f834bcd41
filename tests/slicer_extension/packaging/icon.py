"""Make the module's PNG icon from its drawing: ``python -m tests.slicer_extension.packaging.icon``."""

import os
import sys
from pathlib import Path

ICONS = Path(__file__).resolve().parents[3] / "slicer_extension" / "TumorLoop" / "Resources" / "Icons"
SIZE = 128


def render(drawing: Path, target: Path) -> None:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QGuiApplication, QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    application = QGuiApplication([])
    image = QImage(SIZE, SIZE, QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    QSvgRenderer(str(drawing)).render(painter)
    painter.end()
    if not image.save(str(target)):
        raise OSError(f"{target} cannot be written")
    application.quit()


if __name__ == "__main__":
    render(ICONS / "TumorLoop.svg", Path(sys.argv[1]) if len(sys.argv) > 1 else ICONS / "TumorLoop.png")
