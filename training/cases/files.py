"""The image files of a folder: which there are, which are labels or masks, and what their names have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from training.cases.names import known_patient, slug, stem_of
from training.cases.visits import is_generic, is_transparent, is_visit
from training.errors import InputError
from training.images.read import header_beside, image_ending
from training.modalities import role_of, words_of

_LABEL_WORDS = {"seg", "segm", "segmentation", "label", "labels", "labelmap", "truth", "groundtruth", "gt"}
_LABEL_WORDS |= {"glistrboost", "manuallycorrected"}  # names of the BraTS labels of TCGA
_LABEL_WORDS |= {"dseg", "tumormask", "tumourmask", "lesionmask", "tumorseg", "tumourseg"}
_MASK_WORDS = {"mask", "brainmask", "masks"}
_TUMOR_WORDS = {"tumor", "tumour", "glioma", "lesion"}
_OTHER_PARTS = {"brain", "parenchyma", "skull", "tissue", "ventricle", "ventricles", "csf", "gm", "wm"}

# What is said of a modality beside its name; none of it tells one case from another.
_DESCRIPTION = re.compile(
    r"ax|axial|sag|sagittal|cor|coronal|tra|transversal|transverse|3d|2d|iso|[tf]?se|[tf]fe|gre|spgr|fspgr|mprage|mpr|space|spc"
    r"|cube|vista|bravo|vibe|propeller|blade|tirm|stir|ir|fs|fatsat|w|wi|weighted|image|img|volume|vol|reg|registered|brain|n4"
    r"|biascorrected|corrected|stripped|bet|norm|normalized|ce|gd|gad|gado|gadolinium|km|c|post|pre|contrast|postcontrast"
    r"|precontrast|enhanced|native|nativ|without|with|wo|non|no|dark|fluid|mri|mr"
)

#: What names a head without doubt: a BraTS id with its visit, or a number that is said to be that of a patient or case.
_HEAD = re.compile(
    r"brats-[a-z]+(?:-[a-z]+)?-\d+-\d+"
    r"|(?<![a-z])(?:training|validation|testing|sub|subj|subject|patient|pat|case)[ _-]?\d+",
    re.IGNORECASE,
)


def visible_images(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted, without hidden ones (``._t1.nii.gz`` of macOS among them)."""
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    files = [folder / name for name in entries if not name.startswith(".") and image_ending(name)]
    return [file for file in files if file.is_file() and header_beside(file) is None]  # a pair is its header


@lru_cache(maxsize=8192)
def is_mask(name: str) -> bool:
    """Return whether a file name indicates a mask of the brain or its parts (``t1_brain_mask``, ``brain_seg``)."""
    words = words_of(name)
    if set(words) & _TUMOR_WORDS:
        return False
    return bool(set(words) & _MASK_WORDS) or any(
        first in _OTHER_PARTS and second in _LABEL_WORDS for first, second in pairwise(words)
    )


@lru_cache(maxsize=8192)
def is_label(name: str) -> bool:
    """Return whether a file name indicates a tumor segmentation."""
    words = set(words_of(name))
    if is_mask(name):
        return False
    if words & _LABEL_WORDS or name.lower().endswith(".seg.nrrd"):
        return True
    if role_of(name) is not None:
        return False
    return bool(words & _MASK_WORDS and words & _TUMOR_WORDS) or "ot" in words  # "OT": BraTS 2013 to 2015


def only_label(files: Iterable[Path]) -> Path | None:
    """Return the single label among files, ``None`` if there is none.

    Raises:
        InputError: If there are several and none of them is a manual correction.
    """
    labels = [file for file in files if is_label(file.name)]
    if len(labels) > 1:
        corrected = [file for file in labels if "manuallycorrected" in words_of(file.name)]
        if len(corrected) == 1:
            return corrected[0]
        raise several_labels(labels)
    return labels[0] if labels else None


def several_labels(labels: Iterable[Path]) -> InputError:
    """Return the error about several files that may be the label of one case."""
    names = ", ".join(file.name for file in labels)
    return InputError(f"Several files look like the label: {names}. Keep one.", field="label")


def check_one_head(files: Iterable[Path]) -> None:
    """Refuse files whose names are those of several patients or visits.

    Names that say less than that, such as the numbers of series, are not judged.

    Raises:
        InputError: With a file of each.

    Examples:
        >>> check_one_head([Path("BraTS20_Training_001_t1.nii.gz"), Path("BraTS20_Training_001_t2.nii.gz")])
        >>> check_one_head([Path("3_t1.nii.gz"), Path("5_t2.nii.gz")])
    """
    heads: dict[str, str] = {}
    for file in files:
        name = common_name(file)
        found = _HEAD.search(name)
        head = found.group() if found else known_patient(name)
        if head is not None:
            heads.setdefault(re.sub(r"[ _-]?0*(?=\d)", "-", head.lower()), file.name)
    if len(heads) > 1:
        raise InputError(
            f"By name these files are of {len(heads)} patients or visits: {', '.join(heads.values())}. Take those"
            " of one, or rename them if they are of one.",
            field="files",
        )


def common_name(file: Path) -> str:
    """Return the stem of a file without the words for its modality or for a label.

    The server's ids of cases depend on it.

    Examples:
        >>> common_name(Path("BraTS20_Training_001_t1ce.nii.gz")), common_name(Path("t2.nii"))
        ('BraTS20_Training_001', '')
    """
    return _without(file, lambda word: word in _LABEL_WORDS or bool(role_of(word)))


def set_name(file: Path) -> str:
    """Return the stem of a file without all that describes its modality: what the files of one case have in common.

    Examples:
        >>> set_name(Path("anna_pre_op_Ax_T1_FLAIR_POST_GAD.nii.gz")), set_name(Path("Ax_T1_POST.nii"))
        ('anna_pre_op', '')
    """
    words = words_of(stem_of(file))
    timing = {first for first, second in pairwise(words) if second in ("op", "surgery", "rt")}

    def describes(word: str) -> bool:
        if word in timing:
            return False
        return word in _LABEL_WORDS or bool(role_of(word)) or bool(_DESCRIPTION.fullmatch(word))

    return re.sub(r"([^A-Za-z0-9])[^A-Za-z0-9]+", r"\1", _without(file, describes))


def id_of_files(file: Path | str) -> str:
    """Return the id of the case that a file belongs to: what its name says, or else its folder.

    Folders that name only a modality or a format are passed over; one that names a visit is joined to the one above.

    Examples:
        >>> id_of_files("/data/anna/t1.nii.gz"), id_of_files("/data/BraTS20_Training_001_t1ce.nii.gz")
        ('anna', 'BraTS20_Training_001')
        >>> id_of_files("/data/Patient-001/week-012/CT1.nii.gz"), id_of_files("/data/anna/pre_op_T1.nii.gz")
        ('Patient-001-week-012', 'anna-pre_op')
    """
    name = set_name(Path(file))
    if name and not is_visit(name) and not is_generic(name):
        return slug(name)
    parts = [name] if name else []
    for folder in Path(os.path.abspath(file)).parents:
        if not folder.name:
            break
        if is_transparent(folder.name) or role_of(folder.name) is not None:
            continue
        parts.insert(0, folder.name)
        if not is_visit(folder.name):
            break
    return slug("-".join(parts) or "case")


def _without(file: Path, is_left_out: Callable[[str], bool]) -> str:
    parts = re.split(r"([^A-Za-z0-9]+)", stem_of(file))
    kept = [part if position % 2 or not is_left_out(part.lower()) else "" for position, part in enumerate(parts)]
    return re.sub(r"[^A-Za-z0-9]+$|^[^A-Za-z0-9]+", "", "".join(kept))
