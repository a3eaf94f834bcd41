"""Cases: the files of four modalities of one head, and perhaps a label.

Creating a case reads nothing; :meth:`Case.read` does. :mod:`training.cases.find` finds cases in folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from training.cases.files import check_one_head
from training.cases.label_files import LabelContext, LabelReading, label_reading, read_label
from training.cases.names import patient_of, slug, stem_of
from training.errors import InputError
from training.hashes import file_sha256
from training.images.grid import Grid, Volume
from training.images.lattice import on_one_of
from training.images.read import count_channels, image_files, read_grid, read_volume, read_volumes
from training.modalities import REFERENCE_ORDER, ROLES, TITLES, display_name, missing_message, role_of, roles_of
from training.spans import in_threads, span

if TYPE_CHECKING:
    from training.dicom.series import Series

#: Channel order of the Medical Segmentation Decathlon's Task01: FLAIR, T1w, T1gd, T2w.
DECATHLON_ORDER: tuple[str, ...] = ("flair", "t1", "t1ce", "t2")


@dataclass(frozen=True)
class Source:
    """The file or files of one modality.

    Attributes:
        path: The file; of a DICOM series the first one.
        channel: The index of its volume in a file of several: 4D, or DICOM multi-frame.
        instances: Of a DICOM series its files, in the order of the slices; otherwise empty.
    """

    path: Path
    channel: int | None = None
    instances: tuple[Path, ...] = ()

    @classmethod
    def of(cls, series: Series) -> Source:
        """Return a DICOM series as the source of a modality."""
        return cls(series.instances[0], series.part, series.instances)

    @property
    def name(self) -> str:
        """The name in messages: that of the file, or of the folder of a DICOM series."""
        return f"{self.path.parent.name}/ (DICOM)" if self.instances else self.path.name

    @property
    def files(self) -> tuple[Path, ...]:
        """All files; of a pair of header and voxels both."""
        return self.instances or tuple(image_files(self.path))

    def read(self) -> Volume:
        """Read the volume, float32.

        Raises:
            InputError: If the file cannot be used.
        """
        if self.instances:
            from training.dicom.read import read_instances

            return read_instances(self.instances, self.channel)
        return read_volume(self.path, self.channel)

    def read_grid(self) -> Grid:
        """Read the grid without the voxels; raises InputError as :meth:`read`."""
        if self.instances:
            from training.dicom import read

            return read.read_grid(self.instances, self.channel)
        return read_grid(self.path)


@dataclass(frozen=True)
class Case:
    """Four modalities of one head at one time.

    Attributes:
        id: A slug; contains no path.
        sources: Role to file, in the order of :data:`training.modalities.ROLES`.
        label: The labelmap that came with the case, if any.
        patient: Patient id; cases of one patient must not be split between training and validation.
        folder: The folder in which it was found, if any.
        allow_missing: Whether modalities may be missing (all but one); such a case can only be segmented.
        unused: Images beside those of the case that were not used: of other kinds, masks, or not understood.
        name: The name of its folder or the common name of its files, of which the id was made.
        label_context: What is known of the label besides its file.
        notes: Of DICOM series: which is which and why, what was repaired, and what was not used; as sentences.
        known_patient: The patient that the files themselves name (PatientID); it precedes what folders are called.
    """

    id: str
    sources: Mapping[str, Source]
    label: Path | None = None
    patient: str = ""
    folder: Path | None = None
    allow_missing: bool = False
    unused: tuple[Path, ...] = ()
    name: str = ""
    label_context: LabelContext = field(default=LabelContext(), repr=False)
    notes: tuple[str, ...] = ()
    known_patient: str = ""

    def __post_init__(self) -> None:
        missing = self.missing
        if missing and not (self.allow_missing and len(missing) < len(ROLES)):
            names = [source.name for source in self.sources.values()]
            raise InputError(missing_message(missing, names), field=missing[0])
        object.__setattr__(self, "sources", {role: self.sources[role] for role in ROLES if role in self.sources})
        if not self.patient:
            object.__setattr__(self, "patient", self.known_patient or patient_of(self.id))

    @property
    def missing(self) -> tuple[str, ...]:
        """The missing roles; empty unless :attr:`allow_missing`."""
        return tuple(role for role in ROLES if role not in self.sources)

    def read(self, role: str) -> Volume:
        """Read one modality, float32.

        Raises:
            InputError: If the file cannot be used; ``field`` is the role.
        """
        if role not in ROLES:
            raise InputError(f"There is no modality {role!r}; known are {', '.join(ROLES)}.", field=role)
        if role not in self.sources:
            raise InputError(f"Case {self.id} has no {display_name(role)}.", field=role)
        source = self.sources[role]
        with _naming_role(role):
            return source.read()

    def read_headers(self) -> None:
        """Read the headers of all modalities; raises InputError as :meth:`read`, but truncated data is not detected."""
        for role, source in self.sources.items():
            with _naming_role(role):
                source.read_grid()

    def read_all(self) -> dict[str, Volume]:
        """Read all modalities in parallel; a 4D file is read once.

        Raises:
            InputError: As :meth:`read`.
        """
        with span("read"):
            return self._read_all()

    def _read_all(self) -> dict[str, Volume]:
        paths = {source.path for source in self.sources.values() if not source.instances}
        channels = [source.channel for source in self.sources.values()]
        if len(paths) == 1 and None not in channels and not any(source.instances for source in self.sources.values()):
            try:
                volumes = read_volumes(paths.pop(), [channel for channel in channels if channel is not None])
            except InputError as error:
                raise InputError(error.message, field="image") from error
            return dict(zip(self.sources, volumes, strict=True))
        with ThreadPoolExecutor(len(ROLES)) as pool:  # decompression releases the interpreter lock
            return dict(zip(self.sources, pool.map(in_threads(self.read), self.sources), strict=True))

    def read_label(self) -> Volume:
        """Read the label as ``uint8`` with TumorLoop's values, from any label scheme.

        It lies on exactly the grid of the modality that it matches, if any.

        Raises:
            InputError: If there is none, it cannot be used, or its scheme is not certain; ``field`` is ``"label"``.
        """
        return self.on_own_grid(read_label(self._label(), self.label_context)[0])

    def label_reading(self) -> LabelReading:
        """Return how the values of the label are read.

        Raises:
            InputError: As :meth:`read_label`.
        """
        return label_reading(self._label(), self.label_context)

    def _label(self) -> Path:
        if self.label is None:
            raise InputError(f"Case {self.id} has no label.", field="label")
        return self.label

    def on_own_grid(self, label: Volume) -> Volume:
        """Return a label on exactly the grid of the modality on whose voxels it lies, T1ce if several do.

        A label from a program that uses another affine of a NIfTI header (:mod:`training.images.position`) is moved,
        one that was cropped to its extent is padded (:mod:`training.images.lattice`), and one that lies on no grid is
        returned as it is.

        Raises:
            InputError: If labels lie outside the volume on whose voxels they lie; ``field`` is ``"label"``.
        """
        found = on_one_of(label, self.grids())
        return label if found is None else found[1]

    def grids(self) -> dict[str, Grid]:
        """Return the grid of each modality, T1ce first, from the headers; without those that cannot be read."""
        grids: dict[str, Grid] = {}
        for role in (role for role in REFERENCE_ORDER if role in self.sources):
            with contextlib.suppress(InputError):  # whoever reads that modality is told
                grids[role] = self.sources[role].read_grid()
        return grids

    @contextlib.contextmanager
    def naming_files(self) -> Iterator[None]:
        """Add the names of the files to an error that concerns several modalities."""
        try:
            yield
        except InputError as error:
            files = [f"{self.sources[role].name} ({role})" for role in error.roles if role in self.sources]
            if not files:
                raise
            raise InputError(f"{error.message} The files are {' and '.join(files)}.", field=error.field) from error

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files, their channel indices, and the label if there is one."""
        digest = hashlib.sha256()
        with span("hash"):
            for role, source in self.sources.items():
                digest.update(f"{role}:{source.channel}:".encode())
                digest.update(_digest_of(source.files))
            if self.label is not None:
                digest.update(b"label:")
                digest.update(_digest_of(image_files(self.label)))
        return digest.hexdigest()


@dataclass(frozen=True)
class Problem:
    """A folder or file that could not be used as a case, and why.

    Attributes:
        path: The folder or file.
        message: What is wrong, and what to do.
        field: As of :class:`training.errors.InputError`.
        lost: Whether there is no case because of it; otherwise only its label, or nothing, is missing.
    """

    path: Path
    message: str
    field: str = ""
    lost: bool = True


def case_from_files(
    paths: Iterable[Path | str],
    *,
    id: str = "case",
    label: Path | None = None,
    folder: Path | None = None,
    allow_missing: bool = False,
) -> Case:
    """Make a case of files whose modalities are recognized by name.

    Raises:
        InputError: If a modality is missing (and not allowed to be) or has two files, or they are of several patients;
            names the files.
    """
    by_name: dict[str, Path] = {}
    for path in map(Path, paths):
        if path.name in by_name:
            raise InputError(f"{by_name[path.name]} and {path} have the same name; say which one is which modality.")
        by_name[path.name] = path
    check_one_head(by_name.values())
    sources = {role: Source(by_name[name]) for role, name in roles_of(by_name, allow_missing=allow_missing).items()}
    return Case(id, sources, label, folder=folder, allow_missing=allow_missing)


def case_from_roles(
    paths: Mapping[str, Path | str], *, id: str = "case", label: Path | None = None, allow_missing: bool = False
) -> Case:
    """Make a case of files whose modalities are known.

    Args:
        paths: Role to file, or to the folder of one DICOM series.
        id: Id of the case.
        label: Its labelmap, if any.
        allow_missing: Accept missing modalities (at least one is needed).

    Raises:
        InputError: If a role is unknown or missing (and not allowed to be), one file is given for two roles, or a
            folder does not hold one DICOM series.
    """
    for role in paths:
        if role not in ROLES:
            raise InputError(f"There is no modality {role!r}; known are {', '.join(ROLES)}.", field=str(role))
    seen: dict[Path, str] = {}
    for role, path in paths.items():
        earlier = seen.setdefault(Path(path).resolve(), role)
        if earlier != role:
            raise InputError(f"{path} is given for both {earlier} and {role}.", field=role)
    sources = {role: _source(Path(path), role) for role, path in paths.items()}
    return Case(id, sources, label, allow_missing=allow_missing)


def _source(path: Path, role: str) -> Source:
    if not path.is_dir():
        return Source(path)
    from training.dicom.choose import only_series

    return Source.of(only_series(path, role))


def case_from_4d(
    path: Path | str,
    order: Sequence[str] | None = None,
    *,
    id: str | None = None,
    label: Path | None = None,
    allow_missing: bool = False,
) -> Case:
    """Make a case of one file that holds the four modalities.

    Args:
        path: 4D NIfTI or NRRD.
        order: The modalities in the order of the volumes; default is :data:`DECATHLON_ORDER`. Other names in it are
            ignored.
        id: Default is the file name as a slug.
        label: Its labelmap, if any.
        allow_missing: Accept missing modalities (at least one is needed).

    Raises:
        InputError: If the number of volumes differs from the order, or the order lacks a modality (and may not).
    """
    path = Path(path)
    names = roles_in_order(order) if order is not None else DECATHLON_ORDER
    try:
        channels = count_channels(path)
    except InputError as error:
        raise InputError(error.message, field="image") from error
    if channels != len(names):
        raise InputError(
            f"{path} holds {channels} volumes, but the order names {len(names)}: {', '.join(names)}.", field="image"
        )
    check_order(names, str(path), names, allow_missing=allow_missing)
    sources = {role: Source(path, names.index(role)) for role in ROLES if role in names}
    return Case(id or slug(stem_of(path)), sources, label, allow_missing=allow_missing)


def roles_in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return the role of each name in an order, and the name itself if it stands for none.

    Examples:
        >>> roles_in_order(["FLAIR", "T1w", "t1gd", "T2w", "ADC"])
        ('flair', 't1', 't1ce', 't2', 'ADC')
    """
    return tuple(name if name in ROLES else role_of(name) or name for name in names)


def check_order(order: Sequence[str], where: str, named: Sequence[str], *, allow_missing: bool) -> None:
    """Refuse an order that does not name each modality once.

    Args:
        order: From :func:`roles_in_order`.
        where: The files, for the error.
        named: The order as it is shown in the error.
        allow_missing: Whether modalities may be missing.

    Raises:
        InputError: With the first modality that is missing or named several times; ``field`` is ``"order"``.
    """
    for role in ROLES:
        if order.count(role) != 1 and not (allow_missing and role not in order):
            raise InputError(f"The order of {where} must name {role} once; it is {', '.join(named)}.", field="order")


@contextlib.contextmanager
def _naming_role(role: str) -> Iterator[None]:
    """Add the modality to an error that concerns its file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{TITLES[role]} ({role}): {error.message}", field=role) from error


def _digest_of(files: Iterable[Path]) -> bytes:
    digests = []
    for path in files:
        try:
            digests.append(bytes.fromhex(file_sha256(path)))
        except OSError as error:
            raise InputError(f"{os.fspath(path)} cannot be read: {error.strerror}.") from error
    return b"".join(digests)
