"""Retraining and model versions, started here or from another panel."""

from __future__ import annotations

import pytest

from tests.slicer_extension.panel.conftest import BOX
from tests.slicer_extension.panel.server import Label

TRAINING = {"run": "theirs", "state": "training", "epoch": 0, "total_epochs": 2, "history": []}
VERSIONS = [{"id": "v0001", "current": False}, {"id": "v0002", "current": True, "parent": "v0001"}]


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


@pytest.mark.parametrize(("button", "asked"), [("rollbackButton", "rollback"), ("useVersionButton", "promote")])
def test_the_model_in_use_is_changed_when_the_user_confirms(connected, server, button, asked):
    server.versions[:] = [dict(version) for version in VERSIONS]
    connected.wait(lambda: connected.ui.rollbackButton.enabled)
    connected.select("versionsTable", 1)
    connected.services.answers.extend([False, True])
    connected.click(button)
    connected.run(0.5)
    assert not any(asked in path for path in server.asked)
    connected.click(button)
    connected.wait(lambda: "v0001 is now in use" in connected.status)
    connected.wait(lambda: connected.table("versionsTable")[1][0] == "v0001 (in use)")


def test_what_another_panel_does_is_shown_here(corrected, server):
    user = corrected
    user.submit()
    image = server.labels["in-the-middle"][0].image
    theirs = {"client_id": "colleague", "status": "final"}
    server.labels["in-the-middle"].append(Label(image, theirs, "final", "v0002"))
    server.new_corrections = 2
    server.training = dict(TRAINING)
    user.wait(lambda: user.panel.state().training)
    assert user.ui.stopButton.enabled
    assert not user.ui.retrainButton.enabled
    server.training = {**TRAINING, "state": "done", "version": "v0002", "promoted": True, "verdict": "Promoted."}
    server.versions[:] = [dict(version) for version in VERSIONS]
    user.wait(lambda: "v0002 is now in use" in user.status)
    user.wait(lambda: user.table("versionsTable")[0][0] == "v0002 (in use)")
    user.paint(1, BOX)
    user.submit()
    assert [row[0] for row in user.table("historyTable")] == ["v0003", "v0002", "v0001"]
    assert user.table("historyTable")[1][1] == "colleague"


def test_a_correction_stays_open_while_somebody_else_trains(corrected, server):
    server.training = dict(TRAINING)
    corrected.wait(lambda: corrected.panel.state().training)
    assert not corrected.ui.correctSection.collapsed
    assert not corrected.ui.submitSection.collapsed
