"""Exchanged modalities, wrong series and copies, on a small head whose tissues have the usual contrasts."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from training.modalities import ROLES
from training.preparation.modality_contrast import check_modalities

SHAPE = (80, 84, 80)
BRAIN = np.ones(SHAPE, bool)  # 538 mL
#: Fluid, gray matter, white matter, edema, enhancing tissue: the share of the head, and the brightness by role.
SHARES = (0.12, 0.34, 0.44, 0.09, 0.01)
BRIGHTNESS = {
    "t1": (0.3, 0.75, 1.0, 0.65, 0.7),
    "t1ce": (0.3, 0.75, 1.0, 0.65, 1.8),
    "t2": (1.4, 0.65, 0.5, 1.0, 0.8),
    "flair": (0.2, 0.75, 0.65, 1.3, 1.0),
}
LOOKS = {"t1": "T1", "t1ce": "T1 with contrast", "t2": "T2", "flair": "FLAIR"}
NAMES = {"t1": "T1 (t1)", "t1ce": "T1 with contrast (t1ce)", "t2": "T2 (t2)", "flair": "FLAIR (flair)"}


def a_scan(role: str, seed: int = 0) -> np.ndarray:
    """One scan of the head; another seed is another scan with other noise."""
    tissues = np.random.default_rng(0).choice(len(SHARES), np.array(SHAPE) // 4, p=SHARES)
    values = np.array(BRIGHTNESS[role])[tissues.repeat(4, 0).repeat(4, 1).repeat(4, 2)]
    noise = np.random.default_rng([seed, ROLES.index(role)]).normal(0, 0.07, SHAPE)
    return (100 * (values + noise)).astype(np.float32)


SCANS = {role: a_scan(role) for role in ROLES}


def check(images, masks=None, brain=BRAIN):
    return check_modalities(images, masks or dict.fromkeys(images, brain), brain, 1.0)


def bias_field():
    return np.exp(0.3 * np.sin(np.arange(SHAPE[0]) / 30))[:, None, None]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_nothing_is_said_of_modalities_that_are_right_whichever_are_missing(count):
    for roles in itertools.combinations(ROLES, count):
        assert check({role: SCANS[role] for role in roles}) == ()


@pytest.mark.parametrize(
    "alter",
    [
        lambda scan: -300 + 0.01 * scan,
        lambda scan: np.abs(scan) ** 0.7,
        lambda scan: np.abs(scan) ** 1.5,
        lambda scan: scan * bias_field(),
        lambda scan: scan + np.random.default_rng(5).normal(0, 12, SHAPE),
        lambda scan: ndimage.gaussian_filter(scan, 1),
        lambda scan: (scan - scan.mean()) / scan.std(),
        lambda scan: np.where(np.arange(scan.size).reshape(SHAPE) % 100_000 == 7, 1e6, scan),
    ],
    ids=["scale and offset", "gamma 0.7", "gamma 1.5", "bias field", "noise", "smoothed", "z-scored", "outliers"],
)
@pytest.mark.parametrize("altered", [*ROLES, ROLES], ids=str)
def test_nothing_is_said_of_modalities_that_are_right_but_altered(alter, altered):
    assert check({role: alter(scan) if role in altered else scan for role, scan in SCANS.items()}) == ()


@pytest.mark.parametrize("looks", [*itertools.permutations(ROLES)][1:], ids=" ".join)
def test_every_exchange_is_told_with_what_each_modality_looks_like(looks):
    (warning,) = check({role: SCANS[look] for role, look in zip(ROLES, looks, strict=True)})
    changed = [(role, look) for role, look in zip(ROLES, looks, strict=True) if role != look]
    for number, (role, look) in enumerate(changed):
        assert f"{NAMES[role]} {'like' if number else 'looks like'} {LOOKS[look]}" in warning
    assert warning.count("like ") == len(changed)
    assert "exchanged?" in warning


@pytest.mark.parametrize("missing", ROLES)
def test_an_exchange_is_told_when_a_modality_is_missing(missing):
    first, second = [role for role in ("flair", "t2", "t1ce", "t1") if role != missing][:2]
    images = {**SCANS, first: SCANS[second], second: SCANS[first]}
    (warning,) = check({role: image for role, image in images.items() if role != missing})
    assert NAMES[first] in warning
    assert NAMES[second] in warning


@pytest.mark.parametrize(
    ("role", "series"),
    [("t1", "t2"), ("t1", "flair"), ("t1ce", "t2"), ("t1ce", "flair"), ("t2", "t1"), ("t2", "flair"), ("flair", "t2")],
)
def test_a_second_scan_of_another_modality_is_told_as_the_wrong_series(role, series):
    (warning,) = check({**SCANS, role: a_scan(series, seed=1)})
    assert warning.startswith(f"{NAMES[role]} looks like {LOOKS[series]}: is it the wrong series?")


def test_nothing_is_said_of_contrast_where_it_cannot_be_judged():
    exchanged = {**SCANS, "t2": SCANS["flair"], "flair": SCANS["t2"]}
    assert check(exchanged) != ()
    piece = BRAIN.copy()
    piece[:30] = False  # fewer than 400 mL
    assert check(exchanged, brain=piece) == ()
    elsewhere = {**dict.fromkeys(ROLES, BRAIN), "t1": np.roll(piece, 20, axis=0)}  # not registered
    assert check(exchanged, masks=elsewhere) == ()
    assert check_modalities(exchanged, dict.fromkeys(ROLES, BRAIN), BRAIN, 1.7) == ()  # a head of 2,600 mL
    mixed = {role: np.random.default_rng(number).normal(size=SHAPE) for number, role in enumerate(ROLES)}
    assert check(mixed) == ()  # no modalities explain it
