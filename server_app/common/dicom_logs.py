"""What pydicom says about files: it quotes values that break the standard, such as the name of a patient."""

from __future__ import annotations

import logging
import warnings


def hide_dicom_values() -> None:
    """Keep pydicom's and highdicom's messages out of this process's log."""
    for library in ("pydicom", "highdicom"):
        warnings.filterwarnings("ignore", module=rf"{library}(\.|$)")
        logging.getLogger(library).setLevel(logging.CRITICAL)
