import numpy as np
from PIL import Image

from tests import synthetic
from training.cases.find import case_from_folder
from training.evaluation.subjects import subject_of_case
from training.labels import ET
from training.release import phantom_sheet
from training.release.phantom_sheet import Strip, draw_strip


def test_a_phantom_and_a_case_are_drawn_with_their_labels(run, tmp_path, written_studies):
    case = written_studies / "BraTS20_Training_001"
    code, stdout, _ = run("sheet", tmp_path / "sheet.png", "--count", 1, "--cases", case, "--workers", 1)
    assert code == 0
    assert "phantoms: 1 (seeds 0); cases: 1" in stdout
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 900
    yellow = (pixels[..., 0] > 180) & (pixels[..., 1] > 180) & (pixels[..., 2] < 120)
    assert yellow.sum() > 100


def test_strips_are_radiological_no_kind_fills_more_than_a_third_and_tcga_is_credited(written_cases, tmp_path):
    strip = draw_strip(subject_of_case(written_cases[0]), "case")
    assert (len(strip.panels), strip.caption) == (5, "case, 6 mL")
    plain, labeled = strip.panels[3].astype(int), strip.panels[4].astype(int)
    columns = np.flatnonzero((plain != labeled).any(axis=(0, 2)))
    assert columns.mean() < plain.shape[1] / 2  # the tumor lies to the right of the middle
    assert synthetic.TUMOR_CENTER[0] > 0
    assert (labeled[..., 0] - labeled[..., 2]).max() > 100, f"{ET.name} is red"
    kinds = ["ring", "healthy", "ring", "ring", "low", "ring", "solid", "low", "low", "patchy"]
    for names, count, expected in ((kinds, 6, [0, 2, 4, 6, 7, 9]), (["ring"] * 100, 3, [0, 12, 13])):
        strips = (Strip("", (), kind, seed) for seed, kind in enumerate(names))
        assert [strip.seed for strip in phantom_sheet._limited_per_kind(strips, count)] == expected
    case = case_from_folder(synthetic.write_case(tmp_path, "TCGA-FG-6692"))
    assert phantom_sheet._credit([case, written_cases[0]]).startswith(
        "TCGA-FG-6692: TCGA-LGG, The Cancer Imaging Archive, CC BY"
    )
    assert phantom_sheet._credit(written_cases[:1]) == ""
