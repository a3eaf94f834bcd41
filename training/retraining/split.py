"""Which patients are kept out of training, decided by a hash of the patient alone.

So it depends on nothing else: not on the number of cases, nor on the order of their arrival, and a patient never
changes sides.
"""

from __future__ import annotations

import hashlib

#: Share of the patients that validate.
VALIDATION_SHARE = 0.2


def is_validation(patient: str, share: float = VALIDATION_SHARE) -> bool:
    """Tell whether a patient is kept out of training.

    Args:
        patient: Id of the patient, not of the case: all cases of a patient stay on one side.
        share: Share of the patients to keep out, 0-1.

    Examples:
        >>> is_validation("BraTS20_Training_001") == is_validation("BraTS20_Training_001")
        True
    """
    digest = hashlib.sha256(patient.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
