"""The loop as a clinician walks it, through the client alone, each step checked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from TumorLoopLib.client import InferResult, TumorLoopClient
from TumorLoopLib.client.errors import ClientError

from tests.end_to_end.demo.errors import DemoFailed
from tests.end_to_end.demo.record import Answer, CaseRecord, LoopRecord
from tests.end_to_end.demo.studies import Studies
from tests.end_to_end.demo.teller import Teller
from training.cases.case import Case
from training.images.grid import Volume
from training.images.read import read_grid, read_labelmap
from training.images.write import write_labelmap
from training.labels import LABEL_NAMES

#: Seconds after which a training that shows no progress counts as stuck.
STUCK_AFTER = 300.0


class Loop:
    """One walk through the loop.

    Args:
        client: Of a running server.
        studies: The cases, and what is known of them.
        out: Where results go.
        teller: Shows what happens.
        corrections: How many cases to correct.
        train_params: For the training, for example ``{"max_epochs": 2}``.
    """

    def __init__(
        self,
        client: TumorLoopClient,
        studies: Studies,
        out: Path,
        teller: Teller,
        *,
        corrections: int = 2,
        train_params: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._studies = studies
        self._out = out
        self._teller = teller
        self._corrections = min(corrections, len(studies.labeled))
        self._train_params = dict(train_params or {})
        self.record = LoopRecord(notes=list(studies.notes))

    def run(self) -> LoopRecord:
        """Walk through all of it.

        Raises:
            DemoFailed: If a step does not do what it should; ``record`` holds what was reached.
            ClientError: If the server cannot be reached, refuses, or fails.
        """
        truths = {case.id: case for case in self._studies.labeled}
        for number in range(self._corrections):
            case = self._next_case(truths)
            self.record.cases.append(self._segment(case, by_session=number == 0))
            self._submit(self.record.cases[-1])
        self._segment_control(truths)
        for case in self._studies.unlabeled:
            self._segment_only(case)
        self._retrain()
        for done in (*self.record.cases, *self.record.controls):
            self._segment_again(done)
        self._judge()
        return self.record

    def _next_case(self, truths: Mapping[str, Case]) -> Case:
        """Ask for work until the server names a case whose truth is known."""
        done = {record.case.id for record in self.record.cases}
        with self._teller.step("Asked for the next case", self.record) as step:
            sample = self._client.next_sample("first")
            if sample is None:
                raise DemoFailed("The server has no case left to label, although there are some.")
            chosen = str(sample.get("id"))
            if chosen in done:
                raise DemoFailed(f"The server gives out {chosen} again, although its label was submitted.")
            if chosen not in truths:
                chosen = next(name for name in truths if name not in done)
                step.note = f"{sample.get('id')} has no truth to correct by; {chosen} instead"
            else:
                step.note = chosen
        return truths[chosen]

    def _segment(self, case: Case, *, by_session: bool) -> CaseRecord:
        """Segment a case: by sending its files if ``by_session`` (and compare), else by its id."""
        files = {role: source.path for role, source in case.sources.items()}
        loose = all(source.channel is None for source in case.sources.values())
        by_id = self._answer(case, "before", case_id=case.id)
        if by_session and loose:
            with self._teller.step(f"Sent the four volumes of {case.id}", self.record) as step:
                session = self._client.create_session(files, progress=step.sending)
                step.note = f"{sum(path.stat().st_size for path in files.values()) / 1e6:.1f} MB"
            sent = self._answer(case, "before-session", session_id=session)
            if not np.array_equal(sent.labelmap.data, by_id.labelmap.data):
                raise DemoFailed(f"{case.id}: the answer to sent volumes differs from the answer by case id.")
        record = CaseRecord(case, None, by_id)
        if case.label is not None:
            record.truth = case.read_label()
            by_id.compare(record.truth)
        return record

    def _segment_control(self, truths: Mapping[str, Case]) -> None:
        """Segment one labeled case without telling its truth, to see what the network learns from the others."""
        corrected = {record.case.id for record in self.record.cases}
        for name in [name for name in truths if name not in corrected][:1]:
            self.record.controls.append(self._segment(truths[name], by_session=False))

    def _segment_only(self, case: Case) -> None:
        try:
            self.record.others.append(self._segment(case, by_session=False))
        except ClientError as error:
            self.record.notes.append(f"{case.id} was not segmented: {error}")
            self._teller.say(f"  {case.id} was not segmented: {error}")

    def _answer(self, case: Case, name: str, *, case_id: str | None = None, session_id: str | None = None) -> Answer:
        folder = self._out / "results" / case.id
        how = "by its id" if session_id is None else "from the volumes sent"
        with self._teller.step(f"Segmented {case.id} {how}", self.record) as step:
            started = time.perf_counter()
            result = self._client.infer(case_id=case_id, session_id=session_id, folder=folder, name=name)
            seconds = time.perf_counter() - started
            labelmap = self._checked(case, result)
            whole = np.count_nonzero(labelmap.data) * labelmap.grid.voxel_ml
            step.note = f"model {result.params.get('model_version')}, tumor {whole:.1f} mL"
        params = result.params
        return Answer(
            result.path,
            labelmap,
            str(params.get("model_version")),
            seconds,
            dict(params.get("seconds") or {}),
            dict(params.get("volumes_ml") or {}),
            list(params.get("warnings") or []),
        )

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
        """Submit the truth as the correction, and make sure that the server has it."""
        assert record.truth is not None
        case = record.case.id
        corrected = write_labelmap(record.truth, self._out / "results" / case / "corrected.nii.gz")
        params = {
            "label_info": [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()],
            "comment": "the true label, standing in for a clinician's correction",
            "model_version": record.before.version,
        }
        with self._teller.step(f"Submitted the correction of {case}", self.record) as step:
            earlier = len(self._client.labels(case))
            self._client.save_label(case, corrected, params, progress=step.sending)
            labels = self._client.labels(case)
            if len(labels) != earlier + 1:
                raise DemoFailed(f"{case}: the server keeps {len(labels)} labels after the submission of one.")
            record.label_version = str(labels[-1].get("version", ""))
            step.note = record.label_version

    def _retrain(self) -> None:
        before = {str(version.get("id")) for version in self._client.versions()}
        with self._teller.step("Retrained the network on the corrections", self.record, spinner=False) as step:
            self._client.train(params=self._train_params)
            self._follow_training()
            self.record.versions = self._client.versions()
            new = [str(version.get("id")) for version in self.record.versions if str(version.get("id")) not in before]
            if not new:
                raise DemoFailed("The training ended, but there is no new model version.")
            step.note = str(self.record.training.get("message") or ", ".join(new))

    def _follow_training(self) -> None:
        """Show the training's live numbers until it has ended."""
        last_change, seen = time.monotonic(), None
        with self._teller.training() as bar:
            while True:
                status = self._client.train_status() or {}
                stats = self._client.train_stats()
                bar.show(stats)
                self.record.training = stats
                self.record.history = list(stats.get("history") or self.record.history)
                state = str(status.get("status"))
                if state == "DONE":
                    return
                if state in ("ERROR", "STOPPED"):
                    details = "\n".join(status.get("details") or [])
                    raise DemoFailed(f"The training ended with {state}. {stats.get('message') or ''}\n{details}")
                moving = (state, stats.get("epoch"), stats.get("step"), stats.get("message"), str(stats.get("train")))
                if moving != seen:
                    last_change, seen = time.monotonic(), moving
                if time.monotonic() - last_change > STUCK_AFTER:
                    raise DemoFailed(f"The training has not moved for {STUCK_AFTER:.0f} seconds.")
                time.sleep(1.0)

    def _segment_again(self, record: CaseRecord) -> None:
        assert record.truth is not None
        record.after = self._answer(record.case, "after", case_id=record.case.id)
        record.after.compare(record.truth)

    def _judge(self) -> None:
        """Make sure that the loop did what it is for."""
        for record in self.record.cases:
            assert record.after is not None
            name = record.case.id
            if record.after.version == record.before.version:
                reason = self.record.training.get("message") or "The new version was not promoted."
                raise DemoFailed(f"{name} is still segmented by {record.before.version}. {reason}")
            if not record.improved:
                raise DemoFailed(
                    f"{name}: Dice is {record.after.mean_dice:.3f} after the retraining and was "
                    f"{record.before.mean_dice:.3f} before."
                )
