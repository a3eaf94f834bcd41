"""What a client sends to be segmented or kept: volumes or a DICOM study; a brain mask; DICOM headers of volumes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import UploadFile

from server_app.api.dicom_files import dicom_in
from server_app.api.uploaded_files import check_endings, received
from server_app.cases.dicom_study import dicom_study, unclear, write_series
from server_app.cases.preprocessing_options import PreprocessingOptions
from server_app.inference.preprocessing import UploadPreprocessor
from server_app.inference.queue import Ticket
from server_app.inference.session_files import keep_extra
from server_app.services import Services
from server_app.settings import Limits
from training.cases.case import Case
from training.errors import InputError
from training.images.read import image_ending, read_grid
from training.modalities import REFERENCE_ORDER, ROLES, recognized, role_of

#: The parameters of an upload that say how it is preprocessed.
UPLOAD_CHOICES = ("roles", "as_scanned", "force")
UPLOAD_OTHERS = ("job", "order", "client_id", "user")


@dataclass(frozen=True)
class Upload:
    """The files of one request.

    Attributes:
        files: The volumes; empty for a DICOM study.
        folder: The folder of the volumes, or of the files of the study and nothing else.
        study: The study as a case, or ``None``.
        series: All series of the study, for the client.
        roles: Role to the ``id`` of its series.
        brain: A brain mask that was sent along.
        headers: The headers of DICOM files that were sent along.
    """

    files: list[Path]
    folder: Path
    study: Case | None = None
    series: list[dict[str, Any]] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    brain: Path | None = None
    headers: str | None = None

    def as_session(self, *, in_folder: bool = False) -> Path:
        """Return the file or folder that becomes a session; with ``in_folder`` a folder in any case."""
        if self.study is not None:
            write_series(self.folder, self.study)
        keep_extra(self.folder, self.brain, self.headers)
        alone = len(self.files) == 1 and not (in_folder or self.brain or self.headers)
        return self.files[0] if alone else self.folder


@contextmanager
def uploaded(
    files: Sequence[UploadFile],
    incoming: Path,
    params: Mapping[str, Any],
    *,
    field: str = "files",
    allow_missing: bool = False,
    brain: UploadFile | None = None,
    dicom: UploadFile | None = None,
) -> Iterator[Upload]:
    """Save and check the files of a request; they are deleted afterwards.

    Args:
        files: From FastAPI: volumes, one archive, or DICOM files.
        incoming: Where they are saved.
        params: May hold ``roles``.
        field: Of the form, for errors.
        allow_missing: Whether modalities may be missing.
        brain: A brain mask.
        dicom: An archive with DICOM files, for their headers.

    Raises:
        HTTPException: As :func:`received`; 422 with the list of series if it is not clear which is which.
        InputError: If the files cannot be used.
    """
    roles = roles_of_request(params)
    with ExitStack() as open_files:
        paths = open_files.enter_context(received(files, incoming, field))
        extra = {}
        for name, file in (("brain", brain), ("dicom", dicom)):
            if file is not None:
                extra[name] = open_files.enter_context(received([file], incoming, name))[0]
        folder = paths[0].parent
        found = dicom_in(paths, folder / "study", field)
        mask = extra.get("brain")
        if mask is not None and image_ending(mask) is None:
            raise InputError("The brain mask must be a NIfTI or NRRD file.", field="brain")
        if found:
            if dicom is not None:
                raise InputError("The files are DICOM files themselves; send nothing as dicom.", field="dicom")
            limit = Limits.of_server().max_voxels
            study = dicom_study(found, roles, allow_missing=allow_missing, max_voxels=limit)
            yield Upload([], found[0].parent, study.case, study.series, study.roles, mask)
        else:
            if field == "files":
                check_endings(paths)
            volumes = _named(paths, roles)
            headers = _headers(extra["dicom"], volumes) if dicom is not None else None
            yield Upload(volumes, folder, brain=mask, headers=headers)


@contextmanager
def preprocessor(
    services: Services,
    params: Mapping[str, Any],
    ticket: Ticket,
    brain: Path | None = None,
    headers: str | None = None,
    place: Callable[[Path], Path] = lambda folder: folder,
) -> Iterator[UploadPreprocessor]:
    """Yield what preprocesses an upload; see :class:`UploadPreprocessor`. What it makes is deleted afterwards."""
    options = PreprocessingOptions.parse(params)
    with tempfile.TemporaryDirectory(prefix="preprocess-", dir=services.workspace.incoming) as scratch:
        yield UploadPreprocessor(services.worker, Path(scratch), options, ticket, brain, headers, place)


def roles_of_request(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the roles that a client has given; raises InputError if they are not a name for each of some roles."""
    given = params.get("roles")
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str | int) for name in given.values()):
        raise InputError('roles must name a series for each modality, such as {"t1ce": "3"}.', field="roles")
    unknown = [role for role in given if role not in ROLES]
    if unknown:
        raise InputError(f"There is no modality {str(unknown[0])[:40]!r}; known are {', '.join(ROLES)}.", field="roles")
    return {role: str(name)[:200] for role, name in given.items()}


def _named(paths: Sequence[Path], roles: Mapping[str, str]) -> list[Path]:
    """Rename volumes after the modalities that a client has given them."""
    if not roles:
        return list(paths)
    by_name = {path.name: path for path in paths}
    listed = [{"id": name, "description": name, "role": role_of(name)} for name in by_name]
    wrong = next((role for role, name in roles.items() if name not in by_name), None)
    if wrong is not None:
        raise unclear("roles", f"There is no file {roles[wrong][:80]!r} for {wrong}.", listed)
    if len(set(roles.values())) < len(roles):
        raise unclear("roles", "One file is named for two modalities.", listed)
    moved = {name: by_name[name].with_name(f"{role}{image_ending(name) or ''}") for role, name in roles.items()}
    others = [path for name, path in by_name.items() if name not in moved]
    if {path.name for path in others} & {path.name for path in moved.values()}:
        raise unclear("roles", "Two files would be the same modality. Name them all in roles.", listed)
    waiting = {name: by_name[name].rename(by_name[name].with_name(f"renaming-{name}")) for name in moved}
    return [*others, *(waiting[name].rename(target) for name, target in moved.items())]


def _headers(sent: Path, volumes: Sequence[Path]) -> str:
    """Return the headers of the DICOM files that the reference among the volumes was made of."""
    from training.dicom.match import headers_of_volume

    files = dicom_in([sent], sent.parent / "headers", "dicom")
    if not files:
        raise InputError("dicom must be a ZIP with the DICOM files of the reference series.", field="dicom")
    by_role = recognized([path.name for path in volumes])
    roles = [role for role in REFERENCE_ORDER if role in by_role.values()]
    reference = next((path for path in volumes if roles and by_role.get(path.name) == roles[0]), volumes[0])
    return headers_of_volume(files[0].parent, read_grid(reference)).to_json()
