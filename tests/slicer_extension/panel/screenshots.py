"""Pictures of every state of the panel, light and dark: ``python -m tests.slicer_extension.panel.screenshots DIR``.

The panel runs on the harness against a real server with the bundled model; the case is one of the server's synthetic
ones. Look at the pictures: nothing may be cut off, misaligned or unreadable in a dock of 380 pixels.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import synthetic
from tests.server_app.conftest import Server, serving
from tests.slicer_extension.client.proxy import FaultyProxy, broken_server, proxy_of, wrong_token
from tests.slicer_extension.panel.user import QtUser

REPOSITORY = Path(__file__).resolve().parents[3]
EPOCHS = 6


class Camera:
    """Takes numbered pictures of one panel.

    Args:
        user: At the panel.
        folder: Where the pictures go.
    """

    def __init__(self, user: QtUser, folder: Path) -> None:
        self._user = user
        self._folder = folder
        self._number = 0
        self.taken: list[Path] = []

    def take(self, name: str) -> None:
        """Take a light and a dark picture."""
        from tests.slicer_extension.harness import appearance

        self._number += 1
        for theme in ("light", "dark"):
            path = self._folder / f"{self._number:02d}-{name}-{theme}.png"
            appearance.set_theme(dark=theme == "dark")
            height = self._fit()
            self.taken.append(
                appearance.screenshot(self._user.widget.parent, path, dark=theme == "dark", height=height)
            )

    def _fit(self) -> int:
        """Make the panel as high as its contents, and return that height in pixels."""
        from tests.slicer_extension.harness import appearance, gui

        top, bar = self._user.widget.parent, self._user.ui.scrollArea.verticalScrollBar()
        height = 200
        for _ in range(4):
            top.resize(appearance.DOCK_WIDTH, height)
            gui.process_events(0.15)  # the panel's timer draws the curve again
            if bar.maximum == 0:
                break
            height += bar.maximum
        return height


def walk(user: QtUser, proxy: FaultyProxy, camera: Camera) -> None:
    """Go through the loop and take pictures on the way."""
    camera.take("first-open")
    user.connect(proxy.url)
    camera.take("connected")
    user.click("sampleButton")
    user.wait_idle()
    user.open_section_of("t1Selector")
    camera.take("four-volumes-found")
    user.ui.mapCheck.checked = True
    user.click("segmentButton")
    user.wait(lambda: "Computing" in user.ui.segmentProgress.text, what="the computing stage")
    camera.take("computing")
    user.wait_idle()
    user.wait(lambda: user.ui.changesText.text != "")
    user.paint(3, (slice(60, 70), slice(60, 70), slice(60, 66)))
    user.wait(lambda: "differ" in user.ui.changesText.text)
    camera.take("result-with-editor")
    user.type("commentEdit", "Enhancing rim extended")
    user.submit()
    user.open_section_of("historyTable")
    camera.take("submitted")
    user.wait(lambda: user.ui.retrainButton.enabled)
    user.type("epochsSpin", str(EPOCHS))
    user.click("retrainButton")
    user.wait(lambda: len(user.panel.retrain.training.epochs) >= 3, 400)
    camera.take("training-with-curve")
    user.wait(lambda: "Mean Dice" in user.ui.resultText.text, 400)
    camera.take("training-done")


def take_errors(user: QtUser, proxy: FaultyProxy, camera: Camera) -> None:
    """Break things and take pictures of the error messages."""
    user.open_section_of("segmentButton")
    proxy.fault("POST /infer/*", broken_server())
    user.click("segmentButton")
    user.wait_idle()
    camera.take("error-server-failed")
    proxy.fault("GET /info/", wrong_token())
    user.click("testButton")
    user.wait_idle()
    camera.take("error-token-refused")
    proxy.go_down()
    user.click("testButton")
    user.wait_idle()
    camera.take("error-server-down")


@contextmanager
def bundled_server(folder: Path) -> Iterator[Server]:
    """A server with the bundled model, two small cases, and trainings of seconds."""
    for name in ("P001", "P002"):
        synthetic.write_case(folder / "studies", name, label=False)
    with serving(folder / "studies", folder / "workspace", REPOSITORY / "training" / "models" / "bundled") as server:
        yield server


def main(folder: Path) -> None:
    """Take all pictures."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from tests.slicer_extension.harness import desktop

    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(bundled_server(Path(scratch)))
        proxy = stack.enter_context(proxy_of(server.url))
        stack.enter_context(desktop.running())
        user = QtUser()
        camera = Camera(user, folder)
        walk(user, proxy, camera)
        take_errors(user, proxy, camera)
    for path in camera.taken:
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
