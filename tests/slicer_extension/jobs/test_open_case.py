"""The next case, and what is read from the server's status."""

import re

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import BadReply, NotAuthorized
from TumorLoopLib.jobs import open_case, server_status
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.open_case import Counts

from tests.slicer_extension.client.proxy import answer_json
from tests.slicer_extension.conftest import CASES


@pytest.fixture
def client(proxy) -> TumorLoopClient:
    return TumorLoopClient(proxy.url, user="tester")


def next_case(client, folder, current=""):
    return open_case.next_case(client, current, Reporter(), folder)


def test_the_next_case_is_the_one_with_the_most_uncertain_prediction_and_has_a_reason(client, tmp_path):
    unsure = {case: client.infer(case_id=case, folder=tmp_path).params["uncertainty"] for case in CASES[:2]}
    found = next_case(client, tmp_path / "downloads")
    assert found.counts.left > 0
    assert re.search(r"[Mm]odel v\d{4}", found.reason)
    order = [found.case.case_id]
    while (following := client.next_sample("uncertainty", after=order[-1])["id"]) not in order:
        order.append(following)
    assert open_case.UNCERTAINTY_STRATEGY in client.info()["strategies"]
    waiting = {str(case["id"]) for case in client.cases() if not case["labeled"]}
    assert set(order) == waiting
    scored = sorted(waiting & set(unsure), key=lambda case: (-unsure[case], case))
    assert [case for case in order if case in scored] == scored
    assert next_case(client, tmp_path / "downloads", found.case.case_id).case.case_id != found.case.case_id


def test_a_server_without_that_strategy_is_asked_for_the_first_case_and_any_other_refusal_is_an_error(
    client, proxy, tmp_path
):
    refusal = {"detail": {"field": "strategy", "message": "There is no strategy 'uncertainty'."}}
    proxy.fault("POST /activelearning/uncertainty", answer_json(404, refusal))
    found = next_case(client, tmp_path)
    assert (found.case.case_id, found.reason) == (client.next_sample("first")["id"], "")
    proxy.fault("POST /activelearning/*", answer_json(403, {"detail": {"field": "role", "message": "No."}}))
    with pytest.raises(NotAuthorized, match="No"):
        next_case(client, tmp_path)


def test_no_case_left_is_no_error(client, proxy, tmp_path):
    proxy.fault("POST /activelearning/*", answer_json(200, {}))
    found = next_case(client, tmp_path)
    assert found.case is None
    assert found.counts.total >= len(CASES)
    assert Counts(3, 5).left == 0


def test_a_sample_case_has_four_volumes(client, tmp_path):
    case = open_case.sample_case(client, Reporter(), tmp_path)
    assert case.case_id.startswith("sample-")
    assert set(case.volumes) == {"t1", "t1ce", "t2", "flair"}


def test_the_status_and_the_overview_have_what_the_panel_shows_and_another_kind_of_server_is_refused(client, proxy):
    status = server_status.fetch_status(client)
    assert (status.server, status.name) == (client.server_url, "TumorLoop")
    assert status.model_version
    assert status.counts.total >= len(CASES)
    assert status.info["label_details"]
    overview = server_status.fetch_overview(client)
    assert overview.plan.parent
    assert overview.plan.max_epochs > 0
    assert sum(version.current for version in overview.versions) == 1
    proxy.fault("GET /info/", answer_json(200, {"name": "Deepedit", "models": {"deepedit": {}}}))
    with pytest.raises(BadReply, match="Deepedit"):
        server_status.fetch_status(client)


def test_malformed_numbers_of_a_training_are_left_out():
    stats = {"state": "training", "eta": None, "history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": None}]}
    found = server_status.training_of({**stats, "total_epochs": "three", "epoch": True})
    assert [(epoch.number, epoch.loss, epoch.dice) for epoch in found.epochs] == [(1, 0.5, None)]
    assert (found.total_epochs, found.epoch, found.eta, found.active) == (0, 0, None, True)
