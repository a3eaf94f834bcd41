"""Faults in the panel: its widgets, its signals, what it sends and says, and when."""

from __future__ import annotations

from tests.slicer_extension.mutation.mutant import Mutant

_PLAYED = "tests/slicer_extension/played"
_UI = "Resources/UI/TumorLoop.ui"


def _segmenting(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PLAYED}/test_segmenting.py::{name}" for name in names)


def _submitting(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PLAYED}/test_submitting.py::{name}" for name in names)


def _kept(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PLAYED}/test_nothing_lost.py::{name}" for name in names)


def _later(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PLAYED}/test_server_and_scene.py::{name}" for name in names)


_FIRST = _segmenting("test_the_first_look_leads_to_the_server_and_nothing_else_is_possible")
_FOUND = _segmenting("test_four_volumes_are_found_and_a_missing_one_is_named")
_SENT = _segmenting("test_four_volumes_are_sent_voxel_for_voxel_with_their_place_in_the_world")
_SHOWN = _segmenting("test_the_answer_is_a_new_segmentation_with_names_colors_and_place")
_TWICE = _segmenting("test_unchanged_volumes_are_not_sent_twice", "test_moved_volumes_are_sent_again")
_GRID = _segmenting("test_an_answer_on_another_grid_is_refused_and_nothing_is_lost")
_CANCEL = _segmenting("test_cancel_ends_a_segmentation_within_a_second_and_tells_the_server")
_CONSENT = _segmenting("test_nothing_is_sent_to_another_machine_without_consent", "test_consent_is_asked_for_once")
_LABEL = _submitting("test_what_is_submitted_is_the_edited_segmentation_with_who_and_what")
_DRAFT = _submitting("test_a_draft_is_a_draft")
_EMPTY = _submitting("test_an_empty_segmentation_is_asked_about_before_it_is_sent")
_KEYS = _submitting("test_the_keys_flip_through_the_modalities_and_hide_the_segmentation")
_TABLE = _submitting("test_the_table_tells_milliliters_and_what_changed")
_AGAIN = _submitting("test_an_edit_after_submitting_leads_back_to_correcting")
_TRAINING = _later("test_retraining_shows_its_progress_and_can_be_stopped")
_ROLLBACK = _later("test_a_promotion_is_taken_back_when_the_clinician_confirms")
_CLOSING = _later("test_closing_the_scene_while_the_server_computes_leaves_a_panel_that_can_go_on")
_BEFORE = _later("test_the_editor_lets_go_of_the_scene_before_it_is_closed")
_LOST_SEGMENT = _submitting("test_a_lost_segment_is_not_lost_silently")
_OWN = _kept("test_volumes_of_the_scenes_own_stay_when_the_next_case_comes")
_ELSEWHERE = _kept("test_volumes_go_to_no_server_but_the_one_they_came_from_without_consent")


def _library(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Mutant:
    return Mutant(name, f"TumorLoopLib/{file}", old, new, tests)


WIDGETS = (
    _library(
        "wrong signal name",
        "panel/section_segment.py",
        'self.ui.segmentButton.connect("clicked(bool)"',
        'self.ui.segmentButton.connect("click(bool)"',
        _FIRST,
    ),
    Mutant("renamed widget in the .ui file", _UI, 'name="segmentButton"', 'name="autoSegmentButton"', _FIRST),
    Mutant(
        "unknown widget class in the .ui file",
        _UI,
        'class="ctkCollapsibleButton" name="caseSection"',
        'class="ctkColapsibleButton" name="caseSection"',
        _FIRST,
    ),
    Mutant(
        "parameter misspelled in the .ui file", _UI, ">flair</string></property>", ">flairs</string></property>", _FOUND
    ),
    _library(
        "property misspelled", "panel/context.py", "button.enabled = not reason", "button.enable = not reason", _FIRST
    ),
    _library(
        "enable logic inverted",
        "panel/context.py",
        "button.enabled = not reason",
        "button.enabled = bool(reason)",
        _FIRST,
    ),
    _library(
        "reasons of disabled buttons lost",
        "panel/context.py",
        "button.toolTip = reason or tip",
        "button.toolTip = tip",
        _FIRST,
    ),
    _library(
        "a node in the wrong parameter",
        "panel/section_segment.py",
        "            parameters.segmentation = segmentation\n",
        "            parameters.answer = segmentation\n",
        _SHOWN,
    ),
    _library(
        "keys one off", "panel/section_correct.py", "enumerate(ROLES, start=1)", "enumerate(ROLES, start=0)", _KEYS
    ),
    _library(
        "the overlay cannot be switched",
        "panel/section_correct.py",
        "views.show_overlay(segmentation, not views.overlay_shown(segmentation))",
        "views.show_overlay(segmentation, views.overlay_shown(segmentation))",
        _KEYS,
    ),
)

SENDING = (
    _library("wrong reference volume", "jobs/segment_and_submit.py", 'REFERENCE = "t1ce"', 'REFERENCE = "t1"', _SHOWN),
    _library(
        "unchanged volumes sent again",
        "jobs/sending.py",
        "if sent.session and sent.digests == digests:",
        "if False:",
        _TWICE,
    ),
    _library(
        "all volumes sent when one has changed",
        "jobs/sending.py",
        'base = sent.session if len(changed) < len(digests) else ""',
        'changed, base = list(digests), ""',
        _TWICE,
    ),
    _library(
        "cancel ignored by the panel", "panel/section_segment.py", "self.desk.jobs.cancel(SEGMENT)", "pass", _CANCEL
    ),
    _library(
        "the server computes on after Cancel",
        "jobs/segment_and_submit.py",
        "            threading.Thread(target=_cancel_on_server, args=(self._client, job), daemon=True).start()\n",
        "",
        _CANCEL,
    ),
    _library(
        "an answer on another grid shown",
        "jobs/segment_and_submit.py",
        "        _check_grid(array, ijk_to_ras, order.snapshots[REFERENCE])\n",
        "",
        _GRID,
    ),
    _library(
        "an error not told",
        "panel/context.py",
        'self.say(f"{trouble} {sentences.of_error(error)}", BAD)',
        "pass",
        _GRID,
    ),
    _library(
        "images sent without consent",
        "panel/section_segment.py",
        "if desk.settings.consented(desk.address):",
        "if True:",
        _CONSENT,
    ),
    _library(
        "consent forgotten", "panel/section_segment.py", "    desk.settings.consent(desk.address)\n", "", _CONSENT
    ),
)

SUBMITTING = (
    _library(
        "a draft submitted as final",
        "panel/section_submit.py",
        "status = FINAL if parameters.final else DRAFT",
        "status = FINAL",
        _DRAFT,
    ),
    _library("comment lost", "panel/section_submit.py", '"comment": parameters.comment,', '"comment": "",', _LABEL),
    _library(
        "label values sent by position",
        "panel/section_submit.py",
        '[{"name": one.name, "idx": one.value} for one in labels.labels]',
        '[{"name": one.name, "idx": number} for number, one in enumerate(labels.labels)]',
        _LABEL,
    ),
    _library(
        "nobody's name on the label",
        "panel/context.py",
        "user=self.user, timeouts=timeouts",
        "timeouts=timeouts",
        _LABEL,
    ),
    _library(
        "an empty label submitted unasked",
        "panel/section_submit.py",
        "        if report.problems:\n",
        "        if False:\n",
        _EMPTY,
    ),
    _library(
        "edits do not reach the live volumes",
        "panel/section_correct.py",
        "self._due = time.monotonic() + DEBOUNCE",
        "pass",
        _TABLE,
    ),
    _library(
        "an edit after submitting overlooked",
        "panel/section_correct.py",
        "        if self.desk.submitted:\n",
        "        if False:\n",
        _AGAIN,
    ),
)

LATER = (
    _library(
        "number of epochs ignored",
        "panel/section_retrain.py",
        'params = {"max_epochs": epochs} if epochs > 0 else {}',
        "params: dict[str, int] = {}",
        _TRAINING,
    ),
    _library(
        "Stop does nothing",
        "panel/section_retrain.py",
        "connection.client().stop_training()",
        "connection.client().train_status()",
        _TRAINING,
    ),
    _library(
        "Roll back does nothing",
        "panel/section_retrain.py",
        "connection.client().rollback()",
        "connection.client().info()",
        _ROLLBACK,
    ),
    _library(
        "work goes on in a closed scene",
        "panel/panel.py",
        "        self.desk.jobs.abandon(*of_scene)\n",
        "",
        _CLOSING,
    ),
    _library(
        "a closed scene not let go of",
        "panel/panel.py",
        "        self._leave_scene(ended)\n",
        "",
        _BEFORE,
    ),
    _library(
        "volumes of the scene's own thrown away",
        "panel/section_case.py",
        "        if not came_from_server(reference):\n            return []\n",
        "",
        _OWN,
    ),
    _library(
        "images sent to a server that does not know the case, unasked",
        "panel/section_submit.py",
        "origin_of(parameters) != self.desk.pulse.server and",
        "not origin_of(parameters) and",
        _ELSEWHERE,
    ),
    _library(
        "what was done to a segmentation not told", "panel/section_submit.py", ", *notices])", "])", _LOST_SEGMENT
    ),
)

MUTANTS = (*WIDGETS, *SENDING, *SUBMITTING, *LATER)
