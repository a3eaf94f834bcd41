"""What a client says of the preprocessing of its volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from server_app.common.params import flag
from training.cases.case import Case
from training.images.grid import Volume


@dataclass(frozen=True)
class PreprocessingOptions:
    """What a client says.

    Attributes:
        as_scanned: Whether the volumes are as they were scanned; ``None`` to find out.
        force: Whether to compute although an alignment or the brain mask is not trusted.
    """

    as_scanned: bool | None = None
    force: bool = False

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> PreprocessingOptions:
        """Read a request's parameters; raises InputError naming the one that cannot be used.

        ``allow_whole_head`` asks to compute the volumes as they are, so ``as_scanned`` is false unless it is given.
        """
        as_scanned = flag(params, "as_scanned") if params.get("as_scanned") is not None else None
        if as_scanned is None and flag(params, "allow_whole_head"):
            as_scanned = False
        return cls(as_scanned, flag(params, "force"))


class Preprocessor(Protocol):
    """Preprocesses an upload before it is stored."""

    def is_wanted(self, volumes: Mapping[str, Volume]) -> bool:
        """Return whether volumes may need it."""

    def run(self, case: Case) -> Path | None:
        """Return a folder with preprocessed volumes; ``None`` if the case needs none.

        Raises:
            InputError: If it cannot be preprocessed.
            HTTPException: If it was cancelled, or the computation failed.
        """
