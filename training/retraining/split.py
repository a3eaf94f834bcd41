"""The split: which patients are held out for validation, decided by a hash of the patient id alone.

It does not depend on the number of cases or the order of their arrival, so a patient never changes sides.
"""

from __future__ import annotations

import hashlib

#: Fraction of patients held out for validation.
VALIDATION_SHARE = 0.2
#: Patients of a workspace that are for training before the hash decides, so that the first labels are learned from.
FIRST_PATIENTS = 3


def is_validation(patient: str, share: float = VALIDATION_SHARE) -> bool:
    """Return whether a patient is held out for validation.

    Args:
        patient: Id of the patient, not of the case: all cases of a patient stay on one side.
        share: Fraction of patients to hold out, 0-1.

    Examples:
        >>> is_validation("BraTS20_Training_001") == is_validation("BraTS20_Training_001")
        True
    """
    digest = hashlib.sha256(patient.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def part_of(patient: str, earlier: int) -> str:
    """Return ``train`` or ``validation`` for a patient whose first label arrives.

    Args:
        patient: Id of the patient.
        earlier: Number of patients with a label before this one.
    """
    return "validation" if earlier >= FIRST_PATIENTS and is_validation(patient) else "train"
