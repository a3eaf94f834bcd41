"""The comparison of a new version with its parent, in words."""

from __future__ import annotations

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.judgment import BETTER, EQUAL, NOT_JUDGED, WORSE, Pictures
from TumorLoopLib.jobs.server_status import ModelVersion
from TumorLoopLib.panel.formatting import ratio
from TumorLoopLib.panel.widgets import BAD, GOOD, PLAIN, WARN

REGIONS = ("WT", "TC", "ET")
#: Tone of each outcome; the words and the sign tell them apart as well.
TONES = {BETTER: GOOD, EQUAL: PLAIN, WORSE: BAD, NOT_JUDGED: WARN}
_MOST_PATIENTS = 6


def headline(version: ModelVersion) -> str:
    """Return the outcome in a few words; empty if the card does not say it."""
    judgment = version.judgment
    missing = judgment.needed - len(judgment.patients)
    few = _("? Not judged on patients yet: one more validation patient is needed")
    many = _("? Not judged on patients yet: {count} more validation patients are needed")
    texts = {
        BETTER: _("▲ Better than {parent}"),
        EQUAL: _("= Equal to {parent}, within the uncertainty"),
        WORSE: _("▼ Worse than {parent}"),
        NOT_JUDGED: few if missing == 1 else many,
    }
    return texts.get(judgment.outcome, "").format(parent=version.parent, count=missing)


def result_text(version: ModelVersion) -> str:
    """Return what the server says about a new version, the mean Dice by region, and the numbers of each patient."""
    lines = [version.verdict] if version.verdict else []
    lines.append(_means_over(version))
    for region in REGIONS:
        before, after = ratio(version.before.get(region)), ratio(version.after.get(region))
        lines.append(_("{region}: {before} before, {after} now").format(region=region, before=before, after=after))
    patients = version.judgment.patients
    if patients:
        lines.append(_("Each patient, before and now:"))
    for one in patients[:_MOST_PATIENTS]:
        text = _("{patient}: Dice {before} and {after}, surface Dice {surface_before} and {surface_after}")
        lines.append(
            text.format(
                patient=one.patient,
                before=ratio(one.dice[0]),
                after=ratio(one.dice[1]),
                surface_before=ratio(one.surface_dice[0]),
                surface_after=ratio(one.surface_dice[1]),
            )
        )
    if len(patients) > _MOST_PATIENTS:
        lines.append(_("and {count} more").format(count=len(patients) - _MOST_PATIENTS))
    return "\n".join(lines)


def pictures_text(pictures: Pictures) -> str:
    """Return what the two pictures show."""
    text = _("{case}, slice {number}: before the training (above) and after it (below).")
    text = text.format(case=pictures.case, number=pictures.slice_number)
    if pictures.corrected:
        text += " " + _("This case itself was corrected and learned from, as there is no validation patient yet.")
    return text


def _means_over(version: ModelVersion) -> str:
    judgment = version.judgment
    if judgment.means_of == "phantoms":
        head = (
            _("Mean Dice on one synthetic case:")
            if judgment.means_over == 1
            else _("Mean Dice on {count} synthetic cases:")
        )
        return head.format(count=judgment.means_over)
    count = judgment.means_over if judgment.means_of else version.evaluated_on
    head = _("Mean Dice on one validation case:") if count == 1 else _("Mean Dice on {count} validation cases:")
    return head.format(count=count)
