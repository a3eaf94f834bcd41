"""Where the time of a request goes, as the server tells it."""

from __future__ import annotations

from benchmarks.parts.request_stages import STAGES, request_spans
from tests.server_app.conftest import CASES, Server


def test_the_stages_of_an_upload_and_of_an_inference_are_told_and_add_up(server: Server) -> None:
    spans, total = request_spans(server.url, server.volumes(CASES[1]))

    assert set(spans) <= set(STAGES)
    computed = {"decompress", "read", "mask", "resample", "crop", "network", "labelmap", "compress"}
    assert {"upload", "store", "hash", "download", "rest", *computed} <= set(spans)
    assert spans["network"] > 0
    assert sum(spans.values()) - spans["decompress"] <= total + 0.01


def test_the_result_of_an_inference_has_its_stages_too(server: Server) -> None:
    answer = server.infer(image=CASES[1])

    spans = answer.json()["spans"]
    assert spans["network"] > 0
    assert f"network;dur={1000 * spans['network']:.0f}" in answer.headers["Server-Timing"]
