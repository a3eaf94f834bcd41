"""The alterations of the table."""

from __future__ import annotations

import nibabel
import numpy as np

from docs.invariance import changes, formats
from docs.invariance.alteration import Alteration
from docs.invariance.changes import ALL_AROUND, ONE_SIDE, each, each_by_role, in_turn, padded
from docs.invariance.formats import as_itk, as_nifti
from training.modalities import ROLES


def alterations() -> list[Alteration]:
    """Return all alterations, in the order of the table."""
    return [*_rotation(), *_padding(), *_orientation(), *_intensities(), *_outliers(), *_files(), *_headers()]


def _turned(degrees: float) -> np.ndarray:
    """Return a rotation about all three axes, one after the other, and a shift."""
    from scipy.spatial.transform import Rotation

    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", [degrees] * 3, degrees=True).as_matrix()
    motion[:3, 3] = [12.3, -45.6, 7.8]
    return motion


def _rotation() -> list[Alteration]:
    group = "Rotation"
    return [
        Alteration("turned-15", group, "headers turned by 15 degrees about each axis and shifted", motion=_turned(15)),
        Alteration("turned-90", group, "voxels turned by 90 degrees, headers likewise", each(changes.oriented("LSA"))),
    ]


def _padding() -> list[Alteration]:
    group = "Padding and cropping"
    around, zscored = padded(ALL_AROUND, 0), each(changes.zscored_whole)
    nonzero = each(changes.offset(100))
    different = {
        "t1": padded(ALL_AROUND, None),
        "t1ce": padded(ONE_SIDE, None),
        "t2": lambda volume: volume,
        "flair": padded([(0, 7), (9, 0), (0, 11)], None),
    }
    return [
        Alteration("padded", group, "padded on all sides", each(around)),
        Alteration("padded-one-side", group, "60 slices of background on one side", each(padded(ONE_SIDE, None))),
        Alteration("padded-1024", group, "padded with -1024", each(padded(ALL_AROUND, -1024))),
        Alteration("zscored-padded", group, "z-scored as a whole, padded with 0", in_turn(zscored, each(around))),
        Alteration(
            "zscored-turned",
            group,
            "z-scored as a whole, corners of the field of view filled with 0, as turning it leaves them",
            in_turn(zscored, changes.corners_of_turn(15, 0)),
        ),
        Alteration("offset-padded", group, "background 100, padded with 0", in_turn(nonzero, each(around))),
        Alteration("cropped", group, "cropped to the brain", changes.cropped(dict.fromkeys(ROLES, 0))),
        Alteration(
            "different-extents",
            group,
            "T1 padded, FLAIR and T1ce padded otherwise, T1ce and T2 cropped by modality",
            in_turn(changes.cropped({"t1ce": 5, "t2": 2}), each_by_role(different)),
        ),
    ]


def _orientation() -> list[Alteration]:
    group = "Orientation"
    own = {role: changes.oriented(codes) for role, codes in zip(ROLES, ("RAS", "PSR", "LAI", "SPL"), strict=True)}
    return [
        Alteration("oriented-ras", group, "axes RAS", each(changes.oriented("RAS"))),
        Alteration("oriented-lpi", group, "axes LPI", each(changes.oriented("LPI"))),
        Alteration("oriented-psr", group, "axes PSR (sagittal slices)", each(changes.oriented("PSR"))),
        Alteration("oriented-each", group, "each modality with other axes", each_by_role(own)),
    ]


def _intensities() -> list[Alteration]:
    group = "Scaling, offset, background"
    scales = {role: changes.scaled(factor) for role, factor in zip(ROLES, (0.01, 300, 7, 0.2), strict=True)}
    return [
        Alteration("times-1000", group, "intensities × 1000", each(changes.scaled(1000))),
        Alteration("times-0.001", group, "intensities × 0.001", each(changes.scaled(0.001))),
        Alteration("scales", group, "each modality on another scale", each_by_role(scales)),
        Alteration("plus-500", group, "500 added, background too", each(changes.offset(500))),
        Alteration("minus-2000", group, "2000 subtracted, background too", each(changes.offset(-2000))),
        Alteration("zscored", group, "z-scored as a whole (background below 0)", each(changes.zscored_whole)),
        Alteration("zscored-brain", group, "z-scored in the brain, background 0", each(changes.zscored_brain)),
        Alteration("nan", group, "background not a number", each(changes.nan_background)),
    ]


def _outliers() -> list[Alteration]:
    group = "Outliers"
    both = ("t1ce", "flair")
    return [
        Alteration("hot-3", group, "three voxels of 1,000,000 in T1ce and FLAIR", changes.outliers(both, 1e6)),
        Alteration("cold-3", group, "three voxels of -1,000,000 in all", changes.outliers(ROLES, -1e6, at_top=True)),
        Alteration(
            "hot-random", group, "0.01 % of the brain at 100 × the maximum, in all", changes.random_outliers(1e-4, 100)
        ),
        Alteration(
            "hot-background",
            group,
            "0.01 % of the background at 10 × the maximum, in all",
            changes.random_outliers(1e-4, 10, in_background=True),
        ),
    ]


def _files() -> list[Alteration]:
    group = "File format, names, order"
    return [
        Alteration("nii", group, ".nii"),
        Alteration("gzip", group, ".nii.gz of several gzip members", write=formats.as_gzip_members),
        Alteration("pair", group, ".hdr and .img", write=as_nifti(".hdr", kind=nibabel.Nifti1Pair)),
        Alteration("4d", group, "one 4D file", write=formats.as_4d),
        Alteration("nrrd", group, ".nrrd", write=as_itk(".nrrd")),
        Alteration("nhdr", group, ".nhdr with its data file", write=as_itk(".nhdr")),
        Alteration("mha", group, ".mha with the header fields of the NIfTI file", write=as_itk(".mha")),
        Alteration("mhd", group, ".mhd with its data file", write=as_itk(".mhd")),
        Alteration("names-2023", group, "names of BraTS 2023", write=as_nifti(names=formats.BRATS_2023)),
        Alteration("names-numbered", group, "names in another order", write=as_nifti(names=formats.NUMBERED)),
        Alteration(
            "names-letters",
            group,
            "names that say nothing, modalities told",
            write=as_nifti(names=formats.LETTERS, told=True),
        ),
    ]


def _headers() -> list[Alteration]:
    types, forms = "Data type and units", "Header forms"
    unsigned = each(changes.from_zero)
    as_float = each(changes.scaled(1.0))
    return [
        Alteration("uint16", types, "uint16", unsigned, as_nifti(dtype=np.uint16)),
        Alteration("float64", types, "float64", write=as_nifti(dtype=np.float64)),
        Alteration("scaled-int16", types, "int16 with scl_slope and scl_inter", as_float, as_nifti(dtype=np.int16)),
        Alteration("micron", types, "micrometers", write=as_nifti(unit="micron")),
        Alteration("meter", types, "meters", write=as_nifti(unit="meter")),
        Alteration("sform", forms, "sform alone", write=as_nifti(set_forms=formats.only_sform)),
        Alteration("qform", forms, "qform alone", write=as_nifti(set_forms=formats.only_qform)),
        Alteration(
            "two-forms", forms, "qform 20 mm and 10 degrees off the sform", write=as_nifti(set_forms=formats.two_forms)
        ),
        Alteration("nifti2", forms, "NIfTI-2", write=as_nifti(kind=nibabel.Nifti2Image)),
        Alteration("big-endian", forms, "big-endian", write=as_nifti(big_endian=True)),
    ]
