"""Preparation of four volumes for the network: one canonicalization and its exact inverse.

The working grid of the network is RAS, isotropic, cropped to the brain and padded to the network stride. It follows the
axes of the reference volume, so that a reference of about 1 mm is never interpolated: the mapping is a permutation, a
flip, a crop and a pad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.errors import InputError
from training.images.derived_grids import canonical_grid, centered, cropped, padded
from training.images.grid import Grid, Volume, matching_name, transform_points
from training.images.lattice import on_grid
from training.images.masks import bounding_box, large_components
from training.images.resample import index_map, resample_labels, resample_linear, resample_mask
from training.images.tissue import LARGEST_BRAIN_ML, MIN_COMPONENT_ML, Tissue, fill_holes, find_tissue
from training.modalities import REFERENCE_ORDER, ROLES, TITLES, missing_message
from training.preparation.estimated_t1 import estimate_t1, is_estimated
from training.preparation.input_warnings import input_warnings, whole_head_message
from training.preparation.modality_contrast import check_modalities
from training.preparation.normalize import plausible_range, without_outliers, zscore_channel
from training.preparation.positions import check_size, position_warnings
from training.spans import span


@dataclass(frozen=True)
class Frame:
    """The mapping between the reference grid and the working grid.

    Attributes:
        reference: The grid of the results.
        working: The grid of the network: RAS, isotropic, cropped and padded.
    """

    reference: Grid
    working: Grid

    @cached_property
    def _to_working(self) -> np.ndarray:
        return index_map(self.working.affine, self.reference.affine)

    @cached_property
    def _to_reference(self) -> np.ndarray:
        return index_map(self.reference.affine, self.working.affine)

    def to_reference(self, labels: np.ndarray) -> Volume:
        """Map labels from the working grid to the reference grid.

        Args:
            labels: ``(x, y, z)`` uint8 on the working grid.

        Returns:
            uint8 on exactly :attr:`reference`; background outside the working grid.
        """
        self._check(labels)
        return Volume(resample_labels(labels, self._to_working, self.reference.shape, "F"), self.reference)

    def to_reference_map(self, values: np.ndarray) -> Volume:
        """Map float values, such as probabilities, from the working grid to the reference grid by linear interpolation.

        Args:
            values: ``(x, y, z)`` float on the working grid.

        Returns:
            float32 on exactly :attr:`reference`; 0 outside the working grid.
        """
        self._check(values)
        return Volume(resample_linear(values, self._to_working, self.reference.shape), self.reference)

    def to_working(self, label: Volume) -> np.ndarray:
        """Map a labelmap from the reference grid, or a part of it, to the working grid.

        Returns:
            uint8 on the working grid.

        Raises:
            InputError: If the label does not lie on the voxels of the reference; the message says how they differ.
        """
        whole = on_grid(label, self.reference)
        if whole is None:
            raise InputError(
                f"The label does not lie on the grid of the reference volume: {label.grid.difference(self.reference)} "
                "(label against reference). Resample it onto the reference, or choose that volume as reference.",
                field="label",
            )
        return resample_labels(whole.data.astype(np.uint8, copy=False), self._to_reference, self.working.shape)

    def _check(self, array: np.ndarray) -> None:
        if tuple(array.shape) != tuple(self.working.shape):
            raise ValueError(f"expected an array of {self.working.shape}, got {array.shape}")


@dataclass(frozen=True, eq=False)
class Prepared:
    """The network input of one case.

    Attributes:
        image: ``(x, y, z, 4)`` float32, channels in the order of :data:`training.modalities.ROLES`, z-scored
            inside the brain, 0 outside.
        brain: ``(x, y, z)`` bool.
        frame: The mapping to the reference grid.
        warnings: Warnings about the input, one sentence each.
        reference: The role whose grid the results use.
        missing: Missing roles; their channels are 0 throughout, but for T1 if it alone is missing
            (:mod:`training.preparation.estimated_t1`).
    """

    image: np.ndarray
    brain: np.ndarray
    frame: Frame
    warnings: tuple[str, ...] = ()
    reference: str = "t1ce"
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Modality:
    """One modality on its own grid, without outliers: the volume, its tissue, and the number of outliers in that."""

    volume: Volume
    tissue: Tissue
    outliers: int


@dataclass(frozen=True, eq=False)
class _Channel:
    """One modality on the common grid: its values and its tissue mask."""

    values: np.ndarray
    mask: np.ndarray


def prepare(
    volumes: Mapping[str, Volume],
    *,
    reference: str | None = None,
    stride: int = 16,
    spacing_mm: float = 1.0,
    allow_missing: bool = False,
    allow_whole_head: bool = False,
) -> Prepared:
    """Prepare the volumes of one case for the network.

    The brain is where at least two of them show tissue, so that a single poorly stripped or shorter volume neither
    enlarges nor truncates it; it is limited to the field of view of the reference.

    Args:
        volumes: The four modalities by role, each on its own grid; they must be stripped and registered to each other
            (:func:`training.preprocessing.preprocess.preprocess` sees to that).
        reference: The role whose grid the results use; ``None`` for T1ce, or the first present of T1, T2 and FLAIR.
        stride: The sides of the result are multiples of this.
        spacing_mm: Voxel size of the result.
        allow_missing: Accept missing modalities (at least one is needed). Their channels are 0 throughout, as in the
            modality dropout of training (:mod:`training.fitting.augment`), but for T1: if it alone is missing,
            it is estimated (:mod:`training.preparation.estimated_t1`). A warning names them.
        allow_whole_head: Accept volumes that do not look skull-stripped; a warning says so.

    Raises:
        InputError: If a modality is missing (and not allowed to be), empty or constant, two hold the same voxels, the
            volumes do not overlap, the requested reference is missing (``field`` is ``"reference"``), or the volumes do
            not look skull-stripped (and are not allowed to; ``field`` is ``"allow_whole_head"``).
    """
    reference = check_volumes(volumes, reference, allow_missing=allow_missing)
    present = [role for role in ROLES if role in volumes]
    full = canonical_grid(volumes[reference].grid, spacing_mm)
    with ThreadPoolExecutor(len(ROLES)) as pool:
        with span("mask"):
            read = pool.map(lambda role: _modality(volumes[role], role), present)
            modalities = dict(zip(present, read, strict=True))
            rough = cropped(full, _common_box(full, modalities))
            masks = _masks_on_grid(modalities, rough, pool)
        found_brain = pool.submit(_brain, list(masks.values()), rough)
        with span("resample"):
            found = pool.map(lambda role: _on_grid(modalities[role], masks[role], rough), present)
            channels = dict(zip(present, found, strict=True))
        with span("mask"):
            brain = found_brain.result()
        brain_ml = float(np.count_nonzero(brain)) * rough.voxel_ml
        if brain_ml > LARGEST_BRAIN_ML and not allow_whole_head:
            raise InputError(whole_head_message(brain_ml), field="allow_whole_head")
        box = bounding_box(brain)
        assert box is not None
        checked = pool.submit(
            check_modalities,
            {role: channel.values[box] for role, channel in channels.items()},
            {role: channel.mask[box] for role, channel in channels.items()},
            brain[box],
            spacing_mm,
        )
        working = padded(cropped(rough, box), stride)
        image = np.zeros((*working.shape, len(ROLES)), np.float32)
        inner = centered(working.shape, tuple(part.stop - part.start for part in box))
        inside = np.zeros(working.shape, bool)
        inside[inner] = brain[box]

        def fill(role: str) -> None:
            channel = channels[role]
            target = image[..., ROLES.index(role)][inner]
            zscore_channel(channel.values[box], channel.mask[box] & brain[box], target)

        with span("crop"):
            list(pool.map(fill, present))
        with span("check"):
            contrast = checked.result()
    missing = tuple(role for role in ROLES if role not in volumes)
    if is_estimated(missing):
        image[inner][..., ROLES.index("t1")][brain[box]] = estimate_t1(image[inner], brain[box])
    with span("check"):
        warnings = input_warnings(
            volumes[reference].grid,
            reference,
            noisy=[role for role in present if modalities[role].tissue.noisy],
            brain_ml=brain_ml,
            masks={role: channel.mask for role, channel in channels.items()},
            voxel_ml=rough.voxel_ml,
            outliers={role: modality.outliers for role, modality in modalities.items() if modality.outliers},
            missing=missing,
        )
        warnings = (*contrast, *position_warnings(volumes, reference), *warnings)
    return Prepared(image, inside, Frame(volumes[reference].grid, working), warnings, reference, missing)


def matching_role(grid: Grid, volumes: Mapping[str, Volume]) -> str:
    """Return the modality whose grid a label uses, T1ce if several match.

    Args:
        grid: Grid of the label.
        volumes: By role, at least one.

    Raises:
        InputError: If it matches none of them; ``field`` is ``"label"``.
    """
    present = [role for role in REFERENCE_ORDER if role in volumes]
    role = matching_name(grid, {role: volumes[role].grid for role in present})
    if role is not None:
        return role
    raise InputError(
        f"The label lies on the grid of none of the {len(present)} volumes; against {TITLES[present[0]]}, "
        f"{grid.difference(volumes[present[0]].grid)} (label against {TITLES[present[0]]}).",
        field="label",
    )


def check_volumes(volumes: Mapping[str, Volume], reference: str | None, *, allow_missing: bool) -> str:
    """Check what is told by the roles of the volumes and their headers, before anything is computed.

    Returns:
        The role of the reference.

    Raises:
        InputError: As :func:`prepare`.
    """
    reference = _checked_reference(volumes, reference, allow_missing)
    for role in (role for role in ROLES if role in volumes):
        check_size(role, volumes[role].grid)
    return reference


def _checked_reference(volumes: Mapping[str, Volume], reference: str | None, allow_missing: bool) -> str:
    missing = [role for role in ROLES if role not in volumes]
    if missing and not allow_missing:
        raise InputError(missing_message(missing, volumes), field=missing[0])
    if len(missing) == len(ROLES):
        raise InputError("There is no volume; at least one modality is needed.", field="image")
    unknown = [role for role in volumes if role not in ROLES]
    if unknown and missing:  # a misspelled role must not pass for a missing one
        raise InputError(f"There is no modality {unknown[0]!r}; known are {', '.join(ROLES)}.", field=str(unknown[0]))
    if reference is None:
        return next(role for role in REFERENCE_ORDER if role in volumes)
    if reference not in ROLES:
        raise InputError(f"The reference must be one of {', '.join(ROLES)}, not {reference!r}.", field="reference")
    if reference in missing:
        present = ", ".join(role for role in ROLES if role in volumes)
        raise InputError(
            f"The reference, {TITLES[reference]} ({reference}), is missing. Choose one of those there are: {present}.",
            field="reference",
        )
    return reference


def _modality(volume: Volume, role: str) -> _Modality:
    """Find the tissue of one volume and remove its outliers, before resampling spreads them."""
    data = volume.data
    lowest, highest = data.min(), data.max()
    if lowest == highest:
        raise InputError(f"{TITLES[role]} ({role}) holds one value everywhere; there is no brain in it.", field=role)
    tissue = find_tissue(data, volume.grid.voxel_ml)
    low, high = plausible_range(data, tissue.mask)
    if low <= lowest and highest <= high:
        return _Modality(volume, tissue, 0)
    data, outliers = without_outliers(data, tissue.mask)
    count = 0
    if outliers is not None:
        tissue = find_tissue(data, volume.grid.voxel_ml)  # those outside the brain counted as tissue
        count = int(np.count_nonzero(outliers & tissue.mask))
    low, high = plausible_range(data, tissue.mask)
    if data.min() < low or data.max() > high:  # a fill such as -1024, which must not be mixed into the brain's rim
        background = float(np.clip(tissue.background, low, high))
        data = np.where(tissue.mask, data, np.float32(background))
        tissue = Tissue(tissue.mask, background, tissue.noisy)
    return _Modality(Volume(data, volume.grid), tissue, count)


def _common_box(full: Grid, modalities: Mapping[str, _Modality]) -> tuple[slice, ...]:
    """Return the bounding box on ``full`` of the tissue of all modalities."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for role, modality in modalities.items():
        box = bounding_box(modality.tissue.mask)
        if box is None:
            raise InputError(f"{TITLES[role]} ({role}) shows no tissue.", field=role)
        ends = [(part.start - 0.5, part.stop - 0.5) for part in box]
        corners = np.array([[x, y, z] for x in ends[0] for y in ends[1] for z in ends[2]])
        moved = transform_points(index_map(full.affine, modality.volume.grid.affine), corners)
        low, high = np.minimum(low, moved.min(axis=0)), np.maximum(high, moved.max(axis=0))
    first = np.maximum(np.round(low + 0.5 - 0.25), 0).astype(int)
    last = np.minimum(np.round(high + 0.5 + 0.25), full.shape).astype(int)
    if np.any(first >= last):
        raise InputError("The volumes do not overlap in space: their positions disagree.", field="image")
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))


def _masks_on_grid(modalities: Mapping[str, _Modality], grid: Grid, pool: Executor) -> dict[str, np.ndarray]:
    """Return the tissue of each modality on a grid, without holes; often all were cut to one mask, filled once then."""

    def resampled(modality: _Modality) -> np.ndarray:
        to_input = index_map(modality.volume.grid.affine, grid.affine)
        return resample_mask(modality.tissue.mask, to_input, grid.shape)

    masks = dict(zip(modalities, pool.map(resampled, modalities.values()), strict=True))
    same_as = {role: next(each for each in masks if np.array_equal(masks[each], mask)) for role, mask in masks.items()}
    different = sorted(set(same_as.values()))
    filled = dict(zip(different, pool.map(lambda role: fill_holes(masks[role]), different), strict=True))
    return {role: filled[same] for role, same in same_as.items()}


def _on_grid(modality: _Modality, mask: np.ndarray, grid: Grid) -> _Channel:
    volume = modality.volume
    to_input = index_map(volume.grid.affine, grid.affine)
    return _Channel(resample_linear(volume.data, to_input, grid.shape, modality.tissue.background), mask)


def _brain(masks: Sequence[np.ndarray], grid: Grid) -> np.ndarray:
    """Return the voxels where at least two volumes (or the only one) show tissue."""
    votes = np.zeros(grid.shape, np.uint8)
    for mask in masks:
        votes += mask
    agreed = votes >= min(2, len(masks))
    if not np.array_equal(agreed, masks[0]):  # which has no holes
        agreed = fill_holes(agreed)
    brain = large_components(agreed, MIN_COMPONENT_ML, grid.voxel_ml)
    if not brain.any():
        raise InputError(
            "The volumes do not overlap in space: no two of them show tissue in the same place.", field="image"
        )
    return brain
