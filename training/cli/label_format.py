"""The formats in which the commands write labelmaps: those of :mod:`training.images.write`, and DICOM SEG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.dicom.seg import SEG_FORMATS, Origin, write_seg
from training.errors import InputError
from training.images.write import EXPORT_ENDINGS, export_ending, write_labelmap

if TYPE_CHECKING:
    from training.dicom.headers import SourceHeaders
    from training.images.grid import Volume

#: Ending of a DICOM SEG.
DICOM_ENDING = ".dcm"


@dataclass(frozen=True)
class LabelFormat:
    """A format for labelmaps.

    Attributes:
        ending: Of the file.
        encoding: Of a DICOM SEG; ``None`` for any other format.
    """

    ending: str
    encoding: str | None = None

    def file_name(self, case_id: str) -> str:
        """Return the name of the labelmap of a case."""
        return f"{case_id}{self.ending}" if self.ending == ".seg.nrrd" else f"{case_id}_seg{self.ending}"

    def write(
        self, labelmap: Volume, path: Path, headers: SourceHeaders | None, origin: Origin, *, brats_values: bool = False
    ) -> Path:
        """Write a labelmap; return the path.

        Args:
            labelmap: With TumorLoop's values.
            path: The file.
            headers: Of the series that a DICOM SEG refers to; not used for other formats.
            origin: Who made it.
            brats_values: Write enhancing tumor as 4; not for DICOM SEG.

        Raises:
            InputError: As :func:`training.dicom.seg.write_seg`.
        """
        if self.encoding is None:
            return write_labelmap(labelmap, path, brats_values=brats_values)
        assert headers is not None
        return write_seg(labelmap, headers, path, origin=origin, encoding=self.encoding)


def label_format(name: str, *, brats_values: bool = False) -> LabelFormat:
    """Return the format of a name: a file ending, ``dicom_seg`` (the same as ``.dcm``) or ``dicom_seg_labelmap``.

    Raises:
        InputError: If there is no such format, or it has no values for ``brats_values``; ``field`` is the option.
    """
    if name in EXPORT_ENDINGS:
        return LabelFormat(name)
    encoding = SEG_FORMATS.get("dicom_seg" if name == DICOM_ENDING else name)
    if encoding is None:
        known = ", ".join([*EXPORT_ENDINGS, DICOM_ENDING, *SEG_FORMATS])
        raise InputError(f"There is no format {name!r}: choose one of {known}.", field="format")
    if brats_values:
        raise InputError("A DICOM SEG has no BraTS values: its segments are named by codes.", field="brats-values")
    return LabelFormat(DICOM_ENDING, encoding)


def format_of(path: Path, name: str | None = None, *, brats_values: bool = False) -> LabelFormat:
    """Return the format of a file to be written: by its ending, or as named.

    Raises:
        InputError: As :func:`label_format`; and if the ending is not that of the format.
    """
    if name is None and not path.name.lower().endswith(DICOM_ENDING):
        return LabelFormat(export_ending(path))
    chosen = label_format(name or DICOM_ENDING, brats_values=brats_values)
    if not path.name.lower().endswith(chosen.ending):
        raise InputError(f"{path} must end in {chosen.ending} for the format {name}.", field="format")
    return chosen
