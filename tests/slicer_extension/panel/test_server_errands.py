"""Cases, the server's pulse, and the connection test, on a real server."""

from __future__ import annotations

import json
import re

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.diagnosis import diagnose, is_compatible
from TumorLoopLib.client.errors import BadReply, ConnectionLost, NotAuthorized
from TumorLoopLib.jobs import open_case, server_status
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.open_case import Counts

from tests.slicer_extension.client.http_server import http_server
from tests.slicer_extension.client.proxy import answer_json, broken_server, cut_response, wrong_token
from tests.slicer_extension.panel.conftest import CASES


@pytest.fixture
def client(proxy) -> TumorLoopClient:
    return TumorLoopClient(proxy.url, user="tester")


class TestCases:
    def test_next_case_goes_on_when_the_present_one_was_not_submitted(self, client, tmp_path):
        first = open_case.next_case(client, "", Reporter(), tmp_path)
        assert first.case is not None
        second = open_case.next_case(client, first.case.case_id, Reporter(), tmp_path)
        assert second.case is not None
        assert second.case.case_id != first.case.case_id
        assert first.counts.left > 0

    def test_it_is_the_one_of_which_the_model_is_least_sure_and_the_reason_is_told(self, client, tmp_path):
        unsure = {case: client.infer(case_id=case, folder=tmp_path).params["uncertainty"] for case in CASES[:2]}
        found = open_case.next_case(client, "", Reporter(), tmp_path / "scratch")
        assert found.case is not None
        assert re.search(r"[Mm]odel v\d{4}", found.reason)
        order = [found.case.case_id]
        while (following := client.next_sample("uncertainty", after=order[-1])["id"]) not in order:
            order.append(following)
        assert open_case.UNCERTAINTY_STRATEGY in client.info()["strategies"]
        waiting = {str(case["id"]) for case in client.cases() if not case["labeled"]}
        assert set(order) == waiting
        scored = sorted(waiting & set(unsure), key=lambda case: (-unsure[case], case))
        assert [case for case in order if case in scored] == scored

    def test_a_server_without_that_strategy_is_asked_for_the_first_case(self, client, proxy, tmp_path):
        refusal = {"detail": {"field": "strategy", "message": "There is no strategy 'uncertainty'."}}
        proxy.fault("POST /activelearning/uncertainty", answer_json(404, refusal))
        first = client.next_sample("first")
        found = open_case.next_case(client, "", Reporter(), tmp_path)
        assert found.case is not None
        assert (found.case.case_id, found.reason) == (first["id"], "")

    def test_any_other_refusal_is_told(self, client, proxy, tmp_path):
        proxy.fault("POST /activelearning/*", answer_json(403, {"detail": {"field": "role", "message": "No."}}))
        with pytest.raises(NotAuthorized, match="No"):
            open_case.next_case(client, "", Reporter(), tmp_path)

    def test_none_left_is_an_answer_and_not_an_error(self, client, proxy, tmp_path):
        proxy.fault("POST /activelearning/*", answer_json(200, {}))
        found = open_case.next_case(client, "", Reporter(), tmp_path)
        assert found.case is None
        assert found.counts.total >= len(CASES)

    def test_a_sample_case_has_four_volumes(self, client, tmp_path):
        case = open_case.sample_case(client, Reporter(), tmp_path)
        assert case.case_id.startswith("sample-")
        assert set(case.volumes) == {"t1", "t1ce", "t2", "flair"}

    def test_a_case_that_breaks_off_on_the_way_is_an_error(self, client, proxy, tmp_path):
        proxy.fault("GET /cases/*/volumes/t2", cut_response(1000))
        with pytest.raises(ConnectionLost):
            open_case.open_case(client, CASES[0], Reporter(), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_counts_never_show_fewer_than_none_left(self):
        assert Counts(3, 5).left == 0


class TestServer:
    def test_the_pulse_tells_what_the_panel_shows(self, client):
        found = server_status.fetch_status(client)
        assert found.server == client.server_url
        assert found.name == "TumorLoop"
        assert found.model_version
        assert found.counts.total >= len(CASES)
        assert found.info["label_details"]

    def test_the_overview_tells_the_plan_and_the_versions(self, client):
        found = server_status.fetch_overview(client)
        assert found.plan.parent
        assert found.plan.max_epochs > 0
        assert sum(version.current for version in found.versions) == 1

    def test_another_kind_of_server_is_no_tumorloop(self, client, proxy):
        proxy.fault("GET /info/", answer_json(200, {"name": "Deepedit", "models": {"deepedit": {}}}))
        with pytest.raises(BadReply, match="Deepedit"):
            server_status.fetch_status(client)

    def test_odd_numbers_in_a_training_are_left_out(self):
        stats = {"state": "training", "eta": None, "history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": None}]}
        found = server_status.training_of({**stats, "total_epochs": "three", "epoch": True})
        assert [(epoch.number, epoch.loss, epoch.dice) for epoch in found.epochs] == [(1, 0.5, None)]
        assert (found.total_epochs, found.epoch, found.eta) == (0, 0, None)
        assert found.active


class TestConnection:
    def failed_at(self, address: str, token: str = "") -> str:
        steps = list(diagnose(address, token))
        assert all(step.ok for step in steps[:-1])
        return "" if steps[-1].ok else steps[-1].step

    def test_a_good_server_passes_all_six_steps(self, server):
        assert [step.step for step in diagnose(server.url, "")] == ["name", "tcp", "http", "token", "version", "model"]
        assert self.failed_at(server.url) == ""

    @pytest.mark.parametrize("address", ["http://no-such-machine.invalid", "ftp://127.0.0.1", "http://", "http://a b"])
    def test_a_wrong_name_fails_at_the_name(self, address):
        assert self.failed_at(address) == "name"

    def test_a_closed_port_fails_at_tcp(self, proxy):
        proxy.go_down()
        assert self.failed_at(proxy.url) == "tcp"

    @pytest.mark.parametrize(
        ("fault", "step"),
        [
            (broken_server(), "http"),
            (wrong_token(), "token"),
            (answer_json(200, {"name": "Deepedit", "models": {}}), "version"),
            (answer_json(404, {"detail": "Not Found"}), "http"),
        ],
    )
    def test_each_fault_fails_at_its_step(self, proxy, fault, step):
        proxy.fault("GET /info/", fault)
        assert self.failed_at(proxy.url, "secret") == step

    @pytest.mark.parametrize(("version", "model", "step"), [("2.0", "v0001", "version"), ("0.1.0", None, "model")])
    def test_an_unknown_version_and_a_missing_model_are_told(self, version, model, step):
        info = {"name": "TumorLoop", "version": version, "models": {"tumorloop": {}}, "label_details": [{}]}

        def answer(handler) -> None:
            handler.record()
            handler.reply(200, json.dumps({**info, "model_version": model}).encode(), "application/json")

        with http_server(answer) as played:
            assert self.failed_at(played.url) == step

    @pytest.mark.parametrize(("version", "good"), [("0.1.0", True), ("0.2", True), ("1.0", False), ("0.0.9", False)])
    def test_versions_that_fit(self, version, good):
        assert is_compatible(version) == good
