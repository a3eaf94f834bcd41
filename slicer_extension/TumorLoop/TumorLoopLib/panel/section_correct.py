"""The section Correct: the Segment Editor, the modalities to flip through, and what a correction changed so far."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.util import VTKObservationMixin

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.shortcuts import Shortcuts
from TumorLoopLib.panel.state import VOLUMES, PanelState
from TumorLoopLib.panel.tables import Table
from TumorLoopLib.panel.texts import milliliters, ratio
from TumorLoopLib.panel.widgets import press, show_text
from TumorLoopLib.scene import segments, views
from TumorLoopLib.scene.comparison import Comparison, compare, volumes_ml
from TumorLoopLib.scene.editor import Editor
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.roles import ROLES
from TumorLoopLib.scene.segment_copy import SegmentationCopy, combine

#: Seconds of peace after the last edit until the volumes are computed anew.
DEBOUNCE = 0.4


@dataclass(frozen=True)
class Measured:
    """Volumes of a segmentation in mL by label and region, and what changed against the answer, if there is one."""

    volumes: dict[str, float]
    changed: Comparison | None


class CorrectSection(Section, VTKObservationMixin):
    """The editor, the views and the live volumes."""

    def __init__(self, desk: Desk) -> None:
        Section.__init__(self, desk)
        VTKObservationMixin.__init__(self)
        ui = self.ui
        self.editor = Editor(ui.editor)
        self._table = Table(ui.regionTable, [_("Region"), _("mL"), _("added"), _("removed"), _("Dice")])
        self._watched: Any = None
        self._due: float | None = None
        self._waits_for_labels = False
        self._buttons = {role: getattr(ui, f"{role}Button") for role in ROLES}
        for role, button in self._buttons.items():
            button.connect("clicked(bool)", lambda _checked=False, role=role: self.show_modality(role))
        ui.overlayButton.connect("clicked(bool)", lambda _checked=False: self.toggle_overlay())
        ui.mapSlider.connect("valueChanged(int)", self._fade_map)
        keys: dict[str, Callable[[], None]] = {"o": self.toggle_overlay}
        for number, role in enumerate(ROLES, start=1):
            keys[str(number)] = functools.partial(self.show_modality, role)
        keys.update({"Ctrl+Z": self.editor.undo, "Ctrl+Y": self.editor.redo})
        self.shortcuts = Shortcuts(keys)

    def show(self, state: PanelState) -> None:
        """Show the segmentation in the editor, which modality is seen, and whether there is a map."""
        parameters = self.desk.parameters
        segmentation = parameters.segmentation if parameters is not None else None
        self._watch(segmentation)
        if self._waits_for_labels and state.connected:
            self._waits_for_labels, self._due = False, time.monotonic()
        if parameters is not None:
            self.editor.edit(segmentation, parameters.t1ce)
        self.ui.editor.enabled = segmentation is not None
        show_text(self.ui.editorText, "" if segmentation is not None else self._how_to_begin(state))
        shown = views.shown_volume()
        for role, button in self._buttons.items():
            node = getattr(parameters, role) if parameters is not None else None
            button.enabled = node is not None
            press(button, node is not None and node.GetID() == shown)
        self.ui.overlayButton.enabled = segmentation is not None
        press(self.ui.overlayButton, views.overlay_shown(segmentation))
        has_map = parameters is not None and parameters.uncertainty is not None
        self.ui.mapLabel.setVisible(has_map)
        self.ui.mapSlider.setVisible(has_map)

    def tick(self) -> None:
        """Measure the segmentation when the last edit is a moment ago."""
        if self._due is not None and time.monotonic() >= self._due and not self.desk.jobs.running(VOLUMES):
            self._due = None
            self._measure()

    def enter_scene(self) -> None:
        """Give the editor the node of the scene."""
        self.editor.attach()
        self._due = time.monotonic()

    def leave_scene(self) -> None:
        """Take everything of the scene out of the editor."""
        self._watch(None)
        self.editor.detach()

    def close(self) -> None:
        """Remove shortcuts and observers."""
        self.shortcuts.remove()
        self._watch(None)

    # === Views ===

    def show_modality(self, role: str) -> None:
        """Show a modality in all slice views."""
        parameters = self.desk.parameters
        node = getattr(parameters, role) if parameters is not None else None
        if node is not None:
            views.show_volume(node)
        self.desk.changed()

    def toggle_overlay(self) -> None:
        """Show the segmentation, or hide it."""
        segmentation = self.desk.parameters.segmentation if self.desk.parameters is not None else None
        views.show_overlay(segmentation, not views.overlay_shown(segmentation))
        self.desk.changed()

    def _fade_map(self, percent: int) -> None:
        if self.desk.parameters is not None and self.desk.parameters.uncertainty is not None:
            views.show_map(self.desk.parameters.uncertainty, percent / 100)

    # === Volumes ===

    def _watch(self, segmentation: Any) -> None:
        """Observe another segmentation."""
        if segmentation is self._watched:
            return
        self.removeObservers(self._edited)
        if self._watched is not None and segmentation is not None:  # two over each other would look like one
            views.show_overlay(self._watched, False)
            views.show_overlay(segmentation, True)
        self._watched = segmentation
        self._table.clear()
        show_text(self.ui.changesText, "")
        if segmentation is None:
            self._due = None
            return
        inner = segmentation.GetSegmentation()
        for event in ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved", "SegmentModified"):
            self.addObserver(inner, getattr(slicer.vtkSegmentation, event), self._edited)
        self.addObserver(segmentation, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._edited)
        self._due = time.monotonic()

    def _edited(self, _caller: Any, _event: str) -> None:
        self._due = time.monotonic() + DEBOUNCE
        self.desk.edits += 1
        if self.desk.submitted:
            self.desk.submitted = ""
            self.desk.changed()

    def _measure(self) -> None:
        parameters = self.desk.parameters
        if parameters is None or parameters.segmentation is None or parameters.t1ce is None:
            return
        try:
            labels = self.desk.label_set()
            copy = segments.extract(parameters.segmentation, parameters.t1ce, labels)
        except ClientError as error:
            self._waits_for_labels = self.desk.pulse is None
            self._table.clear()
            show_text(self.ui.changesText, error.message)
            return
        answer = segments.answer_of(parameters.answer, parameters.t1ce)

        def work(_reporter: Reporter) -> Measured:
            return measured(copy, answer, labels)

        trouble = _("The volumes could not be computed.")
        self.desk.run(VOLUMES, work, lambda found: self._show_measured(found, labels), trouble=trouble)

    def _show_measured(self, found: Measured, labels: LabelSet) -> None:
        changed = found.changed
        self._table.fill(
            [
                [
                    f"{region.key} {region.name}",
                    milliliters(found.volumes.get(region.key)),
                    milliliters(changed.added_ml.get(region.key) if changed else None),
                    milliliters(changed.removed_ml.get(region.key) if changed else None),
                    ratio(changed.dice.get(region.key) if changed else None),
                ]
                for region in labels.regions
            ]
        )
        if changed is None:
            text = _("There is no answer of the model to compare with.")
        elif changed.changed_voxels == 0:
            text = _("Unchanged: exactly what the model said.")
        else:
            text = _("{count} voxels differ from what the model said.").format(count=changed.changed_voxels)
        show_text(self.ui.changesText, text)

    def _how_to_begin(self, state: PanelState) -> str:
        if state.volumes_problem:
            return state.volumes_problem
        return _("Click Auto-segment above, or choose a segmentation of your own.")


def measured(copy: SegmentationCopy, answer: np.ndarray | None, labels: LabelSet) -> Measured:
    """Compute volumes and changes; on a worker thread."""
    report = combine(copy)
    changed = compare(answer, report.array, report.ijk_to_ras, labels) if answer is not None else None
    return Measured(volumes_ml(report.array, report.ijk_to_ras, labels), changed)
