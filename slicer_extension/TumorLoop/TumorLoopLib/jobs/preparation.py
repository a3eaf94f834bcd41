"""How the server prepares volumes as they were scanned: what it is told, and what it says it has done.

Nothing here touches MRML or Qt. Matrices are 4x4 float64 in RAS millimeters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.i18n import _
from TumorLoopLib.scene.roles import ROLES
from TumorLoopLib.scene.segment_copy import SegmentationCopy, combine
from TumorLoopLib.scene.volumes import VolumeSnapshot, digest

Image = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ShownBrain:
    """The brain mask in the scene.

    Attributes:
        copy: Its voxels.
        digest: Of the mask as it came from the server.
        edited: Whether that was one that the user had changed.
    """

    copy: SegmentationCopy
    digest: str
    edited: bool = False


@dataclass(frozen=True)
class BrainMask:
    """A brain mask that the user has changed, and its digest."""

    image: Image
    digest: str


@dataclass(frozen=True)
class Preparing:
    """How volumes are to be prepared.

    Attributes:
        as_scanned: Whether they must be registered and skull-stripped; ``None`` lets the server examine them.
        force: Whether to go on although the server does not trust a registration or the brain mask.
        brain: The brain mask in the scene.
        headers: The DICOM files of the reference series; of these the panel sends neither pixels nor the patient.
    """

    as_scanned: bool | None = None
    force: bool = False
    brain: ShownBrain | None = None
    headers: tuple[Path, ...] = ()

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of requests."""
        scanned = {} if self.as_scanned is None else {"as_scanned": self.as_scanned}
        return {**scanned, **({"force": True} if self.force else {})}

    def brain_mask(self) -> BrainMask | None:
        """Return the brain mask if the user has changed it, now or before; takes some time."""
        if self.brain is None:
            return None
        report = combine(self.brain.copy)
        mask = BrainMask((report.array, report.ijk_to_ras), digest_of_mask(report.array, report.ijk_to_ras))
        return mask if self.brain.edited or mask.digest != self.brain.digest else None


#: What the volumes need in the server's opinion.
AS_NEEDED = Preparing()


@dataclass(frozen=True)
class Preparation:
    """What the server has done to volumes as they were scanned.

    Attributes:
        steps: Sentences.
        moved: By role, of the series that did not lie on the reference: 4x4, from the position in the reference to that
            in the series as it was sent.
        brain_ml: Volume of the brain mask; ``None`` if there is none.
        brain: The brain mask, if it was fetched, and its digest.
        brain_edited: Whether it is one that the user had changed.
    """

    steps: tuple[str, ...]
    moved: dict[str, np.ndarray]
    brain_ml: float | None = None
    brain: Image | None = None
    brain_digest: str = ""
    brain_edited: bool = False

    @classmethod
    def from_reply(cls, reply: object) -> Preparation | None:
        """Read ``preprocessing`` of a reply; ``None`` if nothing was done, or the server is of an earlier release.

        Raises:
            BadReply: If it cannot be understood.
        """
        if reply is None:
            return None
        try:
            return cls._read(reply)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadReply(_("The server did not say clearly how it has prepared the volumes.")) from error

    @classmethod
    def _read(cls, reply: Mapping[str, Any]) -> Preparation:
        moved = {}
        for role, found in (reply.get("alignments") or {}).items():
            matrix = np.array(found["matrix"], np.float64)
            usable = matrix.shape == (4, 4) and np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-6
            if role not in ROLES or not usable:
                raise ValueError(f"an alignment of {role!r} that cannot be used")
            if found.get("moved", True):
                moved[role] = matrix
        volume = reply.get("brain_ml")
        steps = tuple(str(step) for step in reply.get("steps") or ())
        return cls(steps, moved, None if volume is None else float(volume))


def digest_of_mask(array: np.ndarray, ijk_to_ras: np.ndarray) -> str:
    """Return a digest of a brain mask; takes some time."""
    return digest(VolumeSnapshot("brain", "", "", np.asarray(array != 0, np.uint8), ijk_to_ras))
