import numpy as np
import pytest
from PIL import Image, ImageSequence

from training.images.grid import Grid, Volume
from training.labels import ED, ET, NCR
from training.modalities import ROLES
from training.pictures.canvas import outline, overlay
from training.pictures.case_picture import best_slice, case_picture, comparison_picture
from training.pictures.flythrough import flythrough_gif
from training.pictures.planes import AxialView, tumor_area_per_slice, window

#: An ellipsoid head in RAS millimeters, its tumor on the patient's right, anterior and superior.
CENTER, RADII = np.array([0.0, -10.0, 20.0]), np.array([60.0, 80.0, 50.0])
TUMOR, TUMOR_RADIUS = np.array([30.0, 25.0, 40.0]), 14.0


def anatomy(rows: list[list[float]], shape: tuple[int, int, int]) -> tuple[Volume, Volume]:
    """Sample the head and its labels on any grid; intensities are shifted so that the background is negative."""
    affine = np.array([*rows, [0, 0, 0, 1]], float)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    head = (((points - CENTER) / RADII) ** 2).sum(-1) < 1
    distance = np.linalg.norm(points - TUMOR, axis=-1)
    image = np.where(head, 100 + points[..., 1] * 0.3, 0).astype(np.float32) - 40
    labels = np.select([distance < 5, distance < 9, distance < TUMOR_RADIUS], [NCR.value, ET.value, ED.value])
    image[labels > 0] += 60
    grid = Grid(shape, affine)
    return Volume(image, grid), Volume(labels.astype(np.uint8), grid)


HEADS = {
    "RAS 1 mm": anatomy([[1, 0, 0, -80], [0, 1, 0, -110], [0, 0, 1, -50]], (160, 200, 140)),
    "LPS 1 mm": anatomy([[-1, 0, 0, 80], [0, -1, 0, 90], [0, 0, 1, -50]], (160, 200, 140)),
    # the first axis runs down, the second back, the third to the left; 3 mm apart
    "sagittal": anatomy([[0, 0, -3, 80], [0, -1, 0, 90], [-1, 0, 0, 90]], (140, 200, 54)),
    "thick slices": anatomy([[0.8, 0, 0, -80], [0, 0.8, 0, -110], [0, 0, 5.5, -50]], (200, 250, 26)),
}
IMAGE, LABELS = HEADS["LPS 1 mm"]
NOTHING = Volume(np.zeros_like(LABELS.data), LABELS.grid)


@pytest.mark.parametrize("name", HEADS)
def test_the_slice_with_most_tumor_is_shown_in_radiological_convention_on_any_grid(name):
    image, labels = HEADS[name]
    view = AxialView.around(image, labels.grid)
    index = best_slice(view, labels)
    assert (view.affine @ [0, 0, index, 1])[2] == pytest.approx(TUMOR[2], abs=3)
    assert tumor_area_per_slice(labels).sum() == np.count_nonzero(labels.data)
    plane = view.labels(labels, index)
    rows, columns = np.nonzero(plane)
    height, width = plane.shape
    assert columns.mean() < 0.4 * width  # 30 mm to the right of the middle
    assert rows.mean() < 0.4 * height  # 35 mm anterior to the middle
    # Square pixels: the tumor is round, 28 mm across, and the head 160 mm long.
    millimeters = 160 / np.ptp(np.nonzero(view.plane(image, index) > 0)[0]) * np.sqrt(1 - (20 / 50) ** 2)
    assert np.ptp(columns) * millimeters == pytest.approx(28, abs=4)
    assert np.ptp(rows) * millimeters == pytest.approx(28, abs=4)
    view = AxialView.around(IMAGE, LABELS.grid)
    index = best_slice(view, LABELS)
    head, other_head = view.plane(IMAGE, index) > 0, view.plane(image, index) > 0
    assert (head == other_head).mean() > 0.98
    assert window(IMAGE)[0] == pytest.approx(-40)
    assert window(IMAGE)[1] > 60
    assert best_slice(AxialView.around(IMAGE, NOTHING.grid), NOTHING) == pytest.approx(70, abs=3)  # the middle


def test_labels_are_outlined_a_case_becomes_eight_panels_and_answers_are_compared_side_by_side(tmp_path):
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = ET.value
    edge = outline(labels)
    assert edge.sum() == 16
    assert not edge[3:6, 3:6].any()
    assert np.all(labels[edge] == ET.value)
    tinted = overlay(np.full((9, 9), 100, np.uint8), labels)
    assert tuple(tinted[0, 0]) == (100, 100, 100)
    assert tinted[4, 4, 0] > tinted[4, 4, 1] + 60
    assert tinted[2, 2, 0] > 200
    volumes = dict.fromkeys(ROLES, IMAGE)
    for truth in (LABELS, None):
        path = case_picture(volumes, LABELS, truth, tmp_path / "deep" / "case.png", title="x" * 300, caption="Dice")
        with Image.open(path) as picture:
            assert (picture.format, picture.width) == ("PNG", 2 * 20 + 4 * 300 + 3 * 8)
            pixels = np.asarray(picture).reshape(-1, 3)
        for label in (NCR, ED, ET):
            assert (pixels == label.color).all(1).any()
    with Image.open(comparison_picture(volumes, {"before": NOTHING, "truth": LABELS}, tmp_path / "x.png")) as picture:
        assert picture.width == 2 * 20 + 3 * 300 + 2 * 8
        colored = np.ptp(np.asarray(picture).astype(int), axis=2)[:-70] > 40
    assert not colored[:, :628].any()
    assert colored[:, 636:].any()


def test_the_flythrough_begins_at_the_largest_tumor_covers_the_brain_and_stays_below_the_size_limit(tmp_path):
    path = flythrough_gif(IMAGE, LABELS, tmp_path / "flight.gif", title="case 1")
    colored = []
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        for frame in ImageSequence.Iterator(gif):
            pixels = np.asarray(frame.convert("RGB")).astype(int)[30:-30, :320]
            colored.append(int((np.ptp(pixels, axis=2) > 40).sum()))
    assert 45 <= len(colored) <= 55  # 100 mm of head, every 2 mm
    assert colored[0] == max(colored)
    assert 10 <= np.count_nonzero(colored) <= 16  # 28 mm of tumor
    noise = np.random.default_rng(0).normal(0, 30, IMAGE.data.shape).astype(np.float32)
    flythrough_gif(Volume(IMAGE.data + noise, IMAGE.grid), LABELS, path, step_mm=8, max_bytes=250_000)
    assert path.stat().st_size <= 250_000
    with Image.open(path) as gif:
        assert gif.width < 320
