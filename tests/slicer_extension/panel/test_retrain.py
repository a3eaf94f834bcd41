"""Retraining and model versions, started here or from another panel."""

import pytest
from TumorLoopLib.jobs.server_status import version_of
from TumorLoopLib.panel.verdict import headline, result_text

from tests.slicer_extension.client.http_server import refusal
from tests.slicer_extension.panel.conftest import BOX
from tests.slicer_extension.panel.server import Label

TRAINING = {"run": "theirs", "state": "training", "epoch": 0, "total_epochs": 2, "history": []}


DONE = {"run": "ours", "state": "done", "epoch": 2, "total_epochs": 2, "history": [], "version": "v0002"}


def judged(outcome, patients=3, **pictures):
    """A new version with the metrics of its card."""
    each = {
        f"patient-{n}": {
            "dice": {"parent": 0.71, "candidate": 0.75},
            "surface_dice": {"parent": 0.6, "candidate": 0.66},
        }
        for n in range(patients)
    }
    means = {"WT": 0.8, "TC": 0.7, "ET": 0.6, "mean": 0.7}
    metrics = {
        **{"outcome": outcome, "parent": means, "candidate": {**means, "ET": 0.65}, "means_over": "phantoms"},
        "cases": {"phantom-1": {}, "phantom-2": {}, **{f"case-{n}": {} for n in range(patients)}},
        "patients": {"source": "validation", "needed": 3, "each": each},
        "guard": {"passed": True, "differences": {"phantom-1": 0.0, "phantom-2": 0.0}},
    }
    if patients >= 3:
        metrics["means_over"] = "validation patients"
    if pictures:
        metrics["pictures"] = {"case": "case-1", "slice": 54, "before": "before.png", "after": "after.png", **pictures}
    card = {"metrics": metrics}
    return {"id": "v0002", "current": False, "parent": "v0001", "verdict": "The verdict.", "card": card}


@pytest.fixture
def two_versions():
    return [{"id": "v0001", "current": False}, {"id": "v0002", "current": True, "parent": "v0001"}]


def test_a_training_shows_its_progress_and_can_be_stopped(connected, server):
    server.new_corrections = 1
    connected.panel.context.overview_stale = True
    connected.wait(lambda: connected.ui.retrainButton.enabled)
    connected.type("epochsSpin", "3")
    connected.click("retrainButton")
    connected.wait(lambda: connected.panel.state().training)
    assert server.trained_with == {"max_epochs": 3, "client_id": server.trained_with["client_id"]}
    connected.wait(lambda: "Epoch 2 of 4" in connected.ui.trainingText.text)
    assert not connected.ui.retrainButton.enabled
    connected.services.answers.append(True)
    connected.click("stopButton")
    connected.wait(lambda: "stopped" in connected.ui.resultText.text)
    assert not connected.ui.stopButton.enabled


def test_the_model_is_fitted_to_the_sites_scanners_before_the_first_correction_once_there_are_three_cases(
    connected, server
):
    ui = connected.ui
    connected.wait(lambda: "at least 3 cases" in ui.fitSiteReason.text)
    assert not ui.fitSiteButton.enabled
    server.cases.update({f"case-{number}": {} for number in range(3)})
    connected.wait(lambda: ui.fitSiteButton.enabled)
    assert (ui.retrainButton.enabled, ui.fitSiteReason.text) == (False, "")
    assert "No labels are used" in ui.fitSiteButton.toolTip
    connected.click("fitSiteButton")
    connected.wait(lambda: connected.panel.state().training)
    assert server.trained_with == {"mode": "site", "client_id": server.trained_with["client_id"]}
    assert not ui.fitSiteButton.enabled
    site = {"run": "one", "mode": "site", "version": "v0002", "epoch": 0, "total_epochs": 1, "history": []}
    server.training = {**site, "state": "preparing", "message": "recomputing normalization on study 2 of 3"}
    connected.wait(lambda: "study 2 of 3" in ui.trainingText.text)
    verdict = "Not promoted: the expected Dice of the 3 studies fell."
    server.versions.append({"id": "v0002", "current": False, "parent": "v0001", "verdict": verdict})
    server.training = {**site, "state": "done", "promoted": False, "verdict": verdict}
    connected.wait_for_status("v0002 was not promoted")
    connected.wait(lambda: ui.resultText.text == verdict)


@pytest.mark.parametrize(("button", "asked"), [("rollbackButton", "rollback"), ("useVersionButton", "promote")])
def test_the_model_in_use_is_changed_when_the_user_confirms(connected, server, two_versions, button, asked):
    server.versions[:] = two_versions
    connected.wait(lambda: connected.ui.rollbackButton.enabled)
    connected.select("versionsTable", 1)
    connected.wait(lambda: getattr(connected.ui, button).enabled)
    connected.services.answers.extend([False, True])
    connected.click(button)
    connected.run(0.5)
    assert not any(asked in path for path in server.asked)
    connected.click(button)
    connected.wait_for_status("v0001 is now in use")
    connected.wait(lambda: connected.versions("versionsTable")[1] == "v0001 (in use)")


def test_what_another_panel_does_is_shown_here_and_a_correction_stays_open(corrected, server, two_versions):
    user = corrected
    server.training = dict(TRAINING)
    user.wait(lambda: user.panel.state().training)
    assert (user.ui.correctSection.collapsed, user.ui.submitSection.collapsed) == (False, False)
    assert (user.ui.stopButton.enabled, user.ui.retrainButton.enabled) == (True, False)
    user.submit()
    image = server.labels["in-the-middle"][0].image
    theirs = {"client_id": "colleague", "status": "final"}
    server.labels["in-the-middle"].append(Label(image, theirs, "final", "v0002"))
    server.new_corrections = 2
    server.training = {**TRAINING, "state": "done", "version": "v0002", "promoted": True, "verdict": "Promoted."}
    server.versions[:] = two_versions
    user.wait_for_status("v0002 is now in use")
    user.wait(lambda: user.versions("versionsTable")[0] == "v0002 (in use)")
    user.paint(1, BOX)
    user.submit()
    assert user.versions() == ["v0003", "v0002", "v0001"]
    assert user.table("historyTable")[1][1] == "colleague"


@pytest.mark.parametrize(
    ("version", "words", "tone"),
    [
        (judged("better"), "▲ Better than v0001", "good"),
        (judged("equal"), "= Equal to v0001", "plain"),
        (judged("worse"), "▼ Worse than v0001", "bad"),
        (judged("not judged", 2), "? Not judged on patients yet: one more validation patient is needed", "warn"),
        (judged("not judged", 0), "3 more validation patients are needed", "warn"),
    ],
)
def test_better_equal_and_worse_are_told_apart_by_words_and_color(connected, server, version, words, tone):
    server.versions[:] = [{"id": "v0001", "current": True}, version]
    server.training = {**TRAINING, "run": "ours"}
    connected.wait(lambda: connected.panel.state().training)
    server.training = {**DONE, "outcome": version["card"]["metrics"]["outcome"]}
    connected.wait_for_status("was not promoted")
    connected.wait(lambda: words in connected.ui.outcomeText.text)
    assert connected.ui.outcomeText.visible
    assert connected.ui.outcomeText.property("tone") == tone
    is_worse = "is worse and was not promoted" in connected.status
    assert is_worse is (tone == "bad")


def test_the_result_has_the_verdict_the_means_and_the_numbers_of_each_patient():
    text = result_text(version_of(judged("better", 8)))
    assert text.startswith("The verdict.\nMean Dice on 8 validation cases:\n")
    assert "ET: 0.60 before, 0.65 now" in text
    assert "patient-5: Dice 0.71 and 0.75, surface Dice 0.60 and 0.66\nand 2 more" in text
    assert "Mean Dice on 2 synthetic cases" in result_text(version_of(judged("not judged", 1)))
    earlier = version_of({"id": "v0001", "card": {"metrics": {"parent": {}, "candidate": {}, "cases": {"a": {}}}}})
    assert "Mean Dice on one validation case" in result_text(earlier)
    assert headline(earlier) == ""
    broken = {"outcome": 7, "patients": [], "guard": None, "pictures": {"before": 3}, "cases": []}
    assert headline(version_of({"id": "v0001", "card": {"metrics": broken}})) == ""


@pytest.mark.parametrize("corrected", [False, True])
def test_a_case_is_shown_before_and_after_and_no_file_of_it_stays(connected, server, corrected):
    server.pictures.update({"before.png": b"the earlier answer", "after.png": b"the new answer"})
    server.versions[:] = [{"id": "v0001", "current": True}, judged("better", corrected=corrected)]
    server.training = dict(DONE)
    connected.wait(lambda: "case-1, slice 54" in connected.ui.pictureText.text)
    assert connected.services.pictures == [b"the earlier answer", b"the new answer"]
    assert connected.ui.beforePicture.visible
    assert connected.ui.afterPicture.visible
    assert ("learned from" in connected.ui.pictureText.text) is corrected
    assert not list(connected.services.temporary_folder.rglob("*.png"))
    server.training = {**TRAINING, "run": "another"}
    connected.wait(lambda: not connected.ui.beforePicture.visible)
    assert not connected.ui.pictureText.visible


def test_pictures_that_cannot_be_fetched_leave_the_numbers(connected, server):
    server.failures["GET /versions/v0002/pictures/before.png"] = lambda handler: handler.reply(
        404, b"gone", "text/plain"
    )
    server.versions[:] = [{"id": "v0001", "current": True}, judged("equal", corrected=False)]
    server.training = dict(DONE)
    connected.wait(lambda: "could not be fetched" in connected.ui.pictureText.text)
    assert "patient-2" in connected.ui.resultText.text
    assert not connected.ui.beforePicture.visible


def corrected_case(version, dice, minutes, seen=False):
    return {"version": version, "dice": {"mean": dice}, "minutes": minutes, "active_minutes": None, "seen": seen}


def test_the_plot_of_corrections_appears_with_the_second_case_and_tells_a_screen_reader_the_same(connected, server):
    user, ui = connected, connected.ui
    first = {"version": "v0001", "cases": 1, "dice": {"mean": 0.7}, "median_minutes": 9.0}
    seen = corrected_case("v0001", 0.99, 1.0, seen=True)
    server.corrections = {"cases": [corrected_case("v0001", 0.7, 9.0), seen], "versions": [first]}
    user.panel.context.overview_stale = True
    user.wait(lambda: user.panel.context.overview and user.panel.context.overview.corrections.cases)
    assert not ui.correctionsLabel.visible
    assert not ui.correctionsText.visible
    server.corrections["cases"].append(corrected_case("v0002", 0.9, 4.0))
    server.corrections["versions"].append({**first, "version": "v0002", "dice": {"mean": 0.9}, "median_minutes": 4.0})
    user.panel.context.overview_stale = True
    user.wait(lambda: ui.correctionsLabel.visible)
    assert "time until submission:\nv0002: 1 case, Dice 0.90, median 4.0 min" in ui.correctionsText.text
    assert ui.correctionsLabel.accessibleDescription == ui.correctionsText.text


def test_a_server_without_corrections_is_one_of_an_earlier_release(connected, server):
    server.failures["GET /corrections"] = refusal(404, "", "There is no such route.")
    server.new_corrections = 3
    connected.panel.context.overview_stale = True
    connected.wait(lambda: connected.ui.retrainButton.enabled)
    assert not connected.ui.correctionsLabel.visible
