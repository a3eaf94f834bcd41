"""A server that was replaced by another one cannot fill this machine's memory or disk."""

import gzip
import json
import tracemalloc

import pytest
from TumorLoopLib.client import replies
from TumorLoopLib.client.errors import BadReply, NotAuthorized

from tests.slicer_extension.client.http_server import (
    file_answer,
    files_in,
    json_answer,
    refusal,
    result_answer,
    result_body,
)


def without_end(content_type, **headers):
    """Send chunks until the client hangs up."""

    def answer(handler):
        handler.body()
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(bytes(1 << 20))

    return answer


@pytest.fixture
def limits(monkeypatch):
    monkeypatch.setattr(replies, "_MAX_TEXT", 1 << 20)
    monkeypatch.setattr(replies, "_MAX_FILE", 4 << 20)


def test_an_answer_without_an_end_is_given_up(client, server, limits, tmp_path):
    tracemalloc.start()
    try:
        for content_type in ("application/json", "text/html"):
            server.start(without_end(content_type))
            with pytest.raises(BadReply, match="larger than 1 MiB"):
                client.info()
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    server.start(without_end("application/octet-stream"))
    with pytest.raises(BadReply, match="larger than 4 MiB"):
        client.download_volume("case", "t1", tmp_path)
    assert files_in(tmp_path) == []


def test_an_answer_that_is_announced_as_too_large_is_not_read(client, server, limits):
    server.start(file_answer(b"{}", "application/json", length=4 << 30))
    with pytest.raises(BadReply, match="larger than 1 MiB"):
        client.info()


def test_a_file_that_unpacks_into_too_much_is_not_kept(client, server, limits, tmp_path):
    for size, fits in ((4 << 20, True), ((4 << 20) + 1, False)):
        server.start(result_answer(result_body(gzip.compress(bytes(size)), {})))
        if fits:
            assert client.infer(case_id="case", folder=tmp_path / "fits").path.exists()
            continue
        with pytest.raises(BadReply, match="larger than 4 MiB"):
            client.infer(case_id="case", folder=tmp_path / "bomb")
        assert files_in(tmp_path / "bomb") == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "X-Gzip"])
def test_an_answer_that_is_compressed_as_a_whole_is_refused_by_name(client, server, coding, tmp_path):
    server.start(file_answer(gzip.compress(json.dumps({}).encode()), "application/json", Content_Encoding=coding))
    with pytest.raises(BadReply, match=coding.lower()):
        client.info()
    body = result_body(gzip.compress(b"a labelmap"), {})
    server.start(file_answer(body, "multipart/form-data; boundary=b0undary", Content_Encoding=coding))
    with pytest.raises(BadReply, match=coding.lower()):
        client.infer(case_id="case", folder=tmp_path)
    assert files_in(tmp_path) == []


def test_what_is_not_compressed_is_read_whatever_it_says_of_it(client, server):
    server.start(file_answer(b'{"name": "x"}', "application/json", Content_Encoding="Identity"))
    assert client.info()["name"] == "x"
    server.start(json_answer({"name": "y"}))
    assert client.info()["name"] == "y"
    server.start(refusal(401, "", "no"))
    with pytest.raises(NotAuthorized, match="no"):
        client.info()
