"""What the user can do now, and why not the rest: one typed object, from which every button follows.

Each ``reason_...`` method returns an empty text if the action is possible, otherwise the sentence that the panel
shows next to the disabled button. Nothing else in the panel decides whether a button is enabled.
"""

from __future__ import annotations

from dataclasses import dataclass

from TumorLoopLib.i18n import _

#: Kinds of jobs, see :class:`TumorLoopLib.jobs.jobs.Jobs`.
TEST, STATUS, OVERVIEW, CASE, SEGMENT, SUBMIT = "test", "status", "overview", "case", "segment", "submit"
TRAIN, VERSIONS, VOLUMES, START_SERVER, DIGEST, HISTORY, PICTURES, EXPORT = (
    "train", "versions", "volumes", "start server", "digest", "history", "pictures", "export"
)  # fmt: skip

#: Jobs that work on the scene, and end with it. Requests about the server itself continue.
SCENE_JOBS = frozenset({CASE, SEGMENT, SUBMIT, VOLUMES, DIGEST, HISTORY})
#: Those of them that the user started.
USER_JOBS = frozenset({CASE, SEGMENT, SUBMIT})

#: The steps in the order in which a user takes them.
SERVER_STEP, CASE_STEP, SEGMENT_STEP, CORRECT_STEP, RETRAIN_STEP = "server", "case", "segment", "correct", "retrain"
#: Which sections are open in which step.
OPEN_SECTIONS = {
    SERVER_STEP: ("serverSection",),
    CASE_STEP: ("caseSection",),
    SEGMENT_STEP: ("caseSection", "segmentSection"),
    CORRECT_STEP: ("correctSection", "submitSection"),
    RETRAIN_STEP: ("caseSection", "retrainSection"),
}


@dataclass(frozen=True)
class PanelState:
    """Everything that determines what is possible.

    Attributes:
        connected: Whether the server answered the last request for its status.
        busy: Kinds of the jobs that are running.
        volumes_problem: Why the four volumes cannot be segmented; empty if they can.
        has_segmentation: Whether a segmentation is selected.
        submitted: Whether the selected segmentation was submitted.
        cases_left: Cases on the server without a final label.
        new_corrections: Final labels the model in use was not trained on; ``None`` if not known.
        site_needs: Cases that a fit to the site's scanners needs; 0 if the server does not offer it, ``None`` if not
            known.
        current_version: The model version in use.
        chosen_version: The model version selected in the table; empty if none is.
        chosen_label: The label version selected in the history; empty if none is.
        local_server: Why no server can be started on this machine; empty if one can.
        own_server: Whether a server that this panel started is running.
    """

    address: str = ""
    connected: bool = False
    busy: frozenset[str] = frozenset()
    volumes_problem: str = ""
    case_id: str = ""
    has_segmentation: bool = False
    submitted: bool = False
    cases_total: int = 0
    cases_left: int = 0
    new_corrections: int | None = None
    site_needs: int | None = None
    training: bool = False
    current_version: str = ""
    chosen_version: str = ""
    chosen_label: str = ""
    local_server: str = ""
    own_server: bool = False

    def reason_test(self) -> str:
        """Why the connection cannot be tested."""
        return _first(
            (not self.address.strip(), _("Enter the server's address first.")),
            (TEST in self.busy, _("The test is running.")),
        )

    def reason_start_server(self) -> str:
        """Why no server can be started on this machine."""
        running = (self.own_server, _("A server started from this panel is running."))
        return _first((START_SERVER in self.busy, _("The server is starting.")), running) or self.local_server

    def reason_volumes(self) -> str:
        """Why the volumes cannot be changed."""
        return _first(
            (SEGMENT in self.busy, _("A segmentation is running. Wait until it is done, or cancel it.")),
            (SUBMIT in self.busy, _("The label is being submitted.")),
            (CASE in self.busy, _("A case is being loaded.")),
        )

    def reason_next_case(self) -> str:
        """Why no next case can be opened."""
        text = _("The server has no cases yet. Load one from a folder, or open a sample case.")
        labeled = _("All {total} cases on the server have a final label.").format(total=self.cases_total)
        reason = _first((self.cases_total == 0, text), (self.cases_left == 0, labeled))
        return self._reason_server() or reason or self.reason_volumes()

    def reason_sample(self) -> str:
        """Why no sample case can be opened."""
        return self._reason_server() or self.reason_volumes()

    def reason_segment(self) -> str:
        """Why the volumes cannot be segmented."""
        return self._reason_server() or self.volumes_problem or self.reason_volumes()

    def reason_submit(self) -> str:
        """Why the segmentation cannot be submitted."""
        text = _("There is no segmentation yet. Click Auto-segment, or choose one under Correct.")
        reason = _first(
            (not self.has_segmentation, text),
            (bool(self.volumes_problem), self.volumes_problem),
            (not self.case_id.strip(), _("Enter a name for the case first, under Case.")),
        )
        return self._reason_server() or reason or self.reason_volumes()

    def reason_load_label(self) -> str:
        """Why no earlier label can be loaded."""
        chosen = _first((not self.chosen_label, _("Select a version in the table first.")))
        return self._reason_server() or chosen or self.volumes_problem or self.reason_volumes()

    def reason_export(self) -> str:
        """Why no label can be exported."""
        changed = self.has_segmentation and not self.submitted and not self.chosen_label
        return self._reason_server() or _first(
            (EXPORT in self.busy, _("A label is being exported.")),
            (changed, _("Submit the segmentation first, or select an earlier version in the table.")),
        )

    def reason_retrain(self) -> str:
        """Why no training can be started."""
        return self._reason_server() or _first(
            (TRAIN in self.busy, _("The request is being sent.")),
            (self.training, _("A training run is in progress.")),
            (self.new_corrections is None, _("Checking for new corrections …")),
            (self.new_corrections == 0, _("There are no new corrections to train on. Submit one as final first.")),
        )

    def reason_fit_site(self) -> str:
        """Why the model cannot be fitted to the site's scanners."""
        few = _("This needs at least {needed} cases on the server; there are {total}. They need no labels.")
        return self._reason_server() or _first(
            (TRAIN in self.busy, _("The request is being sent.")),
            (self.training, _("A training run is in progress.")),
            (self.site_needs is None, _("Checking what the server offers …")),
            (self.site_needs == 0, _("This server does not offer it. Update the server.")),
            (self.cases_total < (self.site_needs or 0), few.format(needed=self.site_needs, total=self.cases_total)),
        )

    def reason_stop(self) -> str:
        """Why no training can be stopped."""
        sent = (TRAIN in self.busy, _("The request is being sent."))
        return _first(sent, (not self.training, _("No training is running.")))

    def reason_use_version(self) -> str:
        """Why the selected model version cannot be used."""
        used = _("{version} is already in use.").format(version=self.chosen_version)
        return self._reason_server() or _first(
            (not self.chosen_version, _("Select a version in the table first.")),
            (self.chosen_version == self.current_version, used),
            (VERSIONS in self.busy, _("The request is being sent.")),
        )

    def step(self) -> str:
        """Return the user's step; nothing that others do hides a correction that is not submitted."""
        if self.has_segmentation and not self.submitted:
            return CORRECT_STEP
        if not self.connected:
            return SERVER_STEP
        if self.submitted:
            return RETRAIN_STEP
        return CASE_STEP if self.volumes_problem else SEGMENT_STEP

    def _reason_server(self) -> str:
        text = _("There is no connection to a server. Test the connection under Server.")
        return _first((not self.connected, text))


def _first(*reasons: tuple[bool, str]) -> str:
    """Return the text of the first condition that holds; empty if none does."""
    return next((text for holds, text in reasons if holds), "")
