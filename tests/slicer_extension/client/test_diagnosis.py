import pytest
from TumorLoopLib.client.diagnosis import STEPS, diagnose, is_compatible

from tests.slicer_extension.client.http_server import file_answer, http_server, json_answer, refusal

INFO = {"name": "TumorLoop", "version": "0.1.0", "models": {"tumorloop": {}}, "label_details": [{}]}


def failed_at(address, token=""):
    steps = list(diagnose(address, token))
    assert [step.step for step in steps] == list(STEPS[: len(steps)])
    assert all(step.ok for step in steps[:-1])
    return "" if steps[-1].ok else steps[-1].step


@pytest.mark.parametrize("address", ["http://no-such-machine.invalid", "ftp://127.0.0.1", "http://", "http://a b"])
def test_a_wrong_name_fails_at_the_name(address):
    assert failed_at(address) == "name"


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (file_answer(b"<h1>Internal Server Error</h1>", "text/html", 500), "http"),
        (json_answer({"detail": "Not Found"}, 404), "http"),
        (refusal(401, "token", "Invalid token"), "token"),
        (json_answer({"name": "Deepedit", "models": {}}), "version"),
        (json_answer({**INFO, "version": "2.0", "model_version": "v0001"}), "version"),
        (json_answer({**INFO, "model_version": None}), "model"),
        (json_answer({**INFO, "model_version": "v0001"}), ""),
    ],
)
def test_each_fault_fails_at_its_step_a_closed_port_at_tcp_and_a_good_server_passes_all(answer, step):
    with http_server(answer) as server:
        assert failed_at(server.url, "secret") == step
    assert failed_at(server.url) == "tcp"


def test_a_real_server_passes_all_steps(real_server):
    assert failed_at(real_server.url) == ""


def test_versions_that_fit():
    assert [is_compatible(version) for version in ("0.1.0", "0.2", "1.0", "0.0.9")] == [True, True, False, False]
