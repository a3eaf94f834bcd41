"""Retraining and model versions, started here or from another panel."""

import pytest

from tests.slicer_extension.panel.conftest import BOX
from tests.slicer_extension.panel.server import Label

TRAINING = {"run": "theirs", "state": "training", "epoch": 0, "total_epochs": 2, "history": []}


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
