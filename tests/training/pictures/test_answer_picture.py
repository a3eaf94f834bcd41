"""A model's answer on a prepared case as a picture."""

import io

import numpy as np
from PIL import Image

from training.pictures.answer_picture import answer_picture, slice_of_change

SHAPE = (40, 50, 30)


def pixels(answer: np.ndarray, truth: np.ndarray, index: int = 15) -> np.ndarray:
    image = np.zeros((*SHAPE, 4), np.float32)
    image[4:-4, 4:-4, 2:-2] = np.random.default_rng(0).normal(size=(32, 42, 26, 4))
    content = answer_picture(image, answer, truth, index, title="Before: v0001", caption="a case")
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_answer_is_colored_and_the_truth_outlined_with_the_patients_right_on_the_left():
    empty = np.zeros(SHAPE, np.uint8)
    edema, truth = empty.copy(), empty.copy()
    edema[28:34, 30:40, 15] = 2  # right of the patient, in front
    truth[8:14, 10:20, 15] = 2  # left, behind
    plain, colored, outlined = pixels(empty, empty), pixels(edema, empty), pixels(empty, truth)
    rows, columns = np.nonzero(np.any(colored != plain, axis=-1))
    panel = plain.shape[1] // 2
    left = columns[columns < panel]
    assert left.max() < panel / 2
    lines, at = np.nonzero(np.all(outlined == 255, axis=-1) & np.any(outlined != plain, axis=-1))
    assert at[at < panel].min() > panel / 2
    assert lines.min() > rows.max()  # behind is below
    other = np.zeros(SHAPE, np.uint8)
    other[:, :, 14] = 3
    assert np.array_equal(pixels(other, empty), plain)  # another slice


def test_the_slice_is_where_the_answers_differ_most_or_else_where_the_tumor_is_largest():
    before, truth = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[10:20, 10:20, 7] = 1
    assert slice_of_change(before, before, truth) == 7
    after = before.copy()
    after[0, :3, 21], after[0, :2, 3] = 3, 3
    assert slice_of_change(before, after, truth) == 21
    assert slice_of_change(before, before, before) == SHAPE[2] // 2
