"""Label schemes by the naming of public data sets: the file, or the folders above it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from training.errors import InputError
from training.label_schemes import SCHEMES, WAYS_OUT, Scheme

#: Folders whose names are considered: that of the file and those above it.
_FOLDERS = 3
_2017, _2013 = SCHEMES["brats-2017"], SCHEMES["brats-2013"]
_2023, _POST, _PED = SCHEMES["brats-2023"], SCHEMES["brats-2024-post"], SCHEMES["brats-ped"]
_DECATHLON = SCHEMES["decathlon"]


@dataclass(frozen=True)
class Naming:
    """What a name says.

    Attributes:
        schemes: The schemes that it may have.
        why: For messages.
    """

    schemes: tuple[Scheme, ...]
    why: str


#: Names of cases, and the schemes of their labels, in the order in which they are tried.
_NAMES: tuple[tuple[re.Pattern[str], tuple[Scheme, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), schemes)
    for pattern, schemes in (
        # BraTS 2024 added the cavity to the values of 2023; the names are the same.
        (r"BraTS-?GLI-\d+", (_2023, _POST)),
        (r"BraTS-?(SSA|GoAT)-\d+", (_2023,)),
        # PED 2023 had the values of adult gliomas; from 2024 on, the same cases have their own.
        (r"BraTS-?PEDs?-\d+", (_2023, _PED)),
        (r"BraTS(17|18|19|20)_\w+_\d+", (_2017,)),
        (r"BraTS_?20(17|18|19|20|21)_\d+", (_2017,)),
        (r"brats_(2013|tcia)_pat\d+", (_2013,)),
        (r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])", (_2017,)),  # Bakas et al. 2017, doi:10.1038/sdata.2017.117
        (r"\w.*(GlistrBoost|ManuallyCorrected)", (_2017,)),
        (r"UPENN-GBM-\d+", (_2017,)),  # Bakas et al. 2022, doi:10.1038/s41597-022-01560-7
        (r"UCSF-PDGM-\d+", (_2017,)),  # Calabrese et al. 2022, doi:10.1148/ryai.220058
        (r"Task01_BrainTumou?r", (_DECATHLON,)),
        (r"phantom_\d{4}(?!\d)", (_2017,)),  # training.phantoms.files
    )
)
_NO_GLIOMA = re.compile(r"BraTS-?(MEN|MET)S?(-RT)?-\d+", re.IGNORECASE)
#: The label of BraTS 2013 to 2015: ``VSD.Brain_3more.XX.O.OT.54517.mha``.
_OT = re.compile(r"(^|[^A-Za-z0-9])OT([^A-Za-z0-9]|$)")


def naming_of(path: Path, root: Path | None = None) -> Naming | None:
    """Return what the name of a label or those of its folders say, the nearest first; ``None`` if they say nothing.

    nnU-Net has its own values in files that keep their names, so that a name inside ``labelsTr`` says nothing.

    Args:
        path: The label.
        root: Folder above which no name is considered; ``None`` for no limit.

    Raises:
        InputError: If the name is that of another kind of tumor.
    """
    folders = _folders(path, root)
    names = [path.name, *(folder.name for folder in folders)]
    converted = re.fullmatch(r"labels(Tr|Ts|Val)\w*", path.parent.name, re.IGNORECASE) is not None
    if not converted and _OT.search(path.name):
        return Naming((_2013,), f"the name {path.name}")
    for name in names[2:] if converted else names:
        if _NO_GLIOMA.match(name):
            raise InputError(
                f"{path}: {name} is a case of BraTS-MEN or BraTS-MET: meningiomas and metastases, not gliomas. "
                "To use it nevertheless, give --label-scheme brats-2023 (or brats-2024-post, if 4 is a cavity).",
                field="label",
            )
        for pattern, schemes in _NAMES:
            found = pattern.match(name)
            if found is not None:
                return Naming(_of_edition(schemes, folders), f"the name {name}")
    return None


def ways_out(naming: Naming | None) -> str:
    """Return how to say which scheme it is, for messages."""
    return WAYS_OUT if naming is None else f"{WAYS_OUT} Or rename it."


def _folders(path: Path, root: Path | None) -> list[Path]:
    folder = path.absolute().parent
    limit = None if root is None else root.absolute()
    found: list[Path] = []
    while len(found) < _FOLDERS and folder.parent != folder and (limit is None or folder.is_relative_to(limit)):
        found.append(folder)
        folder = folder.parent
    return found


def _of_edition(schemes: tuple[Scheme, ...], folders: list[Path]) -> tuple[Scheme, ...]:
    """Return the schemes that remain if a folder names the edition of BraTS-PED (``...BraTS2023-PED-Challenge...``)."""
    if schemes == (_2023, _PED):
        for folder in folders:
            edition = re.search(r"BraTS[-_ ]?(?:PEDs?[-_ ]?)?(20\d\d)", folder.name, re.IGNORECASE)
            if edition is not None:
                return (_2023,) if edition[1] == "2023" else (_PED,)
    return schemes
