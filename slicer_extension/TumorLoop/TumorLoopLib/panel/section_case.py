"""The section Case: four volumes, from the scene, from a folder, or from the server."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs import open_case as case_errands
from TumorLoopLib.jobs.jobs import Progress, Reporter
from TumorLoopLib.jobs.open_case import Counts, NextCase, OpenedCase
from TumorLoopLib.jobs.segment_and_submit import REFERENCE, ServedCase
from TumorLoopLib.panel import sentences
from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import CASE, DIGEST, PanelState
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, allow, show_bar, show_line, show_text
from TumorLoopLib.scene import segments, views
from TumorLoopLib.scene.case_folder import find_volumes
from TumorLoopLib.scene.inputs import Inputs, mark_origin, origin_of
from TumorLoopLib.scene.roles import ROLES, TITLES
from TumorLoopLib.scene.snapshot_queue import SnapshotQueue, Snapshots
from TumorLoopLib.scene.volumes import add_volume, came_from_server, digest


class CaseSection(Section):
    """Selectors and the ways to fill them.

    Attributes:
        inputs: The chosen volumes.
        snapshots: Copies them.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.inputs = Inputs()
        self.snapshots = SnapshotQueue(self.inputs)
        self._waiting: list[tuple[str, Callable[[], Any]]] = []
        self._when_loaded: Callable[[], None] = lambda: None
        self._look_again = False
        self._others: set[str] = set()
        ui = self.ui
        ui.caseIdEdit.connect("textEdited(QString)", self._name_typed)
        ui.nextCaseButton.connect("clicked(bool)", self._next_case)
        ui.sampleButton.connect("clicked(bool)", self._sample)
        ui.folderButton.connect("clicked(bool)", self._from_folder)
        ui.recognizeButton.connect("clicked(bool)", self._recognize_all)
        ui.caseCancelButton.connect("clicked(bool)", self._cancel)

    def show(self, state: PanelState) -> None:
        """Show what can be loaded and what is wrong with the volumes."""
        ui = self.ui
        allow(ui.nextCaseButton, state.reason_next_case(), _("Open the case that is to be labeled next"))
        allow(ui.sampleButton, state.reason_sample(), _("Open a synthetic case with a tumor, made by the server"))
        reason = state.reason_volumes()
        allow(ui.folderButton, reason, _("Load four volumes from a folder of NIfTI or NRRD files"))
        allow(ui.recognizeButton, reason, _("Fill the selectors from names, DICOM descriptions and file names"))
        for role in ROLES:
            getattr(ui, f"{role}Selector").enabled = not reason
        show_line(ui.caseIdEdit, state.case_id)
        ui.caseIdEdit.enabled = not reason
        loading = self.desk.jobs.running(CASE)
        for widget in (ui.caseBar, ui.caseCancelButton, ui.caseProgress):
            widget.setVisible(loading)
        ui.caseCancelButton.enabled = loading and not self.desk.jobs.cancelling(CASE)
        show_text(ui.countsText, self._counts(state))
        show_text(ui.caseText, state.volumes_problem or _("All four volumes can be used."))

    @property
    def loading(self) -> bool:
        """Whether volumes are still to be put into the scene."""
        return bool(self._waiting)

    def tick(self) -> None:
        """Load the next file of a folder, or look for modalities among volumes that are new in the scene."""
        if self.snapshots.take_next():
            self.desk.changed()
        elif self._waiting:
            self._load_one()
        elif self._look_again:
            self._look_again = False
            self.recognize()
        elif self.inputs.unfinished:
            self.desk.changed()

    def volumes_arrived(self) -> None:
        """Note that there are new volumes in the scene; they are looked at when all of them are there."""
        self._look_again = True

    def leave_scene(self) -> None:
        """Forget what was to be loaded."""
        self._waiting, self._look_again, self._others = [], False, set()
        self.snapshots.clear()

    def recognize(self, *, replace: bool = False) -> None:
        """Fill the selectors by name.

        Args:
            replace: Also those that hold a volume already. Otherwise volumes of earlier cases are left out, so that a
                missing modality is never taken from another patient unasked.
        """
        parameters = self.desk.parameters
        found = self.inputs.recognize(set() if replace else self._others)
        for role, node_id in found.roles.items():
            if replace or getattr(parameters, role) is None:
                setattr(parameters, role, slicer.mrmlScene.GetNodeByID(node_id))
        if not parameters.case_id and parameters.t1ce is not None:
            parameters.case_id = case_name_of(parameters.t1ce.GetName())
        missing = [role for role in ROLES if getattr(parameters, role) is None]
        if replace:
            reasons = [found.reasons[role] for role in missing if role in found.reasons]
            text = " ".join(reasons) if reasons else _("All four volumes were recognized.")
            self.desk.say(text, BAD if reasons else GOOD)
        self.desk.changed()

    # === From the scene and from folders ===

    def _name_typed(self, text: str) -> None:
        if self.desk.parameters is not None:
            self.desk.parameters.case_id = text

    def _recognize_all(self) -> None:
        self.recognize(replace=True)

    def _from_folder(self) -> None:
        parent = slicer.util.mainWindow()
        start = self.desk.settings.case_folder
        folder = qt.QFileDialog.getExistingDirectory(parent, _("Folder with the four volumes of one case"), start)
        if not folder:
            return
        self.desk.settings.case_folder = folder
        found, problems = find_volumes(folder)
        if problems:
            self.desk.say(" ".join(problems), BAD)
        if found:
            self._clear_case(case_name_of(Path(folder).name))
            # Slicer's own readers block: one per tick, so that the panel stays alive.
            shown = {"show": REFERENCE not in found}  # otherwise the last one loaded would cover the reference
            self._waiting = [
                (role, functools.partial(slicer.util.loadVolume, str(path), shown)) for role, path in found.items()
            ]
            self._when_loaded = lambda: None
            if not problems:
                self.desk.say(_("Loading {count} volumes …").format(count=len(found)), BUSY)
                self._when_loaded = lambda: self.desk.say(_("The volumes are loaded."), GOOD)
        self.desk.changed()

    def _load_one(self) -> None:
        """Put the next volume into the scene."""
        role, load = self._waiting.pop(0)
        try:
            node = load()
        except RuntimeError as error:
            self._waiting = []
            self.desk.fail(error, _("A volume could not be loaded."))
            return
        setattr(self.desk.parameters, role, node)
        if role == REFERENCE:
            views.show_volume(node, fit=True)
        if not self._waiting:
            self._when_loaded()
        self.desk.changed()

    # === From the server ===

    def _next_case(self) -> None:
        parameters, pulse = self.desk.parameters, self.desk.pulse
        assert pulse is not None  # the button is disabled without
        current = parameters.case_id if origin_of(parameters) == pulse.server else ""
        self._fetch(lambda client, reporter: case_errands.next_case(client, current, reporter, self.desk.folder))

    def _sample(self) -> None:
        self._fetch(lambda client, reporter: case_errands.sample_case(client, reporter, self.desk.folder))

    def _fetch(self, errand: Callable[[Any, Reporter], Any]) -> None:
        connection = self.desk.connection()
        self.desk.say(_("A case is being loaded …"), BUSY)
        self.desk.run(
            CASE,
            lambda reporter: errand(connection.client(), reporter),
            lambda result: self._fetched(result, connection.address),
            trouble=_("No case was loaded; the scene is as it was."),
            cancelled=lambda: self.desk.say(_("Loading was cancelled; the scene is as it was.")),
            progress=self._show_progress,
        )

    def _fetched(self, result: NextCase | OpenedCase, address: str) -> None:
        case, reason = (result.case, result.reason) if isinstance(result, NextCase) else (result, "")
        if case is None:
            assert isinstance(result, NextCase)
            text = _("All {total} cases on the server have a final label. There is none left to do.")
            self.desk.say(text.format(total=result.counts.total), GOOD)
            return
        self._clear_case(case.case_id)
        self.desk.show_history(case.history, address)
        self._waiting = [
            (role, functools.partial(add_volume, array, ijk_to_ras, f"{case.case_id} {TITLES[role]}", role))
            for role, (array, ijk_to_ras) in case.volumes.items()
        ]
        self._when_loaded = lambda: self._opened(case, reason)

    def _opened(self, case: OpenedCase, reason: str) -> None:
        mark_origin(self.desk.parameters.t1ce, case.server, case.case_id)
        text = _("Case {name} is loaded. {reason}").format(name=case.case_id, reason=reason)
        self.desk.say(text.rstrip(), GOOD)
        self._remember_content(case)

    def _remember_content(self, case: OpenedCase) -> None:
        """Note what the volumes hold, so that they are not sent back as long as they are as they came."""

        def look(snapshots: Snapshots) -> None:
            self.desk.jobs.abandon(DIGEST)
            self.desk.run(
                DIGEST,
                lambda reporter: {role: digest(volume) for role, volume in snapshots.items()},
                remember,
                trouble=_("The volumes could not be looked at."),
            )

        def remember(digests: dict[str, str]) -> None:
            self.desk.served = ServedCase(case.server, case.case_id, digests)

        self.snapshots.request(DIGEST, self.desk.parameters, look, lambda error: None)

    def _clear_case(self, case_id: str) -> None:
        """Make room for another case; what was not submitted stays in the scene, out of sight."""
        parameters = self.desk.parameters
        views.show_overlay(parameters.segmentation, False)
        finished = self._finished()
        self.desk.forget_case()
        views.show_map(None, 0.0)
        self._others = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
        with slicer.util.NodeModify(parameters):  # one change, and so one look at everything instead of a dozen
            for field in (*ROLES, "segmentation", "answer", "uncertainty"):
                setattr(parameters, field, None)
            parameters.case_id = case_id
            parameters.model_version = parameters.comment = parameters.label_set = ""
        for node in finished:
            slicer.mrmlScene.RemoveNode(node)

    def _finished(self) -> list[Any]:
        """Return the nodes of a case that the server has, label and all: they would only fill the memory.

        Volumes that did not come from the server stay, with all that was made of them, and so does a segmentation
        with segments that stand for no label: they were not submitted.
        """
        parameters = self.desk.parameters
        segmentation, reference = parameters.segmentation, parameters.t1ce
        if segmentation is None or segmentation.GetID() != self.desk.submitted or not origin_of(parameters):
            return []
        if not came_from_server(reference):
            return []
        volumes = [node for node in self.inputs.chosen(parameters).values() if came_from_server(node)]
        made = [segmentation] if segments.only_labels(segmentation) else []
        maps = [node for node in (parameters.answer, parameters.uncertainty) if node is not None]
        return [*volumes, *made, *maps]

    def _cancel(self) -> None:
        self.desk.jobs.cancel(CASE)
        self.desk.changed()

    def _show_progress(self, progress: Progress, _partial: Any) -> None:
        self.ui.caseProgress.text = sentences.of_progress(progress)
        show_bar(self.ui.caseBar, progress)

    def _counts(self, state: PanelState) -> str:
        if self.desk.pulse is None:
            return ""
        counts: Counts = self.desk.pulse.counts
        text = _("On the server: {total} cases, {labeled} with a final label, {left} left.")
        reason = state.reason_next_case() if counts.left == 0 else ""
        return reason or text.format(total=counts.total, labeled=counts.labeled, left=counts.left)


def case_name_of(name: str) -> str:
    """Make the name of a case out of a node's or a folder's name: without the modality, safe characters only.

    Examples:
        >>> case_name_of("BraTS20_Training_001_t1ce"), case_name_of("TCGA-FG-6692"), case_name_of("AX T1 POST GD")
        ('BraTS20_Training_001', 'TCGA-FG-6692', 'case')
    """
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")
    plain = re.sub(r"(?i)[_-]?(t1ce|t1gd|t1c|t1n?|t2w?|t2f|flair)([_-].*)?$", "", plain)
    plain = plain[:60].strip("_-")
    return plain if len(plain) > 3 else "case"
