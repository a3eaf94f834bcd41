"""The raw part of the section Auto-segment: whether volumes are as they were scanned, and what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.preparation import Preparation, Preparing, ShownBrain
from TumorLoopLib.jobs.segment import REFERENCE, SegmentationResult
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import SEGMENT, SUBMIT, PanelState
from TumorLoopLib.panel.widgets import set_pressed, show_text
from TumorLoopLib.scene import alignment, brain, dicom, notes, views
from TumorLoopLib.scene.as_scanned import FirstLook
from TumorLoopLib.scene.inputs import Inputs
from TumorLoopLib.scene.volumes import VolumeSnapshot, came_from_server, remove

_YES, _NO = "yes", "no"


class PreparationSection(Section):
    """The checkbox *As scanned*, what the server has done, and the buttons to check and correct that.

    Args:
        context: Of the panel.
        inputs: The volumes.
    """

    def __init__(self, context: PanelContext, inputs: Inputs) -> None:
        super().__init__(context)
        self._inputs = inputs
        self._first_look = FirstLook()
        self._answered: tuple[list[str], bool] | None = None
        self._insisted: list[str] = []
        self._brain_before = 0
        ui = self.ui
        ui.scannedCheck.connect("stateChanged(int)", self._scanned_changed)
        ui.alignedButton.connect("clicked(bool)", self._toggle_alignment)
        ui.brainButton.connect("clicked(bool)", self._toggle_brain)
        ui.editBrainButton.connect("clicked(bool)", self._toggle_editing)

    def show(self, state: PanelState) -> None:
        """Show whether the volumes are as they were scanned, and what was done to them."""
        ui, parameters = self.ui, self.context.parameters
        nodes = self._inputs.chosen(parameters) if parameters is not None else {}
        busy = bool({SEGMENT, SUBMIT} & state.busy)
        self._show_check(nodes if not state.volumes_problem else {}, busy)
        steps = notes.steps_of(parameters.segmentation) if parameters is not None else []
        show_text(ui.preparationText, "\n".join(steps))
        aligned = alignment.shown(nodes.values())
        mask = parameters.brain if parameters is not None else None
        self.context.editing_brain &= mask is not None
        for button, offered, pressed in (
            (ui.alignedButton, aligned is not None, bool(aligned)),
            (ui.brainButton, mask is not None, views.overlay_shown(mask)),
            (ui.editBrainButton, mask is not None, self.context.editing_brain),
        ):
            button.setVisible(offered)
            button.enabled = not busy
            set_pressed(button, pressed)

    def leave_scene(self) -> None:
        """Forget the case."""
        self._answered, self._insisted, self.context.editing_brain = None, [], False

    def insist(self, snapshots: Mapping[str, VolumeSnapshot]) -> None:
        """Record that the user wants these volumes used although the server distrusts their registration or brain."""
        self._insisted = [snapshot.node_id for snapshot in snapshots.values()]

    def preparing(self, *, as_insisted: bool = False) -> Preparing:
        """Return how the volumes are to be prepared; asks the scene, so it belongs to the time of the request.

        Args:
            as_insisted: Do not ask again whether volumes should be used that the server distrusts.
        """
        parameters = self.context.parameters
        alignment.remove(parameters.t1ce)  # another volume may have been the reference before
        mask = parameters.brain
        known = None
        if mask is not None:
            known = ShownBrain(brain.copy_of(mask), brain.digest_of(mask), brain.was_edited(mask))
        as_scanned = {_YES: True, _NO: False}.get(parameters.as_scanned)
        chosen = [node.GetID() for node in self._inputs.chosen(parameters).values()]
        headers = tuple(dicom.files_of(parameters.t1ce))
        return Preparing(as_scanned, as_insisted and self._insisted == chosen, known, headers)

    def show_answer(
        self, result: SegmentationResult, snapshots: Mapping[str, VolumeSnapshot], segmentation: Any, name: str
    ) -> None:
        """Show what was done to the volumes before they were segmented."""
        found, scene = result.preparation, self.context.services.scene
        notes.set_steps(segmentation, found.steps if found is not None else ())
        self._answered = ([snapshot.node_id for snapshot in snapshots.values()], found is not None)
        reference = scene.GetNodeByID(snapshots[REFERENCE].node_id)
        for role, snapshot in snapshots.items():
            volume = scene.GetNodeByID(snapshot.node_id)
            if volume is None or role == REFERENCE:
                continue
            matrix = found.moved.get(role) if found is not None else None
            if matrix is not None:
                alignment.place(volume, snapshot.ijk_to_ras, matrix, reference.GetName())
            elif alignment.transform_of(volume) is not None:
                alignment.place(volume, snapshot.ijk_to_ras, np.eye(4), reference.GetName())
        self._show_mask(found, reference, name)

    def _show_mask(self, found: Preparation | None, reference: Any, name: str) -> None:
        """Replace the brain mask."""
        parameters, earlier = self.context.parameters, self.context.parameters.brain
        self.context.editing_brain, visible = False, True
        if earlier is not None:
            visible = views.overlay_shown(earlier)
            parameters.brain = None
            remove(earlier)
        if found is None or found.brain is None:
            return
        title = _("Brain of {name}").format(name=name)
        mask = brain.add_brain(*found.brain, reference, title, found.brain_digest, edited=found.brain_edited)
        views.show_overlay(mask, visible)
        parameters.brain = mask

    def _show_check(self, nodes: Mapping[str, Any], busy: bool) -> None:
        check, parameters = self.ui.scannedCheck, self.context.parameters
        check.enabled = bool(nodes) and not busy
        if not nodes:
            return
        prepared = all(came_from_server(node) for node in nodes.values())
        reasons = [] if prepared else self._first_look.reasons(nodes)
        scanned = bool(reasons)
        answered = self._answered
        if not prepared and answered is not None and answered[0] == [node.GetID() for node in nodes.values()]:
            scanned = answered[1]
        scanned = {_YES: True, _NO: False}.get(parameters.as_scanned, scanned)
        check.blockSignals(True)
        check.checked = scanned
        check.blockSignals(False)
        tip = _(
            "The volumes are as they came from the scanner: the server registers them to T1 with contrast and removes "
            "everything but the brain before it segments. Set by itself where the images ask for it; the server "
            "examines them as well, unless you change this box."
        )
        check.toolTip = "\n\n".join([tip, " ".join(reasons)] if reasons else [tip])

    # === What the user does ===

    def _scanned_changed(self, state: int) -> None:
        if self.context.parameters is not None:
            self.context.parameters.as_scanned = _YES if state else _NO

    def _toggle_alignment(self) -> None:
        nodes = self._inputs.chosen(self.context.parameters).values()
        on = not alignment.shown(nodes)
        for node in nodes:
            alignment.show(node, on)
        self.context.changed()

    def _toggle_brain(self) -> None:
        mask = self.context.parameters.brain
        views.show_overlay(mask, not views.overlay_shown(mask))
        self.context.changed()

    def _toggle_editing(self) -> None:
        """Put the brain mask into the editor instead of the segmentation, or the other way round."""
        mask = self.context.parameters.brain
        self.context.editing_brain = not self.context.editing_brain
        if self.context.editing_brain:
            self._brain_before = brain.last_change(mask)
            views.show_overlay(mask, True)
            self.ui.correctSection.collapsed = False
            self.context.show_status(_("The brain mask is in the editor. Click Edit mask again when you are done."))
        elif brain.last_change(mask) != self._brain_before:
            self.context.show_status(_("The brain mask was changed; the next Auto-segment uses it."))
        self.context.changed()
