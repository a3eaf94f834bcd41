"""The loop as a clinician goes through it, using nothing but the client; every step is checked.

:meth:`Loop.run` reads as the tutorial: ask for a case, segment it, submit the correction, retrain, segment it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from TumorLoopLib.client import InferResult, TumorLoopClient
from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.local_server import LocalServer

from docs.demo.cases import DemoCases
from docs.demo.record import CaseRecord, LoopRecord, Segmentation
from docs.demo.terminal import Terminal
from training.cases.case import Case
from training.images.grid import Volume
from training.images.read import read_grid, read_labelmap
from training.images.write import write_labelmap
from training.labels import LABEL_NAMES

#: Seconds after which a training run that makes no progress counts as stuck.
STUCK_AFTER = 300.0


class DemoFailed(Exception):
    """A step failed or did not do what it should; the message says which and why."""


class Loop:
    """One walk through the loop.

    Args:
        client: Of a running server.
        cases: The cases, and what is known about them.
        out: Where results go.
        terminal: Shows what happens.
        corrections: How many cases to correct.
        train_params: For the training, for example ``{"max_epochs": 2}``.
    """

    def __init__(
        self,
        client: TumorLoopClient,
        cases: DemoCases,
        out: Path,
        terminal: Terminal,
        corrections: int,
        train_params: Mapping[str, Any],
    ) -> None:
        self._client = client
        self._cases = cases
        self._labeled = {case.id: case for case in cases.labeled}
        self._out = out
        self._terminal = terminal
        self._corrections = min(corrections, len(cases.labeled))
        self._train_params = dict(train_params)
        self.record = LoopRecord(notes=list(cases.notes))

    def wait_for(self, server: LocalServer) -> None:
        """Wait until a server that was just started answers."""
        with self._terminal.step("Started the server", self.record) as step:
            server.wait_until_ready(Reporter(), timeout=180.0)
            step.note = server.address

    def run(self) -> LoopRecord:
        """Go through the whole loop.

        Raises:
            DemoFailed: If a step does not do what it should; ``record`` holds what was reached.
            ClientError: If the server cannot be reached, refuses, or fails.
        """
        for number in range(self._corrections):
            record = self._segment(self._next_case())
            if number == 0:
                self._compare_with_upload(record)
            self.record.cases.append(record)
            self._submit(record)
        self._segment_without_correcting()
        self._retrain()
        for record in (*self.record.cases, *self.record.controls):
            assert record.truth is not None
            record.after = self._infer(record.case, "after")
            record.after.compare(record.truth)
        self._check_improvement()
        return self.record

    def _next_case(self) -> Case:
        """Ask the server which case to work on; it may name one whose true label is not known."""
        done = {record.case.id for record in self.record.cases}
        with self._terminal.step("Asked for the next case", self.record) as step:
            sample = self._client.next_sample("first")
            if sample is None:
                raise DemoFailed("The server has no case left to label, although there are some.")
            step.note = chosen = str(sample.get("id"))
            if chosen in done:
                raise DemoFailed(f"The server gives out {chosen} again, although its label was submitted.")
            if chosen not in self._labeled:
                chosen = next(name for name in self._labeled if name not in done)
                step.note += f" has no true label to correct by; {chosen} instead"
        return self._labeled[chosen]

    def _segment(self, case: Case) -> CaseRecord:
        record = CaseRecord(case, None, self._infer(case, "before"))
        if case.label is not None:
            record.truth = case.read_label()
            record.before.compare(record.truth)
        return record

    def _compare_with_upload(self, record: CaseRecord) -> None:
        """Send the four files of a case: the result must be the same as by its id."""
        case = record.case
        if any(source.channel is not None for source in case.sources.values()):
            return
        files = {role: source.path for role, source in case.sources.items()}
        with self._terminal.step(f"Sent the four volumes of {case.id}", self.record) as step:
            session = self._client.create_session(files, progress=step.sending)
            step.note = f"{sum(path.stat().st_size for path in files.values()) / 1e6:.1f} MB"
        uploaded = self._infer(case, "before-session", session)
        if not np.array_equal(uploaded.labelmap.data, record.before.labelmap.data):
            raise DemoFailed(f"{case.id}: the result for uploaded volumes differs from the result by case id.")

    def _segment_without_correcting(self) -> None:
        """Segment a labeled case as a control, to see what the network learns from the others; then the unlabeled."""
        corrected = {record.case.id for record in self.record.cases}
        for name in [name for name in self._labeled if name not in corrected][:1]:
            self.record.controls.append(self._segment(self._labeled[name]))
        for case in self._cases.unlabeled:
            try:
                self.record.unlabeled.append(self._segment(case))
            except ClientError as error:
                self.record.notes.append(f"{case.id} was not segmented: {error}")
                self._terminal.print(f"  {case.id} was not segmented: {error}")

    def _infer(self, case: Case, name: str, session: str = "") -> Segmentation:
        """Segment a case by its id, or from the volumes sent in a session."""
        folder = self._out / "results" / case.id
        how = "from the volumes sent" if session else "by its id"
        with self._terminal.step(f"Segmented {case.id} {how}", self.record) as step:
            started = time.perf_counter()
            case_id, session_id = (None, session) if session else (case.id, None)
            result = self._client.infer(case_id=case_id, session_id=session_id, folder=folder, name=name)
            seconds = time.perf_counter() - started
            labelmap = self._checked(case, result)
            whole = np.count_nonzero(labelmap.data) * labelmap.grid.voxel_ml
            version = str(result.params.get("model_version"))
            step.note = f"model {version}, tumor {whole:.1f} mL"
        return Segmentation(labelmap, version, seconds, result.params)

    def _checked(self, case: Case, result: InferResult) -> Volume:
        """Read a result and make sure that it lies on exactly the grid of the case's T1ce."""
        labelmap = read_labelmap(result.path)
        grid = read_grid(case.sources["t1ce"].path)
        if not grid.matches(labelmap.grid, tolerance_mm=1e-3):
            raise DemoFailed(f"{case.id}: the result is not on the grid of T1ce: {grid.difference(labelmap.grid)}.")
        unknown = set(np.unique(labelmap.data).tolist()) - {0, *LABEL_NAMES.values()}
        if unknown:
            raise DemoFailed(f"{case.id}: the result holds the unknown values {sorted(unknown)}.")
        return labelmap

    def _submit(self, record: CaseRecord) -> None:
        """Submit the true label as the correction, and make sure that the server has it."""
        assert record.truth is not None
        case = record.case.id
        corrected = write_labelmap(record.truth, self._out / "results" / case / "corrected.nii.gz")
        params = {
            "label_info": [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()],
            "comment": "the true label, standing in for a clinician's correction",
            "model_version": record.before.version,
        }
        with self._terminal.step(f"Submitted the correction of {case}", self.record) as step:
            earlier = len(self._client.labels(case))
            self._client.save_label(case, corrected, params, progress=step.sending)
            labels = self._client.labels(case)
            if len(labels) != earlier + 1:
                raise DemoFailed(f"{case}: the server keeps {len(labels)} labels after the submission of one.")
            step.note = record.label_version = str(labels[-1].get("version", ""))

    def _retrain(self) -> None:
        before = {version["id"] for version in self._client.versions()}
        with self._terminal.step("Retrained the network on the corrections", self.record, spinner=False) as step:
            self._client.train(params=self._train_params)
            self._follow_training()
            self.record.versions = self._client.versions()
            new = [version["id"] for version in self.record.versions if version["id"] not in before]
            if not new:
                raise DemoFailed("The training ended, but there is no new model version.")
            step.note = str(self.record.training.get("message") or ", ".join(new))

    def _follow_training(self) -> None:
        """Show the training's live numbers until it has ended."""
        last_change, seen = time.monotonic(), None
        with self._terminal.training() as bar:
            while True:
                status = self._client.train_status() or {}
                self.record.training = stats = self._client.train_stats()
                bar.show(stats)
                self.record.history = list(stats.get("history") or self.record.history)
                state = str(status.get("status"))
                if state == "DONE":
                    return
                if state in ("ERROR", "STOPPED"):
                    details = "\n".join(status.get("details") or [])
                    raise DemoFailed(f"The training ended with {state}. {stats.get('message') or ''}\n{details}")
                progress = (state, stats.get("epoch"), stats.get("step"), stats.get("message"), str(stats.get("train")))
                if progress != seen:
                    last_change, seen = time.monotonic(), progress
                if time.monotonic() - last_change > STUCK_AFTER:
                    raise DemoFailed(f"The training made no progress for {STUCK_AFTER:.0f} seconds.")
                time.sleep(1.0)

    def _check_improvement(self) -> None:
        """Make sure that each corrected case is segmented better, by a new model."""
        for record in self.record.cases:
            assert record.after is not None
            name, before, after = record.case.id, record.before, record.after
            if after.version == before.version:
                reason = self.record.training.get("message") or "The new version was not promoted."
                raise DemoFailed(f"{name} is still segmented by {before.version}. {reason}")
            if not record.improved:
                change = f"Dice is {after.mean_dice:.3f} after the retraining and was {before.mean_dice:.3f} before"
                raise DemoFailed(f"{name}: {change}.")
