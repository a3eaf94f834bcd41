"""Preprocessing of uploads by the inference process, before they become cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from server_app.cases.preprocessing_options import PreprocessingOptions
from server_app.inference.queue import Ticket
from server_app.inference.worker import InferenceWorker
from server_app.inference.worker_child import PreprocessJob
from training.cases.case import Case
from training.images.grid import Volume
from training.preprocessing.ordinary import surely_ordinary


@dataclass(frozen=True)
class UploadPreprocessor:
    """Preprocesses one upload; see :class:`server_app.cases.preprocessing_options.Preprocessor`.

    Attributes:
        worker: Computes.
        scratch: A new folder on the workspace's disk, for what is made.
        options: What the client says.
        ticket: For its progress, and to cancel it.
        brain: A file with a brain mask to use instead of finding one, or ``None``.
        headers: The headers of the DICOM series that the reference was made of, where its file is none; or ``None``.
        place: Called with the folder that was made; returns where it is to be read from.
    """

    worker: InferenceWorker
    scratch: Path
    options: PreprocessingOptions
    ticket: Ticket | None = None
    brain: Path | None = None
    headers: str | None = None
    place: Callable[[Path], Path] = lambda folder: folder

    def is_wanted(self, volumes: Mapping[str, Volume]) -> bool:
        """Return whether volumes may need it."""
        if self.brain is not None or self.headers is not None:
            return True
        if self.options.as_scanned is not None:
            return self.options.as_scanned
        return not surely_ordinary(volumes)

    def run(self, case: Case) -> Path | None:
        """Return a folder with preprocessed volumes; ``None`` if the case needs none."""
        job = PreprocessJob(
            case,
            self.scratch / "preprocessed",
            as_scanned=self.options.as_scanned,
            force=self.options.force,
            brain=self.brain,
            headers=self.headers,
        )
        return self.place(job.target) if self.worker.preprocess(job, self.ticket) else None
