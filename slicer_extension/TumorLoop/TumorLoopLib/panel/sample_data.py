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
    "t1": "f29e1372d171aca4a2015e8859b4a8c16b86eaa43d1a4d43a668a58d5af4ecd4",
    "t1ce": "face7e15e7899a08210b424c8e624c2818f2dd629ebf64dc703a28f6e1224a6b",
    "t2": "825b0464df4029b4f6706fe3d1d5b524d710a8844e962df24ed0228b110c297b",
    "flair": "08ad3c24423e5e056987fa2fe9893d83c334d422d03548a467a9b9df24837dab",
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
