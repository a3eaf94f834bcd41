"""The section Correct: the Segment Editor, switching between modalities, and what a correction has changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.formatting import milliliters, ratio
from TumorLoopLib.panel.observers import Observers
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import VOLUMES, PanelState
from TumorLoopLib.panel.widgets import set_pressed, show_text
from TumorLoopLib.scene import notes, segments, views
from TumorLoopLib.scene.comparison import Comparison, compare, volumes_ml
from TumorLoopLib.scene.editor import Editor
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.roles import ROLES
from TumorLoopLib.scene.segment_copy import SegmentationCopy, combine

#: Seconds after the last edit until the volumes are computed again.
DEBOUNCE = 0.4


@dataclass(frozen=True)
class Measurements:
    """Volumes in mL by label and region, and how the segmentation differs from the model's, if there is one."""

    volumes: dict[str, float]
    changed: Comparison | None


class CorrectSection(Section):
    """The editor, the views and the live volumes."""

    def __init__(self, context: PanelContext) -> None:
        super().__init__(context)
        ui = self.ui
        self.editor = Editor(ui.editor)
        self._stop_watching_effects = context.services.watch_effects(self.editor.list_effects)
        headers = [_("Region"), _("mL"), _("added"), _("removed"), _("Dice")]
        self._table = context.services.table(ui.regionTable, headers)
        self._observed: Any = None
        self._observers = Observers()
        self._measure_at: float | None = None
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
        self.shortcuts = context.services.shortcuts(keys)

    def show(self, state: PanelState) -> None:
        """Show the segmentation in the editor, which modality is displayed, and whether there is a map."""
        parameters = self.context.parameters
        segmentation = parameters.segmentation if parameters is not None else None
        self._observe(segmentation)
        if self._waits_for_labels and state.connected:
            self._waits_for_labels = False
            self._measure_in(0.0)
        edited = parameters.brain if self.context.editing_brain else segmentation
        if parameters is not None:
            self.editor.edit(edited, parameters.t1ce)
        show_text(self.ui.warningText, "\n".join(f"⚠ {warning}" for warning in notes.warnings_of(segmentation)))
        self.ui.editor.enabled = edited is not None
        hint = state.volumes_problem or _("Click Auto-segment above, or choose a segmentation of your own.")
        if self.context.editing_brain:
            hint = _("The editor changes the brain mask, not the segmentation, until Edit mask is clicked again.")
        show_text(self.ui.editorText, hint if self.context.editing_brain or segmentation is None else "")
        shown = views.shown_volume()
        for role, button in self._buttons.items():
            node = getattr(parameters, role) if parameters is not None else None
            button.enabled = node is not None
            set_pressed(button, node is not None and node.GetID() == shown)
        self.ui.overlayButton.enabled = segmentation is not None
        set_pressed(self.ui.overlayButton, views.overlay_shown(segmentation))
        has_map = parameters is not None and parameters.uncertainty is not None
        self.ui.mapLabel.setVisible(has_map)
        self.ui.mapSlider.setVisible(has_map)

    def tick(self) -> None:
        """Measure the segmentation a moment after the last edit."""
        due = self._measure_at is not None and self.context.services.monotonic() >= self._measure_at
        if due and not self.context.jobs.running(VOLUMES):
            self._measure_at = None
            self._measure()

    def enter_scene(self) -> None:
        """Give the editor the node of the scene."""
        self.editor.attach()
        self.context.activity.resume(self.context.parameters.active_seconds)
        self._measure_in(0.0)

    def leave_scene(self) -> None:
        """Remove everything of the scene from the editor."""
        self._observe(None)
        self.editor.detach()

    def close(self) -> None:
        """Remove shortcuts and observers."""
        self._stop_watching_effects()
        self.shortcuts.remove()
        self._observe(None)

    # === Views ===

    def show_modality(self, role: str) -> None:
        """Show a modality in all slice views."""
        parameters = self.context.parameters
        node = getattr(parameters, role) if parameters is not None else None
        if node is not None:
            views.show_volume(node)
        self.context.changed()

    def toggle_overlay(self) -> None:
        """Show the segmentation, or hide it."""
        segmentation = self.context.parameters.segmentation if self.context.parameters is not None else None
        views.show_overlay(segmentation, not views.overlay_shown(segmentation))
        self.context.changed()

    def _fade_map(self, percent: int) -> None:
        if self.context.parameters is not None and self.context.parameters.uncertainty is not None:
            views.show_map(self.context.parameters.uncertainty, percent / 100)

    # === Volumes ===

    def _observe(self, segmentation: Any) -> None:
        """Observe this segmentation instead of the present one."""
        if segmentation is self._observed:
            return
        self._observers.remove()
        if self._observed is not None and segmentation is not None:  # two on top of each other would look like one
            views.show_overlay(self._observed, False)
            views.show_overlay(segmentation, True)
        self._observed = segmentation
        self._table.fill([])
        show_text(self.ui.changesText, "")
        self._measure_at = None
        if segmentation is None:
            return
        inner = segmentation.GetSegmentation()
        for event in ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved", "SegmentModified"):
            self._observers.add(inner, getattr(inner, event), self._edited)
        self._observers.add(segmentation, segmentation.TransformModifiedEvent, self._edited)
        self._measure_in(0.0)

    def _measure_in(self, seconds: float) -> None:
        self._measure_at = self.context.services.monotonic() + seconds

    def _edited(self, _caller: Any, _event: str) -> None:
        self._measure_in(DEBOUNCE)
        self.context.edits += 1
        self.context.activity.touch()
        if self.context.submitted:
            self.context.submitted = ""
            self.context.changed()

    def _measure(self) -> None:
        parameters = self.context.parameters
        if parameters is None or parameters.segmentation is None or parameters.t1ce is None:
            return
        parameters.active_seconds = round(self.context.activity.seconds)
        try:
            labels = self.context.label_set()
            copy = segments.extract(parameters.segmentation, parameters.t1ce, labels)
        except ClientError as error:
            self._waits_for_labels = self.context.server_status is None
            self._table.fill([])
            show_text(self.ui.changesText, error.message)
            return
        answer = segments.answer_of(parameters.answer, parameters.t1ce)

        def work(_reporter: Reporter) -> Measurements:
            return measure(copy, answer, labels)

        failure = _("The volumes could not be computed.")
        self.context.run(VOLUMES, work, lambda found: self._show_measurements(found, labels), failure=failure)

    def _show_measurements(self, found: Measurements, labels: LabelSet) -> None:
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
            text = _("There is no segmentation by the model to compare with.")
        elif changed.changed_voxels == 0:
            text = _("Unchanged: identical to the model's segmentation.")
        else:
            text = _("{count} voxels differ from the model's segmentation.").format(count=changed.changed_voxels)
        show_text(self.ui.changesText, text)


def measure(copy: SegmentationCopy, answer: np.ndarray | None, labels: LabelSet) -> Measurements:
    """Compute volumes and changes; on a worker thread."""
    report = combine(copy)
    changed = compare(answer, report.array, report.ijk_to_ras, labels) if answer is not None else None
    return Measurements(volumes_ml(report.array, report.ijk_to_ras, labels), changed)
