"""A model version that is loaded where it is used, for jobs that other processes and machines compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.images.grid import Volume
from training.models import BUNDLED_MODELS
from training.models.store import ModelVersion, read_version

if TYPE_CHECKING:
    from training.prediction.segmenter import Segmentation, Segmenter


#: Memory of a forward pass up to which a head is computed whole. A limit that followed the free memory of a machine, as
#: on a single one, would make results depend on what else it does; the cluster keeps the memory of a job free.
WHOLE_BYTES = 12 * 10**9


@dataclass(frozen=True)
class LazySegmenter:
    """Does what :class:`training.prediction.segmenter.Segmenter` does; small enough to be sent with each job.

    A head is computed whole up to :data:`WHOLE_BYTES`, and in tiles beyond.

    Attributes:
        folder: Of the version: absolute, or the name of a bundled one, which lies elsewhere on each machine.
        id: Of the version.
        mirror: As for :class:`training.prediction.segmenter.Segmenter`.
        engine: The same; that of the machine which made this, so that all machines use one.
    """

    folder: Path
    id: str
    mirror: bool = False
    engine: str | None = None

    @classmethod
    def of(cls, version: ModelVersion, *, mirror: bool = False) -> LazySegmenter:
        """Return the segmenter of a version, with the engine that is best here.

        Raises:
            InputError: If the engine that was chosen cannot be used.
        """
        from training.prediction.engine import chosen_engine

        folder = version.folder.absolute()
        bundled = BUNDLED_MODELS.absolute()
        place = folder.relative_to(bundled) if folder.is_relative_to(bundled) else folder
        return cls(place, version.id, mirror, chosen_engine())

    def version(self) -> ModelVersion:
        """Read the version.

        Raises:
            InputError: If it is not there.
        """
        return read_version(BUNDLED_MODELS / self.folder, version=self.id)

    def segment(self, volumes: Mapping[str, Volume], **options: Any) -> Segmentation:
        """Segment one case, as :meth:`training.prediction.segmenter.Segmenter.segment`."""
        return _loaded(self).segment(volumes, **options)


@lru_cache(maxsize=1)
def _loaded(lazy: LazySegmenter) -> Segmenter:
    from training.prediction.segmenter import Segmenter

    return Segmenter(lazy.version(), memory_bytes=WHOLE_BYTES, mirror=lazy.mirror, engine=lazy.engine)
