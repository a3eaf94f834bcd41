from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case
from training.cases.find import find_cases
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.models.store import ModelCard, ModelStore, write_version
from training.models.weights import Weights
from training.network.unet import UNetConfig
from training.phantoms.generate import phantom_id
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedStore, _phantom_key
from training.retraining.corrections import EVALUATION_SEEDS
from training.retraining.promotion import Scores, check_guard
from training.retraining.retrain import RetrainProgress
from training.retraining.site import SiteConfig, _chosen, fit_and_promote, fit_site, numbers_of, refusal_of

NETWORK = UNetConfig(base_filters=4, max_filters=16, levels=2)
NAMES = tuple(f"BraTS20_Training_00{number}" for number in (1, 2, 3))
#: All of the statistics, and phantoms that may lose everything.
LENIENT = SiteConfig(share=1.0, judge_phantoms=1, tolerance=1.0)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    root = tmp_path_factory.mktemp("site")
    for name in NAMES:
        synthetic.write_case(root, name, label=name == NAMES[0])
    return find_cases(root)[0]


@pytest.fixture(scope="module")
def weights(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Weights that have learned a little about the synthetic heads."""
    folder = tmp_path_factory.mktemp("parent")
    head = prepare_case(cases[0], PreparedStore(folder / "prepared"), stride=NETWORK.stride)
    config = FitConfig(max_epochs=1, steps_per_epoch=60, batch_size=1, patch=(32, 32, 32), learning_rate=1e-2)
    result = fit(config, NETWORK, [head], [head], work_dir=folder)
    assert result.best_metric > 0.3
    return result.weights


@pytest.fixture
def work(cases: list[Case], tmp_path: Path) -> Path:
    """A work folder with a head that the weights know in place of a phantom, which takes seconds to generate."""
    head = prepare_case(cases[0], PreparedStore(tmp_path / "labeled"), stride=NETWORK.stride)
    seed = EVALUATION_SEEDS[0]
    image, label = np.asarray(head.image()), np.asarray(head.label())
    PreparedStore(tmp_path / "work" / "phantoms").put(
        phantom_id(seed), image, label, key=_phantom_key(seed, True, "some")
    )
    return tmp_path / "work"


def store_with(weights: Weights, folder: Path) -> ModelStore:
    write_version(folder / "bundled", weights, ModelCard(network=NETWORK, attribution="Somebody, CC BY 3.0"))
    return ModelStore(folder / "models", folder / "bundled")


def spoiled(weights: Weights) -> Weights:
    """The same weights with the statistics of another scanner, with which nothing is found."""
    return {key: value * (25 if "moving_variance" in key else 1) for key, value in weights.items()}


def swapped(case: Case) -> Case:
    """The same head as no scanner shows it: each modality in the place of another."""
    roles = list(case.sources)
    return replace(case, sources=dict(zip(roles, [case.sources[role] for role in reversed(roles)], strict=True)))


def test_a_version_fitted_to_studies_differs_only_in_statistics_is_promoted_with_its_numbers_and_can_be_undone(
    cases, weights, work, tmp_path
):
    store, seen = store_with(spoiled(weights), tmp_path), list[RetrainProgress]()
    result = fit_and_promote(store, cases, config=LENIENT, work_dir=work, on_progress=seen.append)
    assert result.promoted
    assert store.current().id == result.version.id == "v0001"
    before, after = store.get("v0000").load_weights(), result.version.load_weights()
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    assert changed == {key for key in before if "moving_" in key}

    card = store.get("v0001").card
    assert (card.parent, card.attribution) == ("v0000", "Somebody, CC BY 3.0")
    assert card.description == "Fitted to 3 unlabeled studies from v0000: their images were seen, no label"
    assert [(case.case, case.label_sha256, case.split) for case in card.data] == [
        (name, "", "unlabeled") for name in NAMES
    ]
    assert card.training["config"]["share"] == 1.0
    expected = card.metrics["expected"]
    assert expected["candidate"]["mean"] > expected["parent"]["mean"]
    assert list(expected["cases"]) == list(NAMES)
    assert card.metrics["phantoms"]["candidate"]["mean"] > 0.3  # the label of the study was not overwritten
    assert card.verdict == result.verdict == store.history()[-1]["reason"]
    assert f"Expected Dice of 3 studies {expected['candidate']['mean']:.4f}" in card.verdict
    assert {progress.state for progress in seen} == {"preparing", "judging"}

    assert store.rollback().id == "v0000"


def test_a_share_moves_the_statistics_by_that_share(cases, weights, work, tmp_path):
    parent = store_with(weights, tmp_path).current()
    start = parent.load_weights()
    whole, half = (
        fit_site(parent, cases, config=LENIENT.model_copy(update={"share": share}), work_dir=work).weights
        for share in (1.0, 0.5)
    )
    for key in start:
        np.testing.assert_allclose(half[key], (start[key] + whole[key]) / 2, rtol=1e-3, atol=1e-4)


def test_a_version_by_which_the_phantoms_lose_is_stored_but_not_promoted(cases, weights, work, tmp_path):
    store = store_with(weights, tmp_path)
    strict = LENIENT.model_copy(update={"tolerance": 0.01})
    result = fit_and_promote(store, [swapped(case) for case in cases], config=strict, work_dir=work)
    assert (result.promoted, store.current().id, store.history()) == (False, "v0000", [])
    assert result.verdict.startswith("Not promoted: ")
    assert "too much was forgotten" in result.verdict
    assert "mean Dice in the median, of 0.01 that may be lost" in result.verdict
    assert store.get("v0001").card.verdict == result.verdict


def test_a_fitted_version_does_not_replace_a_version_promoted_meanwhile(cases, weights, work, tmp_path):
    store = store_with(spoiled(weights), tmp_path)
    other = store.add(weights, ModelCard(network=NETWORK, parent="v0000"))

    def promote_meanwhile(progress: RetrainProgress) -> None:
        if store.current().id != other.id:
            store.promote(other.id, "by hand")

    result = fit_and_promote(store, cases, config=LENIENT, work_dir=work, on_progress=promote_meanwhile)
    assert (result.promoted, store.current().id) == (False, other.id)
    assert f"{other.id} became the current model" in result.verdict


def test_fewer_than_three_usable_studies_are_refused_with_the_reason(cases, weights, work, tmp_path):
    parent = store_with(weights, tmp_path).current()
    with rejected("at least 3 usable studies; there are 2 studies", "cases"):
        fit_site(parent, cases[:2], config=LENIENT, work_dir=work)
    (tmp_path / "junk.nii.gz").write_bytes(b"no image")
    flair = replace(cases[2].sources["flair"], path=tmp_path / "junk.nii.gz")
    broken = replace(cases[2], sources={**cases[2].sources, "flair": flair})
    with rejected(rf"there are 2 studies.*Not usable: {NAMES[2]}.*junk\.nii\.gz", "cases"):
        fit_site(parent, [*cases[:2], broken], config=LENIENT, work_dir=work)
    more = replace(cases[0], id="another")
    fitted = fit_site(parent, [*cases[:2], broken, more], config=LENIENT, work_dir=work)
    assert list(fitted.skipped) == fitted.card.training["skipped"] == [NAMES[2]]
    assert [case.case for case in fitted.card.data] == [*NAMES[:2], "another"]


def test_of_many_studies_the_same_ones_are_chosen_in_whatever_order_they_come(cases):
    many = [replace(cases[0], id=f"case-{number}") for number in range(30)]
    chosen = {case.id for case in _chosen(many, 10)}
    assert chosen == {case.id for case in _chosen(many[::-1], 10)}
    assert len(chosen) == 10
    assert chosen != {case.id for case in many[:10]}


def test_the_expected_dice_must_not_fall_and_the_phantoms_may_lose_as_much_as_the_tolerance():
    def dice(value: float) -> Scores:
        return [dict.fromkeys(("WT", "TC", "ET"), value)] * 3

    kept, lost = (check_guard(["a", "b", "c"], dice(0.8), dice(after), 0.01) for after in (0.795, 0.78))
    assert refusal_of(dice(0.7), dice(0.7), kept) == ""
    assert refusal_of(dice(0.7), dice(0.699), kept) == "the expected Dice of the 3 studies fell"
    assert refusal_of(dice(0.7), dice(0.9), lost) == "too much was forgotten"
    assert " and " in refusal_of(dice(0.7), dice(0.6), lost)
    assert "Expected Dice of 3 studies 0.7200, that of the parent 0.7000. The 3 guard phantoms lost 0.005" in (
        numbers_of(dice(0.7), dice(0.72), kept)
    )
