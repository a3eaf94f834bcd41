"""Results of inferences, kept so that the same question is not computed twice.

The same question means the same bytes of the same modalities, the same options, and the same model weights. Results are
kept in the cache, which can be deleted at any time; a result that cannot be kept is not an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from server_app.cases.case_ids import images_digest
from server_app.common.files import link_or_copy
from server_app.inference.worker_child import SegmentJob
from training import __version__
from training.atomic import publish_folder, write_json
from training.cases.case import Case
from training.errors import InputError
from training.models.store import ModelStore

#: Maximum number of results kept, of their bytes in total, and of the seconds for which they are kept.
KEEP, KEEP_BYTES, KEEP_SECONDS = 64, 512 * 1024**2, 24 * 3600.0


class Results:
    """Results below ``root``, one folder per question. Thread-safe and process-safe.

    Args:
        root: Made when first needed; ``None`` keeps nothing.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def key(self, job: SegmentJob, images: str | None = None, case: Case | None = None) -> str | None:
        """Return the key of a question; ``None`` if nothing is kept, or the model or the files cannot be read.

        Args:
            job: The question.
            images: SHA-256 over its images, if it was just computed.
            case: The images, if those of the job are preprocessed ones.
        """
        if self._root is None:
            return None
        try:
            version = ModelStore(job.models, job.bundled).current()
            return _key(job, version.id, version.weights_sha256(), images or images_digest(case or job.case))
        except (InputError, OSError):
            return None  # the inference itself will report it

    def find(self, key: str | None, job: SegmentJob) -> dict[str, Any] | None:
        """Put a kept result where a job needs it.

        Returns:
            The facts of the inference that computed it, and ``reused``; ``None`` if there is none.
        """
        if self._root is None or key is None:
            return None
        folder = self._root / key
        try:
            facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            if time.time() - folder.stat().st_mtime > KEEP_SECONDS:
                return None
            for name, target in _files(job, facts["maps"]).items():
                target.unlink(missing_ok=True)
                link_or_copy(folder / name, target)
        except (OSError, ValueError, KeyError):
            return None  # there is none, or another thread is removing it
        return {**facts, "reused": True}

    def keep(self, key: str | None, job: SegmentJob, facts: dict[str, Any], case: Case | None = None) -> None:
        """Keep what a job has computed, unless by another model, or from images that have changed since.

        Args:
            key: Made before the job waited: another version may have been promoted since.
            job: Its files are in place.
            facts: ``model_version`` and ``weights_sha256`` are those that computed it.
            case: As for :meth:`key`.
        """
        if self._root is None or key is None:
            return
        with contextlib.suppress(OSError, InputError):  # the images may be gone, like those of a session
            if _key(job, facts["model_version"], facts["weights_sha256"], images_digest(case or job.case)) != key:
                return
            self._root.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._root))
            try:
                for name, source in _files(job, facts["maps"]).items():
                    link_or_copy(source, temporary / name)
                write_json(temporary / "facts.json", facts)
                publish_folder(temporary, self._root / key)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            self.prune()

    def prune(self) -> None:
        """Remove what is too old or exceeds the limits, oldest first."""
        if self._root is None or not self._root.is_dir():
            return
        found, total = [], 0
        for folder in self._root.iterdir():
            with contextlib.suppress(OSError):  # another thread was faster
                found.append((folder.stat().st_mtime, sum(file.stat().st_size for file in folder.iterdir()), folder))
        for number, (at, size, folder) in enumerate(sorted(found, reverse=True), start=1):
            total += size
            if number > KEEP or total > KEEP_BYTES or time.time() - at > KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _key(job: SegmentJob, version: str, weights: str, images: str) -> str:
    """Return the key of a question to the model version with these weights (their SHA-256)."""
    question = {
        "images": images,
        "version": version,
        "weights": weights,
        "code": __version__,
        "reference": job.reference,
        "ending": "".join(job.result.suffixes[-2:]),
        "dtype": job.dtype,
        "compress": job.compress,
        "allow_missing": job.allow_missing,
        "allow_whole_head": job.allow_whole_head,
        "as_scanned": job.as_scanned,
        "force": job.force,
        "maps": job.maps is not None,
        "answer": job.answer is not None,
        "engine": job.engine,
        "facts": 7,  # increase it when more facts are kept
    }
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def _files(job: SegmentJob, maps: list[str]) -> dict[str, Path]:
    """Return the files of a result: by the name under which each is kept, the job's own file."""
    files = {"result": job.result}
    if job.answer is not None:
        files["answer"] = job.answer
    for name in maps:
        assert job.maps is not None
        files[f"map-{name}"] = job.maps / f"{name}.nii.gz"
    return files
