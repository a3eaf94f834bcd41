"""Every error and every stage as plain sentences."""

import pytest
from TumorLoopLib.client import errors
from TumorLoopLib.client.diagnosis import STEPS, TOKEN, Step
from TumorLoopLib.client.errors import NotAuthorized, RequestRejected, ServerFailed
from TumorLoopLib.jobs.jobs import Progress
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.panel import messages
from TumorLoopLib.panel.formatting import duration, megabytes, milliliters, ratio

SAID = "Something went wrong."
PLAIN_KINDS = ("ServerUnreachable", "ConnectionLost", "ServerTimeout", "LocalFileError", "BadReply")
ERRORS = [
    *(getattr(errors, kind)(SAID) for kind in PLAIN_KINDS),
    *(RequestRejected(409, "image", SAID), RequestRejected(422, "label", SAID)),
    *(NotAuthorized(401, "token", SAID), NotAuthorized(403, "role", SAID)),
    *(ServerFailed(500, SAID), ServerFailed(507, SAID)),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}-{getattr(error, 'status', '')}")
def test_an_error_keeps_its_own_sentence_and_ends_as_one(error):
    text = messages.error_text(error)
    assert text.startswith(SAID)
    assert text.endswith(".")
    assert type(error).__name__ not in text


def test_an_error_says_what_to_do():
    assert "access token under Server" in messages.error_text(NotAuthorized(401, "", SAID))
    assert messages.error_text(NotAuthorized(403, "role", SAID)) == SAID
    assert "name under Case" in messages.error_text(RequestRejected(409, "image", SAID))
    assert messages.error_text(KeyError("t1ce")).startswith("An error in the panel: 't1ce'.")


@pytest.mark.parametrize(
    ("progress", "text", "bar"),
    [
        (Progress("sending", 12_000_000, 31_000_000), "Sending 12 of 31 MB", 39),
        (Progress("computing", share=0.4, detail="registering"), "Registering the series, 40%", 40),
        (Progress("computing", share=0.4, detail="a stage of a later release"), "Computing, 40%", 40),
        (Progress("sending", 15_500_000, 31_000_000, seconds=10.0), "Sending 16 of 31 MB, 10 s left", 50),
        (Progress("waiting", position=2), "Waiting: 2 ahead of this one", -1),
        (Progress("waiting"), "Waiting for the server …", -1),
        (Progress("computing", share=0.5, seconds=65.0), "Computing, 50%, 1 min 5 s left", 50),
        (Progress("receiving", 10_000, 100_000), "Receiving 0.0 of 0.1 MB", 10),
        (Progress("preparing"), "Preparing the volumes …", -1),
        (Progress(""), "Starting …", -1),
    ],
)
def test_each_stage_has_a_text_and_a_percentage(progress, text, bar):
    assert (messages.progress_text(progress), messages.progress_percent(progress)) == (text, bar)


def test_each_step_of_the_connection_test_has_a_sentence_for_both_outcomes_and_says_whose_token_it_is():
    for text in (messages.step_text(Step(step, ok, "That says it.")) for step in STEPS for ok in (True, False)):
        assert text.endswith(".")
        assert len(text) > 8
    assert [messages.step_text(Step(TOKEN, True, who)) for who in ("", "-", "anna")] == [
        "It needs no access token.",
        "The access token is accepted.",
        "The access token is accepted; you are anna.",
    ]


def test_numbers_and_a_training_are_written_as_people_read_them():
    texts = [duration(seconds) for seconds in (0.2, 59.6, 3599, 7199)]
    assert texts == ["0 s", "1 min 0 s", "59 min 59 s", "2 h 0 min"]
    assert (megabytes(999), milliliters(None), ratio(float("nan")), ratio(0.987)) == ("0.0", "–", "–", "0.99")
    for training, text in (
        (Training("r", "training", "", 1, 3, 65.0), "Epoch 2 of 3, 1 min 5 s left"),
        (Training("r", "training", "", 3, 3), "Epoch 3 of 3"),
        (Training("r", "judging", "judging v0001"), "Evaluating: judging v0001"),
    ):
        assert messages.training_text(training) == text
