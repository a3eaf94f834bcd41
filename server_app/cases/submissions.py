"""Submitting labels, and which are used for training: combines catalog, label store, predictions and split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server_app.cases.case_ids import images_digest
from server_app.cases.catalog import Catalog
from server_app.cases.image_changes import ImageChanges
from server_app.common.read_limit import reading
from server_app.common.removal_lock import Stamp, stamp_of, while_present
from server_app.common.request_notes import note
from server_app.errors import input_errors, refusal, unknown
from server_app.labels.check import CheckedLabel, check_label
from server_app.labels.position import check_position
from server_app.labels.predictions import Predictions
from server_app.labels.split import Split
from server_app.labels.store import LabelStore, LabelVersion
from server_app.labels.submission import FINAL, SOURCE, Submission
from server_app.workspace import Workspace
from training.cases.case import Case
from training.clock import now
from training.images.write import write_labelmap
from training.retraining.corrections import Correction

#: Maximum number of repeated submissions of a label that are recorded.
_MAX_REPEATS = 50

logger = logging.getLogger(__name__)


class Submissions:
    """The labels of the catalog's cases.

    Args:
        catalog: The cases.
        store: Their labels.
        workspace: Holds predictions and the split.
        source_labels: Whether labels that came with cases count as final ones.
    """

    def __init__(self, catalog: Catalog, store: LabelStore, workspace: Workspace, *, source_labels: bool) -> None:
        self.store = store
        self.predictions = Predictions(workspace.answers)
        self.split = Split(workspace.split_file, self.store)
        self._catalog = catalog
        self._workspace = workspace
        self._cache = workspace.cache / "source"
        self._source_labels = source_labels
        self._changes = ImageChanges()

    def submit(
        self, case: Case, file: Path, submission: Submission, stamp: Stamp | None = None
    ) -> tuple[LabelVersion, bool]:
        """Check a label and store it as a new version.

        Args:
            case: The case it belongs to.
            file: The labelmap.
            submission: What is said of it.
            stamp: The case's, from when the work on the label began; ``None`` takes that of the case as it is now.

        Returns:
            The version, and whether it is new (the same label twice is one version).

        Raises:
            HTTPException: 422 for a label that cannot be used, 404 if the case was removed in the meantime, 409 if it
                corrects a segmentation of images that have changed since.
        """
        stamp = stamp or stamp_of(self._workspace, case)
        with input_errors():
            with reading():
                checked = check_label(
                    file,
                    case,
                    submission.label_info,
                    reference=submission.reference,
                    allow_empty=submission.allow_empty,
                    label_scheme=submission.label_scheme,
                )
                if not submission.allow_outside:
                    check_position(checked, case)
            record = {**submission.record(), **self._origin(case, checked, submission)}
            with while_present(self._workspace, case, stamp):
                if submission.tag == FINAL:
                    record["split"] = self.split.assign([case.patient])[case.patient]
                label, new = self.store.add(case.id, checked.volume, record)
                if not new:
                    self._record_repeat(label, record)
        facts = {name: label.record.get(name) for name in ("sha256", "model_version")}
        note(case=case.id, label_version=label.version, new=new, **facts)
        return label, new

    def _origin(self, case: Case, checked: CheckedLabel, submission: Submission) -> dict[str, Any]:
        """Return what a label was drawn on, and how it relates to the model's segmentation."""
        images = images_digest(case)
        version = submission.model_version
        if version is not None and self.predictions.is_of_other_images(case.id, version, images):
            message = f"The images of case {case.id} have changed since {version} segmented them. Segment them again."
            raise refusal(409, "image", message)
        # The segmentation that the client corrected counts; a newer one says nothing about the correction.
        against = self.predictions.compare(
            case.id, checked.volume, images, model_version=version, answer_time=submission.answer_time
        )
        submission.check_activity(against.get("answer_time"))
        corrects = version is not None or bool(against)
        return {
            "source": submission.source or ("correction" if corrects else "manual"),
            "reference": checked.reference,
            "values": checked.scheme,
            "patient": case.patient,
            "place": self._catalog.place(case),
            "images": images,
            **against,
        }

    def _record_repeat(self, label: LabelVersion, record: Mapping[str, Any]) -> None:
        """Record what is new about a label that was submitted again, for example an approval; it stays one version."""
        said = {name: record[name] for name in ("user", "comment", "status")}
        earlier = label.notes().get("said_again")
        history = [entry for entry in earlier if isinstance(entry, dict)] if isinstance(earlier, list) else []
        last = history[-1] if history else label.record
        if any(last.get(name) != value for name, value in said.items()):
            self.store.note(label, {"said_again": [*history, {**said, "time": now()}][-_MAX_REPEATS:]})

    def note(self, case: Case, tag: str, info: dict[str, Any]) -> None:
        """Store a client's notes on the newest label with a tag; 404 if there is none."""
        with while_present(self._workspace, case):
            self.store.note(self.newest(case, tag), info)

    def remove(self, case: Case, tag: str, user: str) -> LabelVersion:
        """Mark the newest label with a tag as removed and return it; 404 if there is none."""
        with while_present(self._workspace, case):
            label = self.newest(case, tag)
            self.store.remove(case.id, tag, user)
            return label

    def newest(self, case: Case, tag: str) -> LabelVersion:
        """Return the newest label with a tag; 404 if there is none."""
        label = self.store.newest(case.id, tag)
        if label is None:
            raise unknown("label", f"Case {case.id} has no label with the tag {tag[:32]!r}.")
        return label

    def file(self, case: Case, tag: str) -> Path:
        """Return the labelmap of the newest label with a tag; 404 if there is none."""
        if tag == SOURCE and case.label is not None:
            return self._converted_source(case)
        return self.newest(case, tag).path

    def final_file(self, case: Case) -> Path:
        """Return the labelmap of a labeled case."""
        return self.file(case, FINAL if self.store.newest(case.id, FINAL) is not None else SOURCE)

    def info(self, case: Case, tag: str) -> dict[str, Any]:
        """Return the provenance of the newest label with a tag, and clients' notes; 404 if there is none."""
        if tag == SOURCE and case.label is not None:
            return {"tag": SOURCE, "file": case.label.name}
        label = self.newest(case, tag)
        return {**label.provenance, "version": label.version, **label.notes()}

    def tags(self, case: Case) -> list[str]:
        """Return the tags of a case's labels."""
        tags = self.store.tags(case.id)
        return sorted(tags | {SOURCE} if case.label is not None else tags)

    def is_labeled(self, case: Case, tag: str | None = None) -> bool:
        """Return whether a case has a final label, or one with another tag."""
        if tag not in (None, "", FINAL):
            return self.store.newest(case.id, str(tag)) is not None
        return self.store.newest(case.id, FINAL) is not None or (self._source_labels and case.label is not None)

    def is_outdated(self, case: Case) -> bool:
        """Return whether a case's images have changed since its newest final label was submitted."""
        label = self.store.newest(case.id, FINAL)
        return label is not None and self._changes.since(case, label)

    def corrections(self) -> list[Correction]:
        """Return the newest final label of each case in the order of arrival, with the patient's split.

        Labels of images that have changed since are left out; :meth:`problems` names them.
        """
        found: list[tuple[str, Correction]] = []
        for case in self._catalog.all().values():
            label = self.store.newest(case.id, FINAL)
            if label is not None and self.is_outdated(case):
                logger.warning("The images of case %s have changed; its label is left out.", case.id)
            elif label is not None:
                correction = Correction(case, label.path, label_sha256=str(label.record.get("sha256") or ""))
                found.append((str(label.record.get("time")), correction))
            elif self._source_labels and case.label is not None:
                found.append(("", Correction(case, case.label)))
        found.sort(key=lambda item: (item[0], item[1].case.id))
        split = self.split.assign(correction.case.patient for _, correction in found)
        return [correction.with_split(split[correction.case.patient]) for _, correction in found]

    def cases(self) -> list[Case]:
        """Return all cases, with and without labels."""
        return list(self._catalog.all().values())

    def problems(self) -> list[dict[str, str]]:
        """Return the labels that cannot be used, by the location of their cases, and why."""
        found = []
        for case in self._catalog.all().values():
            if self.is_outdated(case):
                message = (
                    f"The images of case {case.id} have changed since its label was submitted, so it is not used for "
                    "training. Submit it again if it fits the new images."
                )
                found.append({"path": self._catalog.place(case) or case.id, "message": message})
        return found

    def _converted_source(self, case: Case) -> Path:
        """Return the label that came with a case, with TumorLoop's values."""
        assert case.label is not None
        stat = case.label.stat()
        with input_errors():
            # what names the label scheme may change while the file stays the same, and so does the reading
            values = "".join(f"{value}{meant}" for value, meant in sorted(case.label_reading().values.items()))
            path = self._cache / f"{case.id}-{stat.st_size}-{stat.st_mtime_ns}-{values}.nii.gz"
            if not path.is_file():
                write_labelmap(case.read_label(), path)
        return path
