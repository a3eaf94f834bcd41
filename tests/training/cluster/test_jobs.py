import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future

import psutil
import pytest

from tests.training import rejected
from tests.training.cluster import work
from training.cli.arguments import with_ray_address
from training.cluster import jobs, worker
from training.cluster.connection import connect
from training.cluster.jobs import ClusterError, RayCluster
from training.parallel import completed, map_unordered

TOLD: list[str] = []


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    with connect(workers=2, tell=TOLD.append) as connected:
        yield connected


def test_every_job_is_done_once_and_an_error_is_raised_as_it_is(ray_cluster, tmp_path):
    seeing = ray_cluster.needing(gigabytes=0.01, shared=tmp_path / "new")
    squares = [float(k * k) for k in range(20)]
    assert sorted(map_unordered(work.root, squares, seeing)) == list(range(20))
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ValueError, match="math domain"):
        list(map_unordered(work.root, [-1.0], ray_cluster))
    with rejected("x is no image", "t2"):
        list(map_unordered(work.refuse, ["x"], ray_cluster))


def test_a_job_whose_worker_is_killed_is_computed_again_and_told(ray_cluster, tmp_path):
    TOLD.clear()
    done = list(map_unordered(work.die_once, [tmp_path / name for name in "abc"], ray_cluster))
    assert sorted(done) == ["a", "b", "c"]
    assert len(TOLD) == 3
    assert "computed again" in TOLD[0]


def test_a_job_that_kills_every_worker_fails_alone(ray_cluster):
    answers: dict[str, Future[str]] = dict(completed(work.die, ["a", "bad", "b"], ray_cluster))
    assert answers.pop("bad").exception() is not None
    assert {future.result() for future in answers.values()} == {"a", "b"}


def test_only_this_machine_reaches_a_local_ray(ray_cluster):
    listening = [
        one.laddr.ip
        for child in ray_cluster.children
        if child.is_running()
        for one in child.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}


def test_a_machine_with_other_code_or_without_the_folder_is_refused(ray_cluster, tmp_path, monkeypatch):
    terms = worker.Terms(1, 1, tmp_path, tmp_path / "marker", worker.code_versions(), False)
    assert f"does not see {tmp_path}" in worker.unfit(terms)
    monkeypatch.setattr(jobs, "code_versions", lambda: {"tensorflow": "1.0"})
    with pytest.raises(ClusterError, match=r"tensorflow 2.* not 1\.0.*Install the same"):
        list(map_unordered(work.root, [1.0], ray_cluster))


def test_a_cluster_whose_head_dies_ends_with_what_to_do_and_no_process_is_left(ray_cluster, monkeypatch):
    monkeypatch.setattr(jobs, "_LOST_SECONDS", 1.0)
    children = [psutil.Process(child.pid) for child in ray_cluster.children if child.is_running()]
    head = next(child for child in children if "gcs_server" in child.name())
    answers = completed(work.wait, [0.0, 30.0], ray_cluster)
    assert next(answers)[1].result() == 0.0
    head.kill()
    with pytest.raises(ClusterError, match=r"does not answer any more.*the same command continues"):
        next(answers)
    deadline = time.monotonic() + 20
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_missing_ray_and_a_wrong_address_are_told_with_the_way_out(monkeypatch):
    with rejected("No Ray answers at 127.0.0.1:9.*ray start --head", "ray"), connect("127.0.0.1:9"):
        pass
    with rejected("'studies' is neither", "ray"), connect("studies"):
        pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with rejected(r"pip install 'tumorloop\[ray\]'", "ray"), connect():
        pass


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("predict --ray", "predict --ray=local"),
        ("predict --ray cases -o x", "predict --ray=local cases -o x"),
        ("predict --ray 10.0.0.7:6379 cases", "predict --ray=10.0.0.7:6379 cases"),
        ("predict -- --ray", "predict -- --ray"),
    ],
)
def test_the_address_is_optional(given, parsed):
    assert with_ray_address(given.split()) == parsed.split()
