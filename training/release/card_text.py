"""The text of the model card, and the document rendered from it and the numbers of a version."""

from __future__ import annotations

from typing import Any

from training.evaluation.calibration import DEFAULT_BINS
from training.labels import LABELS
from training.models.store import ModelCard, ModelVersion
from training.phantoms.fixed_seeds import DISTRACTOR_SEEDS, FIXED_SEEDS, HEALTHY_SEEDS
from training.prediction.postprocess import (
    CORE_CLOSING_MM,
    MIN_CORE_ML,
    MIN_CORELESS_ML,
    MIN_ENHANCING_ML,
    MIN_LESION_ML,
    MIN_PROBABILITY,
)
from training.recipes.recipe import phantoms_in
from training.release.tables import cross_validation_table, tables

INTENDED_USE = (
    "Research on the segmentation of gliomas in MRI, as a first draft that a person corrects: necrotic core, "
    "peritumoral edema and enhancing tumor in skull-stripped, co-registered T1, T1 with contrast, T2 and FLAIR images "
    "of adults."
)
NOT_FOR = (
    "Diagnosis, treatment planning, response assessment, or any other decision about a patient. It is not a medical "
    "device and has not been clinically validated."
)
FOR_SYNTHETIC = "It was trained on synthetic heads only and has never seen a patient."
FOR_TRAINED_ON_CASES = (
    "Its training, or that of an earlier version, included labeled cases of patients, public ones or those of the site "
    "that runs it; its performance elsewhere is unknown."
)
LIMITS: tuple[str, ...] = (
    "The calibration of its probabilities was measured on synthetic heads only.",
    "Images must be skull-stripped and co-registered; it does neither.",
    "It has not been trained on pediatric brains, cavities and scars after surgery or radiation, hemorrhage, other "
    "tumors, metastases, or other white-matter disease, and may label any of them as glioma.",
    f"Lesions below {MIN_LESION_ML:g} mL are not reported, nor are lesions below {MIN_CORELESS_ML:g} mL without a "
    "tumor core; small tumors may be missed.",
    "It is less reliable with a missing modality; it was hardly trained with more than one missing.",
)

#: The beginning of the document.
TITLE = "# Model card: TumorLoop "

_UNMEASURED = (
    "The numbers of this version have not been measured yet. `python -m training card --cases CASES --write` measures "
    "them and writes this document."
)


def render(version: ModelVersion) -> str:
    """Return the document of a version as Markdown, from its card alone."""
    card = version.card
    benchmark = card.metrics.get("benchmark")
    parts = [
        f"{TITLE}{version.id}",
        "> **Research use only.** Not a medical device; not clinically validated.",
        "This document is generated from `card.json` of the version by `python -m training card`; do not edit it. Its "
        "sections are those of Mitchell et al. 2019, [doi:10.1145/3287560.3287596]"
        "(https://doi.org/10.1145/3287560.3287596).",
        _section("Model details", _details(version, benchmark)),
        _section("Intended use", f"{INTENDED_USE}\n\nNot for: {NOT_FOR[0].lower()}{NOT_FOR[1:]}"),
        _section("Factors", _FACTORS),
        _section("Metrics", _METRICS),
        _section("Evaluation data", _evaluation_data(card)),
        _section("Training data", _training_data(card)),
        _section("Quantitative analyses", _analyses(card)),
        _section("Ethical considerations", _ethics(card)),
        _section("Caveats and recommendations", _caveats(card)),
    ]
    return "\n\n".join(parts) + "\n"


_FACTORS = """Relevant factors: size of the tumor and its contrast to the surrounding brain; kind of tumor
(ring-enhancing, solid, low grade, patchy); slice thickness and orientation; quality of skull stripping and
registration; the modalities present. The generator of the training data varies all of them (`training/phantoms/`).
Synthetic heads have no age, sex, ethnicity, scanner or site, so nothing can be said about differences between such
groups."""

_METRICS = f"""Dice of the whole tumor (WT, all labels), the tumor core (TC, necrotic and enhancing) and the enhancing
tumor (ET), as in BraTS, on the grid of the truth. A region that is absent from both truth and segmentation counts as 1,
one that is absent from only one of them as 0. For heads without tumor: the volume labeled as tumor. For probabilities:
the expected calibration error (Guo et al. 2017, arXiv:1706.04599) with {DEFAULT_BINS} bins.

A voxel is tumor from a probability of {MIN_PROBABILITY["WT"]:g}, within tumor it is core from
{MIN_PROBABILITY["TC"]:g}, and within core it is enhancing from {MIN_PROBABILITY["ET"]:g}. Then connected lesions below
{MIN_LESION_ML:g} mL are dropped (below {MIN_CORELESS_ML:g} mL if they hold less than {MIN_CORE_ML:g} mL of core, since
the edema of a glioma surrounds a core), edema within the core (closed by {CORE_CLOSING_MM:g} mm, holes filled) becomes
core, and enhancing tumor below {MIN_ENHANCING_ML:g} mL in the whole head becomes non-enhancing core."""

_EVALUATION_DATA = f"""Synthetic heads whose seeds are rejected in training: {FIXED_SEEDS[0]} to {FIXED_SEEDS[-1]} with
tumor (a few of them healthy by chance), {HEALTHY_SEEDS[0]} to {HEALTHY_SEEDS[-1]} without tumor, and
{DISTRACTOR_SEEDS[0]} to {DISTRACTOR_SEEDS[-1]} without tumor but with every structure of the generator that resembles
one. They come from the same generator as the training data; they show what was learned, not how it transfers.

Labeled cases of patients, if the tables list any, were given to the command by the person who ran it, and are not in
the repository. TCGA-FG-6692 and TCGA-DU-7294 are from the collection TCGA-LGG of The Cancer Imaging Archive (CC BY 3.0:
Pedano et al. 2016, doi:10.7937/K9/TCIA.2016.L4LTD3TK; Clark et al. 2013, doi:10.1007/s10278-013-9622-7)."""

_CROSS_VALIDATION = """Cross-validation: the patients are dealt out to the folds in the order of their ids. A model is
trained for each fold, from the same parent and with the same settings as this version, on the patients of the other
folds; parent and model are then compared on the fold's own patients. The version itself was trained on all of them, so
its own results on these cases are not shown: they would say nothing about other patients. Patients of one site are
mostly in several folds, as they are for a site that trains on cases of its own; elsewhere the gain may be smaller."""

_NO_PATIENTS = "It was trained without patient images, so none can be recovered from its weights."
_TRACES = """Its weights may carry traces of the cases that it, or an earlier version, was trained on."""
_PUBLIC = "Where these are public, their license and credit are under training data, and apply to what is made of them."
_ETHICS = """The tissue maps behind the synthetic heads are an average of 152 healthy adults (ICBM152). A segmentation
that looks finished invites undue trust: a person must review and correct all of it. A version retrained on the cases of
a site may carry traces of them, and should be shared no more freely than the cases themselves."""


def _is_synthetic(card: ModelCard) -> bool:
    return not card.data and card.parent is None


def _evaluation_data(card: ModelCard) -> str:
    return f"{_EVALUATION_DATA}\n\n{_CROSS_VALIDATION}" if "cross_validation" in card.metrics else _EVALUATION_DATA


def _ethics(card: ModelCard) -> str:
    if _is_synthetic(card):
        return f"{_NO_PATIENTS}\n{_ETHICS}"
    return "\n".join([_TRACES, *([_PUBLIC] if card.attribution else []), _ETHICS])


def _details(version: ModelVersion, benchmark: dict[str, Any] | None) -> str:
    card = version.card
    network = card.network
    size = f", {benchmark['parameters'] / 1e6:.1f} million parameters" if benchmark else ""
    lines = [
        f"- Version {version.id}, created {card.created} with TumorLoop {card.code_version}.",
        *([f"- {card.description.rstrip('.')}."] if card.description else []),
        f"- A 3D U-Net in Keras 3: {network.levels} levels, {network.base_filters} filters at full resolution, at most "
        f"{network.max_filters}{size}. In: {network.channels} modalities at 1 mm, z-scored in the brain. Out: "
        + ", ".join(["background", *(label.name for label in LABELS)])
        + ".",
        "- License: Apache-2.0. Questions and problems: the issue tracker of the repository.",
    ]
    if benchmark:
        lines.insert(1, f"- SHA-256 of the weights: `{benchmark['weights_sha256']}`.")
    return "\n".join(lines)


def _training_data(card: ModelCard) -> str:
    paragraphs = []
    if _is_synthetic(card):
        paragraphs.append(
            "Synthetic gliomas only: anatomy from the ICBM152 tissue maps, tumors, appearance and scanner effects from "
            "a generator with strong domain randomization (the idea: Billot et al. 2023, "
            "doi:10.1016/j.media.2023.102789)."
        )
    else:
        count = sum(seen.split == "train" for seen in card.data)
        parent = f"; parent: {card.parent}" if card.parent is not None else ""
        paragraphs.append(f"{count} labeled cases, named by id and hash of the label in `card.json`{parent}.")
        paragraphs += _public_data(card)
    paragraphs += _stages(card.training)
    return "\n\n".join(paragraphs)


def _public_data(card: ModelCard) -> list[str]:
    """Return the ids of the cases and their credit, if they are public."""
    if not card.attribution:
        return []
    cases = ", ".join(sorted(seen.case for seen in card.data if seen.split == "train"))
    credit = " ".join(f"{line.rstrip('.')}." for line in card.attribution.splitlines())
    return [f"Cases: {cases}.", f"Public data in its training, or in that of an earlier version: {credit}"]


def _stages(training: dict[str, Any]) -> list[str]:
    """Return the stages of a recipe, or the phantom seeds of other training runs if the card has them."""
    if isinstance(training.get("stages"), list):
        recipe = training.get("recipe", {})
        settings = {stage["name"]: stage for stage in recipe.get("stage", [])}
        rows = ["| stage | phantoms (seeds) | generator | epochs x steps | patch | best mean Dice in validation |"]
        rows.append("|---|---|---|---|---|---|")
        for done in training["stages"]:
            chosen = settings.get(done["name"], {})
            seeds = phantoms_in(chosen) if chosen else [{}]
            patch = " x ".join(str(side) for side in chosen.get("patch", []))
            rows.append(
                f"| {done['name']} | {'; '.join(_seeds(each) for each in seeds)} | "
                f"{done.get('generator', '?')} | {done['epochs']} x "
                f"{chosen.get('steps_per_epoch', '?')} | {patch} | {done['best_metric']:.3f} |"
            )
        kept = recipe.get("validation", {})
        end = f"Validation: {kept['count']} phantoms from seed {kept['first']}." if kept else ""
        return ["\n".join(rows), *([end] if end else [])]
    if "replay_seeds" in training:
        return _fine_tuning(training)
    if "phantom_seeds" in training:
        return [f"Seeds of the phantoms: {training['phantom_seeds']}; validation: {training.get('validation_seeds')}."]
    return []


def _fine_tuning(training: dict[str, Any]) -> list[str]:
    """Return the settings of a training on labeled cases and replayed phantoms."""
    config, seeds = training["config"], training["replay_seeds"]
    replay = f"; {len(seeds)} phantoms, {config['replay_share']:.0%} of the patches" if seeds else ""
    share = config.get("recompute_normalization", 0)
    statistics = f"; {share:.0%} of the statistics of normalization from the cases" if share else ""
    frozen = ", then frozen" if share and config["freeze_normalization"] else ""
    heads = config.get("derived", 0)
    derived = f"; {heads} heads derived from each case, {config['derived_share']:.0%} of its patches" if heads else ""
    averaged = "; averaged weights" if config.get("average", 0) else ""
    return [
        f"{training['epochs']} x {config['steps_per_epoch']} batches of {training['batch_size']} patches of "
        f"{config['patch']} voxels a side, learning rate {config['learning_rate']:g}{averaged}{derived}{replay}"
        f"{statistics}{frozen}."
    ]


def _seeds(seeds: dict[str, Any]) -> str:
    first, count = seeds.get("first", 0), seeds.get("count", 0)
    kind = {True: "", False: ", without tumor", "small": ", small tumors"}[seeds.get("tumor", True)]
    kind += ", every distractor" if seeds.get("distractors") == "all" else ""
    return f"{count} ({first} to {first + count - 1}{kind})"


def _analyses(card: ModelCard) -> str:
    paragraphs = []
    if "cross_validation" in card.metrics:
        table = cross_validation_table(card.metrics["cross_validation"], card.parent or "the parent")
        paragraphs += [f"### {table.title}", table.as_markdown()]
    benchmark = card.metrics.get("benchmark")
    if benchmark is None:
        return "\n\n".join([*paragraphs, _UNMEASURED])
    paragraphs += [
        f"Measured {benchmark['date']} with TumorLoop {benchmark['code_version']}, version "
        f"{benchmark['generator_version']} of the generator"
        f"{', predictions averaged over mirror images' if benchmark['mirror'] else ''}."
    ]
    for table in tables(benchmark):
        paragraphs += [f"### {table.title}", table.as_markdown()]
    low = benchmark["phantoms"]["low"]
    if low:
        lines = [f"- {row['case']} ({row['kind']}), WT {row['dice']['WT']:.2f}: {row['why']}" for row in low]
        paragraphs += ["### Phantoms with a whole-tumor Dice below 0.6", "\n".join(lines)]
    return "\n\n".join(paragraphs)


def _caveats(card: ModelCard) -> str:
    limits = [FOR_SYNTHETIC if _is_synthetic(card) else FOR_TRAINED_ON_CASES, *LIMITS]
    advice = (
        "Evaluate it on labeled cases of your own before you rely on it "
        "(`python -m training evaluate --cases CASES`), correct its errors, and retrain."
    )
    return "\n".join(f"- {sentence}" for sentence in [*limits, advice])


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"
