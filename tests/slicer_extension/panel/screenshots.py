"""Pictures of every state of the panel, light and dark: ``python -m tests.slicer_extension.panel.screenshots DIR``.

The panel runs on the harness against a real server with the bundled model; the case is one of the server's synthetic
ones, then a raw study (that alone with ``--raw``). Look at the pictures: nothing may be cut off, misaligned or
unreadable in a dock of 380 pixels.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import slicer
from TumorLoopLib.jobs.corrections import CorrectedCase, Corrections, VersionSummary
from TumorLoopLib.jobs.server_status import Overview, TrainingPlan
from TumorLoopLib.scene import notes

from tests import synthetic
from tests.server_app.conftest import Server, serving
from tests.slicer_extension.client.proxy import FaultyProxy, broken_server, proxy_of, wrong_token
from tests.slicer_extension.panel.user import QtUser
from training.phantoms.raw import raw_study
from training.phantoms.raw_files import write_dicom

REPOSITORY = Path(__file__).resolve().parents[3]
EPOCHS = 6


def camera(user: QtUser, folder: Path) -> Callable[[str], None]:
    """Return a function that takes a light and a dark picture of the whole panel, numbered and under a name."""
    from tests.slicer_extension.harness import appearance, gui

    top, bar = user.widget.parent, user.ui.scrollArea.verticalScrollBar()
    numbers = iter(range(1, 100))

    def take(name: str) -> None:
        number = next(numbers)
        for theme in ("light", "dark"):
            appearance.set_theme(dark=theme == "dark")
            height = 200  # as high as its contents
            for _ in range(4):
                top.resize(appearance.DOCK_WIDTH, height)
                gui.process_events(0.15)  # the panel's timer draws the curve again
                if bar.maximum == 0:
                    break
                height += bar.maximum
            path = folder / f"{number:02d}-{name}-{theme}.png"
            print(appearance.screenshot(top, path, dark=theme == "dark", height=height))

    return take


def walk(user: QtUser, proxy: FaultyProxy, take: Callable[[str], None]) -> None:
    """Go through the loop and take pictures on the way; then break things and take pictures of the error messages."""
    take("first-open")
    user.connect(proxy.url)
    take("connected")
    user.finish("sampleButton")
    user.open_section_of("t1Selector")
    take("four-volumes-found")
    user.ui.mapCheck.checked = True
    user.click("segmentButton")
    user.wait(lambda: "Computing" in user.ui.segmentProgress.text, what="the computing stage")
    take("computing")
    user.wait_idle()
    user.wait(lambda: user.ui.changesText.text != "")
    user.paint(3, (slice(60, 70), slice(60, 70), slice(60, 66)))
    user.wait_for_changes("differ")
    take("result-with-editor")
    warnings = ["The T1 and T1ce volumes look exchanged.", "The volumes do not look skull-stripped: 2470 mL of tissue."]
    notes.set_warnings(user.parameters.segmentation, warnings)
    user.panel.segment.announce(warnings)
    user.panel.refresh()
    take("result-with-warnings")
    notes.set_warnings(user.parameters.segmentation, [])
    user.type("commentEdit", "Enhancing rim extended")
    user.submit()
    user.open_section_of("historyTable")
    take("submitted")
    user.wait(lambda: user.ui.retrainButton.enabled)
    user.type("epochsSpin", str(EPOCHS))
    user.click("retrainButton")
    user.wait(lambda: len(user.panel.retrain.training.epochs) >= 3, 400)
    take("training-with-curve")
    user.wait(lambda: "Mean Dice" in user.ui.resultText.text, 400)
    take("training-done")
    show_corrections(user)
    take("corrections")
    user.open_section_of("segmentButton")
    proxy.fault("POST /infer/*", broken_server())
    user.finish("segmentButton")
    take("error-server-failed")
    proxy.fault("GET /info/", wrong_token())
    user.finish("testButton")
    take("error-token-refused")
    user.type("addressCombo", proxy.url.replace("http:", "https:"))
    user.finish("testButton")
    take("https-with-ca-file")
    user.type("addressCombo", proxy.url)
    proxy.go_down()
    user.finish("testButton")
    take("error-server-down")


def walk_raw(user: QtUser, url: str, folder: Path, take: Callable[[str], None]) -> None:
    """Go through the loop with a raw study and take pictures of what is different."""
    from tests.slicer_extension.harness import dicom_database

    write_dicom(raw_study(2, degrees=15, mm=12, small=True), folder / "raw")
    with dicom_database.running(folder / "database"):
        for series in sorted((folder / "raw").iterdir()):
            dicom_database.import_and_load(sorted(series.iterdir()))
        user.connect(url)
        user.wait(lambda: user.ui.segmentButton.enabled)
        take("raw-volumes-found")
        user.click("segmentButton")
        user.wait(lambda: "Registering" in user.ui.segmentProgress.text, what="the registering stage")
        take("raw-registering")
        user.wait_idle()
        user.open_section_of("segmentButton")
        user.wait(lambda: user.ui.changesText.text != "")
        take("raw-result")
        user.click("editBrainButton")
        take("raw-brain-mask-in-the-editor")
        user.click("editBrainButton")
        user.submit()
        user.dialogs.choose_path(str(folder / "exported.dcm"))
        user.finish("exportButton")
        take("raw-exported")


def show_corrections(user: QtUser) -> None:
    """Show the plot of a workspace with three model versions and 15 cases, more than there is time to correct here."""
    dice = (0.74, 0.69, 0.81, 0.77, 0.8, 0.72, 0.83, 0.86, 0.79, 0.88, 0.87, 0.91, 0.84, 0.9, 0.89)
    minutes = (9.5, 11.2, 6.1, 7.4, 6.6, 10.3, 5.9, 4.2, 7.8, 3.9, 4.4, 2.8, 5.1, None, 3.2)
    versions = ["v0001"] * 5 + ["v0002"] * 4 + ["v0003"] * 6
    found = zip(versions, dice, minutes, strict=True)
    cases = tuple(CorrectedCase(version, mean, None, time) for version, mean, time in found)
    summaries = (
        VersionSummary("v0001", 5, 0.762, None, 7.4),
        VersionSummary("v0002", 4, 0.8, None, 6.85),
        VersionSummary("v0003", 6, 0.8817, None, 3.9),
    )
    known = user.panel.context.overview or Overview(TrainingPlan())
    user.panel.context.overview = replace(known, corrections=Corrections(cases, summaries))
    user.open_section_of("retrainButton")
    user.panel.refresh()


@contextmanager
def bundled_server(folder: Path) -> Iterator[Server]:
    """A server with the bundled model, two small cases, and trainings of seconds."""
    for name in ("P001", "P002"):
        synthetic.write_case(folder / "studies", name, label=False)
    with serving(folder / "studies", folder / "workspace", REPOSITORY / "training" / "models" / "bundled") as server:
        yield server


def main(folder: Path, *, only_raw: bool = False) -> None:
    """Take all pictures, or those of a raw study."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from tests.slicer_extension.harness import desktop

    with (
        tempfile.TemporaryDirectory() as scratch,
        bundled_server(Path(scratch)) as server,
        proxy_of(server.url) as proxy,
        desktop.running(),
    ):
        user = QtUser()
        take = camera(user, folder)
        if not only_raw:
            walk(user, proxy, take)
            slicer.mrmlScene.Clear()
        walk_raw(user, server.url, Path(scratch), take)


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if not name.startswith("--")]
    main(Path(names[0] if names else "screenshots"), only_raw="--raw" in sys.argv)
