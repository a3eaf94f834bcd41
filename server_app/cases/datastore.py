"""The case datastore: MONAI Label's interface over the catalog of cases and the submitted labels.

The studies folder is only read. A label's id is that of its case, as in MONAI Label's own datastore; together with a
tag it refers to the newest label with that tag. The label that came with a case has the tag ``source``.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore

from server_app.cases.case_ids import CaseIds
from server_app.cases.catalog import Catalog
from server_app.cases.claims import Claims
from server_app.cases.patients import ListedPatients
from server_app.cases.preprocessing_options import Preprocessor
from server_app.cases.removal import remove_upload
from server_app.cases.submissions import Submissions
from server_app.cases.uploads import Uploads, checked_id, conflict, order_of, same_or_conflict, whole_case
from server_app.common.identity import current
from server_app.common.params import user_of
from server_app.common.quarantine import Quarantine
from server_app.common.removal_lock import while_present
from server_app.common.request_notes import note
from server_app.errors import input_errors, refusal
from server_app.labels.split import Split
from server_app.labels.store import LabelStore
from server_app.labels.submission import FINAL, Submission
from server_app.workspace import Workspace
from training.atomic import write_json, write_with
from training.cases.case import Case, case_from_files


class CaseDatastore(Datastore):
    """Cases and labels of one server.

    Args:
        studies: The folder of cases; never written to.
        workspace: Holds everything else.
        source_labels: Whether labels that came with cases count as final ones.
        follow_links: Whether to read cases that links outside the studies point to.
        patients: A file that says which case is of which patient; see :mod:`training.cases.patient_file`.
        label_scheme: What the values of the labels that came with cases mean; ``None`` to recognize it.
    """

    def __init__(
        self,
        studies: Path,
        workspace: Workspace,
        *,
        source_labels: bool = False,
        follow_links: bool = False,
        patients: Path | None = None,
        label_scheme: str | None = None,
    ) -> None:
        self.workspace = workspace
        self.uploads = Uploads(workspace.uploads)
        labels = LabelStore(workspace.labels)
        self.ids = CaseIds(workspace.case_ids, labels)
        listed = ListedPatients(patients, self.ids, Split(workspace.split_file, labels))
        self.catalog = Catalog(
            studies,
            self.uploads,
            workspace.cache,
            self.ids,
            patients=listed,
            follow_links=follow_links,
            label_scheme=label_scheme,
        )
        self.labels = Submissions(self.catalog, labels, workspace, source_labels=source_labels)
        self.claims = Claims(workspace.claims)
        self._name = studies.name
        self._description = "Cases of four modalities: T1, T1 with contrast, T2, FLAIR"

    # === The store ===

    def name(self) -> str:
        """Return the name of the studies folder."""
        return self._name

    def set_name(self, name: str) -> None:
        """Change the name until the server ends."""
        self._name = name

    def description(self) -> str:
        """Return a description of the content."""
        return self._description

    def set_description(self, description: str) -> None:
        """Change the description until the server ends."""
        self._description = description

    def refresh(self) -> None:
        """Look for new cases."""
        self.catalog.search()

    def status(self) -> dict[str, Any]:
        """Count cases, those with a final label, labels by tag, unusable cases, and what is in the quarantine."""
        cases = self.catalog.all().values()
        return {
            "total": len(cases),
            "completed": sum(self.labels.is_labeled(case) for case in cases),
            "label_tags": dict(Counter(tag for case in cases for tag in self.labels.tags(case))),
            "problems": len(self.catalog.problems(wait_seconds=0)),
            "set_aside": len(Quarantine.of(self.workspace.root).entries()),
        }

    def json(self) -> dict[str, Any]:
        """Return everything, in the form of MONAI Label's own datastore."""
        objects = {}
        for case in self.catalog.all().values():
            labels = {tag: {"ext": ".nii.gz", "info": self.labels.info(case, tag)} for tag in self.labels.tags(case)}
            objects[case.id] = {"image": {"ext": ".nii.gz", "info": self._notes(case.id)}, "labels": labels}
        return {"name": self._name, "description": self._description, "objects": objects}

    def datalist(self) -> list[dict[str, Any]]:
        """Return the display volume and the final label of each labeled case."""
        return [
            {"image": self.get_image_uri(case_id), "label": str(self.labels.final_file(self.case(case_id)))}
            for case_id in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None = None) -> str:
        """Write a ZIP file with the volumes and final labels of the labeled cases; return its path."""
        chosen = self.get_labeled_images()[: limit_cases or None]

        def write(temporary: Path) -> None:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for case in map(self.case, chosen):
                    for path, name in sorted(_names_in_archive(case)):
                        archive.write(path, f"{case.id}/{name}")
                    archive.write(self.labels.final_file(case), f"{case.id}/label.nii.gz")

        return str(write_with(self.workspace.cache / "dataset.zip", write))

    # === Images ===

    def case(self, image_id: str, *, allow_missing: bool = False) -> Case:
        """Return a case; see :meth:`Catalog.get`.

        Raises:
            HTTPException: 404 if there is none of that id.
        """
        case = self.catalog.get(image_id, allow_missing=allow_missing)
        note(case=case.id)
        return case

    def list_images(self) -> list[str]:
        """Return the ids of all cases, sorted."""
        return list(self.catalog.all())

    def get_image(self, image_id: str, params: Any = None) -> bytes:
        """Return the display volume's file, as bytes."""
        return Path(self.get_image_uri(image_id)).read_bytes()

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of the one volume that represents a case: T1 with contrast."""
        return str(self.catalog.display_file(self.case(image_id)))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return what a client needs to show the display volume, and clients' notes."""
        case = self.case(image_id)
        path = self.catalog.display_file(case)
        return {**self._notes(case.id), "name": case.id, "path": str(path), "checksum": self.catalog.checksum(path)}

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Store a client's notes on an image."""
        case = self.case(image_id)
        with while_present(self.workspace, case):
            write_json(self.workspace.notes / f"{case.id}.json", {**self._notes(case.id), **info})

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store a 4D file as a case, as :meth:`add_case`, without preprocessing.

        Args:
            image_id: The name that the client gives it.
            image_filename: The file.
            image_info: ``order`` lists the roles of its volumes if they are not in the Decathlon's order.

        Returns:
            The case's id.
        """
        with input_errors():
            return self.add_case(image_id, whole_case(Path(image_filename), order_of(image_info)), image_info).id

    def add_case(
        self,
        name: str,
        sent: Case | Sequence[Path],
        facts: Mapping[str, Any],
        preprocessor: Preprocessor | None = None,
    ) -> Case:
        """Store a case.

        Args:
            name: That the client gives it.
            sent: Four files, whose names say which modality each is; or the case they are, under any id.
            facts: Who sends it.
            preprocessor: For volumes as they were scanned; without one they are stored as they are.

        Raises:
            HTTPException: 422 if it cannot be used, 409 if the id belongs to other images.
        """
        with input_errors():
            case_id = checked_id(name)
            self._refuse_reserved(case_id)
            if isinstance(sent, Case):
                case = replace(sent, id=case_id, patient="", label=None, allow_missing=False)
            else:
                case = case_from_files(sent, id=case_id)
            if self._in_studies(case_id):
                if any(source.channel is not None and not source.instances for source in case.sources.values()):
                    return same_or_conflict(self.case(case_id), case)
                raise conflict(case_id)
            return self._added(self.uploads.add(case, {"user": user_of(facts)}, preprocessor))

    def remove_image(self, image_id: str) -> None:
        """Remove an uploaded case; its files and labels are moved, not deleted.

        Raises:
            HTTPException: 409 for a case of the studies folder.
        """
        case = self.case(image_id)
        if remove_upload(self.workspace, case.id, current().name or "admin") is None:
            raise refusal(409, "image", f"Case {case.id} is in the studies folder, which the server only reads.")
        self.catalog.search()

    # === Labels ===

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Check a label and store it as a new version; see :meth:`Submissions.submit`. Returns the case's id."""
        with input_errors():
            submission = Submission.parse(label_tag, label_info)
        return self.labels.submit(self.case(image_id), Path(label_filename), submission)[0].case

    def submitted(self, case_id: str, tag: str, user: str | None) -> dict[str, Any]:
        """End the claim of the user who submitted a final label, or return who else has claimed the case."""
        other = self.claims.held_by_other(case_id, user)
        if other is None and tag == FINAL:
            with contextlib.suppress(OSError):  # the label is stored, and the claim will expire
                self.claims.release(case_id, user)
        return {"claimed_by": other.user if other is not None else None}

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> bytes:
        """Return the newest label with a tag, as bytes."""
        return Path(self.get_label_uri(label_id, label_tag)).read_bytes()

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of the newest label with a tag; 404 if there is none."""
        return str(self.labels.file(self.case(label_id), label_tag))

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """Return the provenance of the newest label with a tag, and clients' notes."""
        return self.labels.info(self.case(label_id), label_tag)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Store a client's notes on the newest label with a tag."""
        self.labels.note(self.case(label_id), label_tag, info)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove the newest label with a tag; its files are kept."""
        case = self.case(label_id)
        label = self.labels.remove(case, label_tag, current().name or "admin")
        note(label_version=label.version, sha256=label.record.get("sha256"))

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Return the tags of a case's labels, each with the label's id."""
        case = self.case(image_id)
        return dict.fromkeys(self.labels.tags(case), case.id)

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """Return the id of a case's label with a tag; empty if there is none."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the cases with a final label (or one with another tag) of the images that they have now."""
        cases = self.catalog.all().values()
        return [
            case.id for case in cases if self.labels.is_labeled(case, label_tag) and not self.labels.is_outdated(case)
        ]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the cases without a final label (or one with another tag)."""
        return [case.id for case in self.catalog.all().values() if not self.labels.is_labeled(case, label_tag)]

    def unlabeled_for(self, user: str | None) -> list[str]:
        """Return the cases without a final label that nobody else has claimed."""
        return [case for case in self.get_unlabeled_images() if self.claims.held_by_other(case, user) is None]

    # === Parts ===

    def _in_studies(self, case_id: str) -> bool:
        return self.catalog.find(case_id) is not None and not self.catalog.is_uploaded(case_id)

    def _refuse_reserved(self, case_id: str) -> None:
        if self.catalog.is_reserved(case_id):
            raise refusal(
                409,
                "image",
                f"The name {case_id} belongs to a case of the studies folder that is absent now; its labels are kept "
                "for it. Choose another name.",
            )

    def _added(self, case: Case) -> Case:
        self.catalog.add(case)
        note(case=case.id, sha256=case.fingerprint())
        return case

    def _notes(self, case_id: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.workspace.notes / f"{case_id}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


def _names_in_archive(case: Case) -> set[tuple[Path, str]]:
    """Return the files of a case, each with its name below the case's folder; series may have the same file names."""
    return {
        (path, f"{role}/{path.name}" if source.instances else path.name)
        for role, source in case.sources.items()
        for path in source.files
    }
