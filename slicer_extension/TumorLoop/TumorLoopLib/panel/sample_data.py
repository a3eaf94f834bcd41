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
    "t1": "4013b1e4442635e1e9eedb4ca570e15882db3393954b52e895585a36f6da45ef",
    "t1ce": "3171b224cfd3a5b9c5b7f9eea2aba45465ab4da7799d8f05d6d64f2eb3d598db",
    "t2": "1713d803dd43b2684dbbbe28cd925afd979320961cc25ae3f6a0a5d3b0070dee",
    "flair": "6f799ed11e10a59b3b5e7a9fc4c8c053728487f298fdcbdefb8b1f8823b19cde",
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
