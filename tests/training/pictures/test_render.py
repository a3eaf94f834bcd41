"""Pictures: right orientation, right place, right size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageSequence

from training.images.grid import Grid, Volume
from training.labels import ED, ET, NCR
from training.modalities import ROLES
from training.pictures.canvas import outline, overlay
from training.pictures.case_picture import best_slice, case_picture, comparison_picture, flythrough_gif
from training.pictures.planes import AxialView, tumor_area_per_slice, window

#: An ellipsoid head in RAS millimeters, its tumor on the patient's right, in front and above.
CENTER, RADII = np.array([0.0, -10.0, 20.0]), np.array([60.0, 80.0, 50.0])
TUMOR, TUMOR_RADIUS = np.array([30.0, 25.0, 40.0]), 14.0


def anatomy(affine: np.ndarray, shape: tuple[int, int, int]) -> tuple[Volume, Volume]:
    """Sample the head and its labels on any grid; intensities are shifted so that the background is negative."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    head = (((points - CENTER) / RADII) ** 2).sum(-1) < 1
    distance = np.linalg.norm(points - TUMOR, axis=-1)
    image = np.where(head, 100 + points[..., 1] * 0.3, 0).astype(np.float32) - 40
    labels = np.select([distance < 5, distance < 9, distance < TUMOR_RADIUS], [NCR.value, ET.value, ED.value]).astype(
        np.uint8
    )
    image[labels > 0] += 60
    grid = Grid(shape, affine.astype(np.float64))
    return Volume(image, grid), Volume(labels, grid)


RAS_1MM = np.array([[1, 0, 0, -80], [0, 1, 0, -110], [0, 0, 1, -50], [0, 0, 0, 1]], float)
LPS_1MM = np.array([[-1, 0, 0, 80], [0, -1, 0, 90], [0, 0, 1, -50], [0, 0, 0, 1]], float)
#: Sagittally acquired: the first axis runs down, the second back, the third to the left; 3 mm apart.
SAGITTAL = np.array([[0, 0, -3, 80], [0, -1, 0, 90], [-1, 0, 0, 90], [0, 0, 0, 1]], float)
THICK = np.array([[0.8, 0, 0, -80], [0, 0.8, 0, -110], [0, 0, 5.5, -50], [0, 0, 0, 1]], float)
GRIDS = {
    "RAS 1 mm": (RAS_1MM, (160, 200, 140)),
    "LPS 1 mm": (LPS_1MM, (160, 200, 140)),
    "sagittal": (SAGITTAL, (140, 200, 54)),
    "thick slices": (THICK, (200, 250, 26)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_patient_s_right_is_on_the_left_and_the_nose_is_up_whatever_the_grid(name):
    image, labels = anatomy(*GRIDS[name])
    view = AxialView.around(image, labels.grid)
    index = best_slice(view, labels)
    plane = view.labels(labels, index)
    rows, columns = np.nonzero(plane)
    height, width = plane.shape
    assert columns.mean() < 0.4 * width  # +30 mm right of the middle
    assert rows.mean() < 0.4 * height  # +35 mm before the middle
    # Square pixels: the tumor is round, 28 mm across, and the head 160 mm long.
    millimeters = 160 / np.ptp(np.nonzero(view.plane(image, index) > 0)[0]) * np.sqrt(1 - (20 / 50) ** 2)
    assert np.ptp(columns) * millimeters == pytest.approx(28, abs=4)
    assert np.ptp(rows) * millimeters == pytest.approx(28, abs=4)


@pytest.mark.parametrize("name", GRIDS)
def test_the_slice_with_the_largest_tumor_lies_at_the_tumor_s_height(name):
    image, labels = anatomy(*GRIDS[name])
    view = AxialView.around(image, labels.grid)
    height = (view.affine @ [0, 0, best_slice(view, labels), 1])[2]
    assert height == pytest.approx(TUMOR[2], abs=3)
    assert tumor_area_per_slice(labels).sum() == np.count_nonzero(labels.data)


def test_a_volume_on_another_grid_shows_the_same_anatomy():
    image, labels = anatomy(*GRIDS["RAS 1 mm"])
    other, _ = anatomy(*GRIDS["sagittal"])
    view = AxialView.around(image, labels.grid)
    index = best_slice(view, labels)
    head, other_head = view.plane(image, index) > 0, view.plane(other, index) > 0
    assert (head == other_head).mean() > 0.98


def test_a_negative_background_is_black_and_the_head_is_not():
    image, _ = anatomy(*GRIDS["RAS 1 mm"])
    low, high = window(image)
    assert low == pytest.approx(-40)
    assert high > 60


def test_without_a_tumor_the_middle_of_the_head_is_shown():
    image, labels = anatomy(*GRIDS["RAS 1 mm"])
    nothing = Volume(np.zeros_like(labels.data), labels.grid)
    view = AxialView.around(image, nothing.grid)
    assert best_slice(view, nothing) == pytest.approx(70, abs=3)


def test_the_outline_of_a_label_is_one_pixel_wide_and_inside_of_it():
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = ED.value
    edge = outline(labels)
    assert edge.sum() == 16
    assert not edge[3:6, 3:6].any()
    assert np.all(labels[edge] == ED.value)


def test_labels_have_their_colors_and_the_rest_stays_gray():
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = ET.value
    picture = overlay(np.full((9, 9), 100, np.uint8), labels)
    assert tuple(picture[0, 0]) == (100, 100, 100)
    assert picture[4, 4, 0] > picture[4, 4, 1] + 60
    assert picture[2, 2, 0] > 200


@pytest.mark.parametrize("with_truth", [True, False])
def test_a_case_becomes_a_png_with_eight_panels(tmp_path, with_truth):
    image, labels = anatomy(*GRIDS["LPS 1 mm"])
    truth = labels if with_truth else None
    path = case_picture(
        dict.fromkeys(ROLES, image), labels, truth, tmp_path / "deep" / "case.png", title="x" * 300, caption="Dice"
    )
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width == 2 * 20 + 4 * 300 + 3 * 8
        pixels = np.asarray(picture).reshape(-1, 3)
    for label in (NCR, ED, ET):
        assert (pixels == label.color).all(1).any()


def test_answers_are_drawn_side_by_side(tmp_path):
    image, labels = anatomy(*GRIDS["LPS 1 mm"])
    nothing = Volume(np.zeros_like(labels.data), labels.grid)
    path = comparison_picture(dict.fromkeys(ROLES, image), {"before": nothing, "truth": labels}, tmp_path / "x.png")
    with Image.open(path) as picture:
        assert picture.width == 2 * 20 + 3 * 300 + 2 * 8
        pixels = np.asarray(picture).astype(int)
    colored = np.ptp(pixels, axis=2)[:-70] > 40
    assert not colored[:, :628].any()
    assert colored[:, 636:].any()


def test_the_flight_begins_at_the_largest_tumor_and_passes_through_the_whole_brain(tmp_path):
    image, labels = anatomy(*GRIDS["LPS 1 mm"])
    path = flythrough_gif(image, labels, tmp_path / "flight.gif", title="case 1")
    colored = []
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        for frame in ImageSequence.Iterator(gif):
            pixels = np.asarray(frame.convert("RGB")).astype(int)[30:-30, :320]
            colored.append(int((np.ptp(pixels, axis=2) > 40).sum()))
    assert 45 <= len(colored) <= 55  # 100 mm of head, every 2 mm
    assert colored[0] == max(colored)
    assert 10 <= np.count_nonzero(colored) <= 16  # 28 mm of tumor


def test_a_flight_that_is_too_large_is_drawn_smaller(tmp_path):
    image, labels = anatomy(*GRIDS["RAS 1 mm"])
    noisy = Volume(image.data + np.random.default_rng(0).normal(0, 30, image.data.shape).astype(np.float32), image.grid)
    path = flythrough_gif(noisy, labels, tmp_path / "flight.gif", step_mm=4, max_bytes=400_000)
    assert path.stat().st_size <= 400_000
    with Image.open(path) as gif:
        assert gif.width < 320
