"""A stage of a learning curve: what is known after so many corrected cases, one JSON file each."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from training.errors import InputError
from training.learning.answers import CaseScore
from training.retraining.resumable import read_json


class Stage(BaseModel):
    """A finished stage.

    Attributes:
        hospital: Name of the hospital.
        strategy: Name of the strategy.
        order: Number of the order.
        corrected: Number of corrected cases.
        new: The cases corrected in this stage, in order, with what the answers were worth before.
        training: Number of corrected cases that are trained on.
        validation: Number of corrected cases held out by the split.
        version: Id of the current version after the stage.
        weights_sha256: Of its weights.
        versions: Ids of all versions in the store.
        promoted: Whether the retraining was promoted; ``None`` without a retraining.
        outcome: What the retraining says of its version against its parent, on patients; empty without one.
        verdict: Why, or why not.
        skipped: Id and error message of corrected cases that could not be read.
        seconds: Wall time of the retraining, in seconds; ``None`` without one.
        unseen: The unseen cases of the hospital.
        others: Cases of the other hospitals.
        phantoms: Fixed phantoms.
    """

    hospital: str
    strategy: str
    order: int
    corrected: int
    new: list[CaseScore] = []
    training: int = 0
    validation: int = 0
    version: str
    weights_sha256: str
    versions: list[str]
    promoted: bool | None = None
    outcome: str = ""
    verdict: str = ""
    skipped: dict[str, str] = {}
    seconds: float | None = None
    unseen: list[CaseScore]
    others: list[CaseScore]
    phantoms: list[CaseScore]


def read_stage(path: Path) -> Stage | None:
    """Read a stage; ``None`` if it is not finished.

    Raises:
        InputError: If the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return Stage(**read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(f"{path} is damaged ({what}). Delete it to repeat the stage.", field="work") from error
