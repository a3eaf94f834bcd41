"""The case of this module in Slicer's *Sample Data* module: four volumes of a synthetic head, no patient.

The files belong to a release of the repository; docs/slicer-checks.md says how they are made and where they go.
"""

from __future__ import annotations

from pathlib import Path

from TumorLoopLib.scene.roles import ROLES

#: Where the files are: an address to fill in when the repository is published.
ADDRESS = "https://example.org/SlicerTumorLoop/releases/download/sample-data"
CATEGORY, NAME = "TumorLoop", "TumorLoopPhantom"
#: SHA-256 of the files, by modality; Slicer refuses others.
CHECKSUMS: dict[str, str] = {
    "t1": "7df26f99cdaa99a5432f2f3d973a08067062c2566549729401a1cbad20967f6a",
    "t1ce": "6a752838af753fe5e3b8a48e6727bf10e75474f6bbc7e8192b373bc651901c9d",
    "t2": "f313d0e54c05eb9b4f75cdd6f1bcc5b6f79278b284c127ffc9e09a14011783b0",
    "flair": "56df6cec99b650323d39b18b32f2ad56f9a133ef76c265f488e4ef25dedf7efb",
}


def file_name(role: str) -> str:
    """Return the name of a modality's file."""
    return f"{NAME}_{role}.nii.gz"


def register(icons: Path) -> None:
    """Offer the case in the Sample Data module; nothing is downloaded before a user asks for it.

    Args:
        icons: The folder with the thumbnail ``TumorLoopPhantom.png``.
    """
    try:
        import SampleData
    except ImportError:  # a Slicer that was built without it
        return
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        uris=[f"{ADDRESS}/{file_name(role)}" for role in ROLES],
        fileNames=[file_name(role) for role in ROLES],
        nodeNames=[f"{NAME} {role}" for role in ROLES],
        checksums=[f"SHA256:{CHECKSUMS[role]}" for role in ROLES],
        thumbnailFileName=str(icons / f"{NAME}.png"),
    )
