"""Random contrasts: the brightness of each tissue in each modality, within the range of real scanners.

Domain randomization after Billot et al. 2023 (SynthSeg, doi:10.1016/j.media.2023.102789), but the order of tissues that
characterizes a modality is mostly kept, because each channel holds a known modality. White matter on T1 is about 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Draws a uniform random number between two bounds.
Draw = Callable[[float, float], float]


@dataclass(frozen=True)
class Contrast:
    """Mean brightness by tissue: four values each, in the order t1, t1ce, t2, flair.

    ``tissue`` holds csf, gray, white and deep; ``lesion`` holds ed, ncr, inner, et; ``distractor`` the kinds of
    :class:`training.phantoms.distractors.Distractor`.
    """

    tissue: dict[str, np.ndarray]
    lesion: dict[str, np.ndarray]
    distractor: dict[str, np.ndarray]


def draw_contrast(rng: np.random.Generator, *, low_grade: bool) -> Contrast:
    """Draw the contrasts of one examination.

    Args:
        rng: Random generator.
        low_grade: Whether the core is non-enhancing tumor instead of necrosis: homogeneous, dark on T1, bright on T2.
    """
    u: Draw = rng.uniform
    gray = np.array([u(0.58, 0.9), u(0.62, 0.97), u(0.36, 0.62), u(0.58, 0.85)])
    fluid = np.array([u(0.12, 0.42), u(0.12, 0.42), u(0.8, 1.5), u(0.03, 0.4)])
    white = np.array([1.0, 1.0, gray[2] * u(0.58, 0.97), gray[3] * u(0.68, 1.03)])
    deep = 0.5 * (gray + white) * np.array([u(0.93, 1.05), u(0.93, 1.05), u(0.74, 1.0), u(0.8, 1.05)])
    tissue = {"csf": fluid, "gray": gray, "white": white, "deep": deep}
    return Contrast(tissue, _lesion(u, gray, fluid, white, low_grade), _distractor(u, gray, fluid, white))


def _lesion(u: Draw, gray: np.ndarray, fluid: np.ndarray, white: np.ndarray, low_grade: bool) -> dict[str, np.ndarray]:
    def toward_fluid(channel: int, low: float, high: float) -> float:
        return float(gray[channel] + (fluid[channel] - gray[channel]) * u(low, high))

    flair = float(gray[3])
    # On T1, edema is mostly brighter than gray matter (below 0), and a necrotic core often not darker than it.
    edema_t1 = u(-0.55, 0.3 if low_grade else 0.45)
    edema = [
        toward_fluid(0, edema_t1, edema_t1),
        toward_fluid(1, edema_t1 - 0.1, edema_t1 + 0.1),
        toward_fluid(2, 0.0, 0.6),
        max(flair, float(white[3])) * u(1.25, 2.0),
    ]
    # A low-grade core that an expert could not distinguish from edema is not labeled as core; within an enhancing rim
    # the core may look like edema, because its position identifies it.
    core_t1 = u(max(0.0, edema_t1 + 0.2), 0.75) if low_grade else u(-0.3, 0.75)
    spread = 0.1 if low_grade else 0.15
    core = [
        toward_fluid(0, core_t1, core_t1),
        toward_fluid(1, core_t1 - spread, core_t1 + spread),
        toward_fluid(2, *((0.2, 0.95) if low_grade else (0.15, 1.05))),
        flair * u(0.85 if low_grade else 0.5, 1.9),
    ]
    enhancement = u(1.02, 1.6) if low_grade or u(0, 1) < 0.2 else u(1.2, 2.2)
    rim = [toward_fluid(0, -0.5, 0.25), enhancement, toward_fluid(2, 0.05, 0.6), flair * u(1.0, 1.8)]
    # the center of a layered core: anything from clear fluid to old blood
    center_t1 = u(0.35, 1.15)
    center = [center_t1, center_t1 * u(0.92, 1.08), u(0.3, 1.2), flair * u(0.4, 1.7)]
    return {name: np.array(values) for name, values in (("ed", edema), ("ncr", core), ("inner", center), ("et", rim))}


def _distractor(u: Draw, gray: np.ndarray, fluid: np.ndarray, white: np.ndarray) -> dict[str, np.ndarray]:
    void = u(0, 1) < 0.6  # flowing blood is black on spin echo, bright on some gradient echoes
    vessel_t1 = u(0.25, 0.6) if void else u(0.8, 1.5)
    vessel_t2 = u(0.05, 0.3) if void else float(gray[2])
    nan = np.nan  # leaves the tissue unchanged
    return {
        "vessel": np.array([vessel_t1, u(1.1, 2.8), vessel_t2, gray[3] * u(0.3, 1.1)]),
        "sinus": np.array([vessel_t1, u(1.2, 3.0), vessel_t2, gray[3] * u(0.3, 1.5)]),
        "choroid": np.array([gray[0] * u(0.7, 1.1), u(1.0, 2.3), fluid[2] * u(0.5, 0.9), gray[3] * u(0.7, 1.6)]),
        "dura": np.array([u(0.4, 1.6), u(0.8, 2.6), fluid[2] * u(0.1, 0.8), gray[3] * u(0.5, 2.0)]),
        "edge": np.array([u(0.2, 1.0), u(0.2, 1.4), u(0.02, 0.3), gray[3] * u(0.1, 0.8)]),
        "falx": np.array([u(0.3, 0.8), u(0.9, 2.2), u(0.1, 0.5), gray[3] * u(0.4, 1.3)]),
        "lesion": np.array(
            [white[0] * u(0.68, 0.97), white[1] * u(0.68, 0.97), gray[2] * u(1.1, 1.7), gray[3] * u(1.15, 1.9)]
        ),
        "spot": np.array([u(0.2, 2.0), u(0.2, 2.0), u(0.0, 0.6), u(0.0, 1.2)]),
        "flow": np.array([nan, nan, nan, gray[3] * u(0.6, 1.4)]),
    }
