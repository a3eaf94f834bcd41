"""The store of prepared cases, from which patches are read without loading whole cases.

A prepared case is a folder with ``image.npy`` (float16, z-scored as by
:func:`training.preparation.prepare.prepare`), ``label.npy`` (uint8) and ``case.json``. The arrays are memory-mapped, so
that the memory of a training run does not grow with the number of cases.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from training.atomic import publish_folder, write_json
from training.errors import InputError
from training.images.masks import bounding_box
from training.labels import NUM_CLASSES
from training.parallel import map_unordered
from training.phantoms.fixed_seeds import refuse_fixed
from training.phantoms.generate import GENERATOR_VERSION, Phantom, TumorOption, generate, phantom_id
from training.preparation.normalize import zscore

_FORMAT = 1

#: Sides in mm and volume in mL of one voxel of a prepared case.
PREPARED_SPACING_MM = (1.0, 1.0, 1.0)
PREPARED_VOXEL_ML = 0.001
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: Tumor voxels stored per class as patch targets: few enough for thousands of cases.
_TARGETS_PER_CLASS = 256


@dataclass(frozen=True)
class PreparedCase:
    """One case on disk.

    Attributes:
        id: Its name in the store.
        image_path: ``.npy``, float16 ``(x, y, z, 4)``.
        label_path: ``.npy``, uint8 ``(x, y, z)``, values of :mod:`training.labels`.
        shape: ``(x, y, z)``.
        tumor_index: int16 ``(n, 3)``: up to 256 voxels of each tumor class; empty if there is no tumor.
        key: Identifies its source (see :meth:`PreparedStore.put`).
    """

    id: str
    image_path: Path
    label_path: Path
    shape: tuple[int, int, int]
    tumor_index: np.ndarray
    key: str

    def image(self) -> np.ndarray:
        """Memory-map the image; it is closed when the array is released."""
        return np.load(self.image_path, mmap_mode="r")

    def label(self) -> np.ndarray:
        """Memory-map the label."""
        return np.load(self.label_path, mmap_mode="r")


class PreparedStore:
    """Prepared cases in one folder, one version of each.

    Safe for several processes: a case appears complete or not at all.

    Args:
        folder: Created when the first case is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def put(self, case_id: str, image: np.ndarray, label: np.ndarray, *, key: str) -> PreparedCase:
        """Store a case, unless it is already stored with the same ``key``; another version of it is deleted.

        Args:
            case_id: A slug: letters, digits, ``-`` and ``_``.
            image: ``(x, y, z, 4)``, z-scored; stored as float16.
            label: ``(x, y, z)``, values of :mod:`training.labels`; stored as uint8.
            key: Changes with the case: hashes of its files and label, and the version of the preparation.

        Raises:
            InputError: If the id is not a slug, the shapes differ, or the label holds unknown values.
        """
        _check(case_id, image, label)
        if self.has(case_id, key):
            return self.get(case_id)
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self._folder_of(case_id, key)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.folder))
        try:
            np.save(temporary / "image.npy", np.ascontiguousarray(image, np.float16))
            np.save(temporary / "label.npy", np.ascontiguousarray(label, np.uint8))
            np.save(temporary / "aims.npy", _patch_targets(label))
            write_json(temporary / "case.json", {"format": _FORMAT, "id": case_id, "key": key})
            with contextlib.suppress(FileExistsError):  # another process was faster with the same content
                publish_folder(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for other in self._versions(case_id):
            if other != final:
                shutil.rmtree(other, ignore_errors=True)
        return self.get(case_id)

    def has(self, case_id: str, key: str) -> bool:
        """Return whether the case is stored with this ``key``."""
        return (self._folder_of(case_id, key) / "case.json").is_file()

    def get(self, case_id: str) -> PreparedCase:
        """Return a stored case.

        Raises:
            InputError: If there is no case with this id.
        """
        for folder in self._versions(case_id):
            with contextlib.suppress(FileNotFoundError):  # replaced between listing and reading
                return _read(folder)
        raise InputError(f"No prepared case is named {case_id!r} in {self.folder}.", field="id")

    def ids(self) -> list[str]:
        """Return the ids of the stored cases, sorted."""
        return sorted({folder.name.partition(".")[0] for folder in self._folders()})

    def remove(self, case_id: str) -> None:
        """Delete a case if it is stored."""
        for folder in self._versions(case_id):
            shutil.rmtree(folder, ignore_errors=True)

    def _folder_of(self, case_id: str, key: str) -> Path:
        digest = hashlib.sha256(f"{_FORMAT}:{key}".encode()).hexdigest()[:16]
        return self.folder / f"{case_id}.{digest}"

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if not path.name.startswith(".") and path.is_dir()]

    def _versions(self, case_id: str) -> list[Path]:
        return [folder for folder in self._folders() if folder.name.partition(".")[0] == case_id]


def _check(case_id: str, image: np.ndarray, label: np.ndarray) -> None:
    if not _ID.fullmatch(case_id):
        raise InputError(f"A case id holds letters, digits, - and _ only; {case_id!r} does not fit.", field="id")
    if image.ndim != 4 or image.shape[:3] != label.shape:
        raise InputError(
            f"{case_id}: image {image.shape} and label {label.shape} do not fit: give (x, y, z, 4) and (x, y, z).",
            field="label",
        )
    if label.size and int(label.max()) >= NUM_CLASSES:
        raise InputError(f"The label of {case_id} holds the value {int(label.max())}.", field="label")


def _read(folder: Path) -> PreparedCase:
    about: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    shape = np.load(folder / "label.npy", mmap_mode="r").shape
    return PreparedCase(
        id=about["id"],
        image_path=folder / "image.npy",
        label_path=folder / "label.npy",
        shape=(shape[0], shape[1], shape[2]),
        tumor_index=np.load(folder / "aims.npy"),
        key=about["key"],
    )


def _patch_targets(label: np.ndarray) -> np.ndarray:
    """Sample voxels of each class, deterministically for a given label."""
    rng = np.random.default_rng(0)
    picked = [np.zeros((0, 3), np.int16)]
    for value in range(1, NUM_CLASSES):
        where = np.argwhere(label == value)
        if len(where) > _TARGETS_PER_CLASS:
            where = where[rng.choice(len(where), _TARGETS_PER_CLASS, replace=False)]
        picked.append(where.astype(np.int16))
    return np.concatenate(picked)


def prepare_phantom(phantom: Phantom, *, stride: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prepare a phantom for the network: z-scored, cropped to the brain, padded to ``stride``.

    Returns:
        Image ``(x, y, z, 4)`` float32 (0 outside the brain), label uint8 and brain boolean, all ``(x, y, z)`` with
        sizes that are multiples of ``stride``.
    """
    box = bounding_box(phantom.brain)
    if box is None:
        raise InputError(f"Phantom {phantom.seed} holds no brain.", field="seed")
    image = zscore(phantom.image[box], phantom.brain[box][..., None] & (phantom.image[box] > 0))
    label, brain = phantom.label[box], phantom.brain[box]
    missing = [-n % stride for n in label.shape]
    around = [(n // 2, n - n // 2) for n in missing]
    return np.pad(image, [*around, (0, 0)]), np.pad(label, around), np.pad(brain, around)


def prepare_phantoms(
    store: PreparedStore,
    seeds: Iterable[int],
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    tumor: TumorOption = True,
    distractors: Literal["some", "all"] = "some",
) -> list[PreparedCase]:
    """Generate and store whole-head phantoms (``phantom-<seed>``) on all cores, unless they are already stored.

    Args:
        store: Store of prepared cases.
        seeds: Seeds.
        workers: Processes; ``None`` for one per core.
        on_progress: Called with the number done and the total.
        tumor: As for :func:`training.phantoms.generate.generate`.
        distractors: As for :func:`training.phantoms.generate.generate`.

    Returns:
        The cases, in the order of ``seeds``.

    Raises:
        InputError: If a seed is reserved for evaluation (:mod:`training.phantoms.fixed_seeds`).
    """
    wanted = list(seeds)
    refuse_fixed(wanted)
    jobs = [(str(store.folder), seed, tumor, distractors) for seed in wanted]
    todo = [job for job in jobs if not store.has(phantom_id(job[1]), _phantom_key(*job[1:]))]
    done = len(wanted) - len(todo)
    if todo:
        for _ in map_unordered(_prepare_one, todo, workers):
            done += 1
            if on_progress is not None:
                on_progress(done, len(wanted))
    return [store.get(phantom_id(seed)) for seed in wanted]


def _phantom_key(seed: int, tumor: TumorOption, distractors: str) -> str:
    options = " with a small tumor" if tumor == "small" else "" if tumor else " without tumor"
    options += " with every distractor" if distractors == "all" else ""
    return f"phantom generator {GENERATOR_VERSION} seed {seed}{options}"


def _prepare_one(job: tuple[str, int, TumorOption, Literal["some", "all"]]) -> str:
    folder, seed, tumor, distractors = job
    image, label, _ = prepare_phantom(generate(seed, tumor=tumor, distractors=distractors))
    key = _phantom_key(seed, tumor, distractors)
    return PreparedStore(Path(folder)).put(phantom_id(seed), image, label, key=key).id
