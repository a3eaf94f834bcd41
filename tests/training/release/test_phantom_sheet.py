"""The sheet of phantoms beside real cases."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests import synthetic
from training.cases.find import case_from_folder
from training.cli import app
from training.evaluation.subjects import subject_of_case
from training.labels import ET
from training.release import phantom_sheet
from training.release.phantom_sheet import Strip, draw_strip


def test_a_phantom_and_a_case_are_drawn_with_their_labels(tmp_path, case_folder):
    arguments = ["sheet", tmp_path / "sheet.png", "--count", 1, "--cases", case_folder, "--workers", 1]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "phantoms: 1 (seeds 0); cases: 1" in done.stdout
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 900
    yellow = (pixels[..., 0] > 180) & (pixels[..., 1] > 180) & (pixels[..., 2] < 120)
    assert yellow.sum() > 100


def test_a_strip_shows_four_modalities_and_the_labels_the_patients_right_on_the_left(case_folder):
    strip = draw_strip(subject_of_case(case_from_folder(case_folder)), "case")
    assert len(strip.panels) == 5
    assert strip.caption == "case, 6 mL"
    plain, labeled = strip.panels[3].astype(int), strip.panels[4].astype(int)
    columns = np.flatnonzero((plain != labeled).any(axis=(0, 2)))
    assert columns.mean() < plain.shape[1] / 2  # the tumor lies to the right of the middle
    assert synthetic.TUMOR_CENTER[0] > 0
    assert (labeled[..., 0] - labeled[..., 2]).max() > 100, f"{ET.name} is red"


def test_no_build_fills_more_than_a_third_and_healthy_heads_are_left_out():
    kinds = ["ring", "healthy", "ring", "ring", "low", "ring", "solid", "low", "low", "patchy"]
    strips = (Strip("", (), kind, seed) for seed, kind in enumerate(kinds))
    chosen = list(phantom_sheet._limited_per_kind(strips, 6))
    assert [strip.seed for strip in chosen] == [0, 2, 4, 6, 7, 9]


def test_if_all_are_alike_the_sheet_is_filled_all_the_same():
    strips = (Strip("", (), "ring", seed) for seed in range(100))
    assert [strip.seed for strip in phantom_sheet._limited_per_kind(strips, 3)] == [0, 12, 13]


def test_images_of_tcga_carry_their_attribution(tmp_path):
    case = case_from_folder(synthetic.write_case(tmp_path, "TCGA-FG-6692"))
    other = case_from_folder(synthetic.write_case(tmp_path, "BraTS20_Training_001"))
    assert phantom_sheet._credit([case, other]).startswith("TCGA-FG-6692: TCGA-LGG, The Cancer Imaging Archive, CC BY")
    assert phantom_sheet._credit([other]) == ""


@pytest.mark.parametrize(("name", "words"), [("sheet.jpg", "must be a .png file"), ("sheet.png", "has a label")])
def test_what_cannot_be_drawn_ends_with_2(tmp_path, name, words):
    folder = synthetic.write_case(tmp_path, label=False)
    done = CliRunner().invoke(app, ["sheet", str(tmp_path / name), "--cases", str(folder)])
    assert done.exit_code == 2
    assert words in done.stderr
