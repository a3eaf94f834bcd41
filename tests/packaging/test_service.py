"""The systemd unit and the container: what they promise, and that the server runs as they run it."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import synthetic
from tests.server_app.conftest import REPOSITORY, Server, eventually, free_port, untrained_model

UNIT = REPOSITORY / "packaging" / "systemd" / "tumorloop.service"
ENVIRONMENT = REPOSITORY / "packaging" / "systemd" / "tumorloop.env"
DOCKER = REPOSITORY / "packaging" / "docker"
Stage = list[tuple[str, str]]
#: A folder with studies and a workspace, and the words that begin a command that runs confined.
Confined = tuple[Path, list[str]]


def unit() -> dict[str, dict[str, list[str]]]:
    """The unit by section and key; a key may come more than once."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in UNIT.read_text().replace("\\\n", " ").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key, []).append(" ".join(value.split()))
    return found


def options_of_serve() -> set[str]:
    """The long options that the program knows."""
    from typer.main import get_command

    from server_app.__main__ import commands

    serve: Any = get_command(commands).commands["serve"]  # type: ignore[attr-defined]
    return {option for parameter in serve.params for option in parameter.opts}


# === systemd ===


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # The program is not installed where the unit expects it.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/tumorloop/bin/tumorloop-server", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_the_program_with_options_it_knows_and_names_that_are_set() -> None:
    (command,) = unit()["Service"]["ExecStart"]
    assert command.split()[:2] == ["/opt/tumorloop/bin/tumorloop-server", "serve"]
    assert set(re.findall(r"--[a-z-]+", command)) <= options_of_serve()
    assert "--require-token" in command
    names = set(re.findall(r"\$\{([A-Z_]+)\}", UNIT.read_text()))
    given = {line.partition("=")[0] for line in ENVIRONMENT.read_text().splitlines() if line and line[0] != "#"}
    assert names
    assert names <= given


def test_the_service_has_no_rights_one_folder_to_write_to_and_time_to_end() -> None:
    from server_app.serve import FINISH_SECONDS

    service = unit()["Service"]
    assert "ReadWritePaths" not in service
    expected = {"User": "tumorloop", "StateDirectory": "tumorloop", "UMask": "0077", "ProtectSystem": "strict"}
    expected |= {"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "RestartPreventExitStatus": "2"}
    expected["KillMode"] = "mixed"  # the server ends its own processes, in its own order
    assert {name: service[name] for name in expected} == {name: [value] for name, value in expected.items()}
    assert int(service["TimeoutStopSec"][0]) > FINISH_SECONDS


# === The container ===


def stages() -> list[Stage]:
    """The Dockerfile's instructions, by stage."""
    found: list[Stage] = []
    text = re.sub(r"(?m)^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text())
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append([])
        if word:
            found[-1].append((word, rest.strip()))
    return found


def instruction(stage: Stage, word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def test_what_the_image_copies_is_there_and_is_sent_to_the_engine() -> None:
    sent = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [rest for stage in stages() for rest in instruction(stage, "COPY") if not rest.startswith("--from")]
    copied = {name for rest in copies for name in rest.split()[:-1]}
    assert copied
    assert [name for name in copied if name not in sent or not (REPOSITORY / name).exists()] == []


def test_the_image_starts_the_program_with_options_it_knows_as_a_user_without_rights() -> None:
    last = stages()[-1]
    words = [word for word, _ in last]
    assert instruction(last, "USER") == ["10001:10001"]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert not instruction(last, "ADD")
    (run,) = instruction(last, "RUN")
    assert "useradd --uid 10001" in run
    assert instruction(last, "STOPSIGNAL") == ["SIGTERM"]
    (command,) = instruction(last, "CMD")
    assert set(re.findall(r"--[a-z-]+", command)) <= options_of_serve()
    assert "server_app.operations.probe" in instruction(last, "HEALTHCHECK")[0]
    assert instruction(last, "ENTRYPOINT") == ['["tumorloop-server"]']
    assert f'"{instruction(last, "EXPOSE")[0]}"' in command


def test_compose_makes_the_root_read_only_and_drops_all_rights() -> None:
    content = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    service = content["services"]["tumorloop"]
    expected = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    expected["user"] = "10001:10001"
    assert {name: service[name] for name in expected} == expected
    assert service["volumes"][0].endswith(":/studies:ro")
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]
    assert set(service["secrets"]) == set(content["secrets"])
    assert (DOCKER / service["build"]["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / service["build"]["dockerfile"]).is_file()


# === The server, as they run it ===

#: Makes everything read-only but two folders, gives up all rights, and runs the rest of the command line.
_CONFINED = """
set -e
place=$1; user=$2; shift 2
mount --make-rprivate /
mount --bind "$place/workspace" "$place/workspace"
mount -t tmpfs -o mode=1777 tumorloop-test "$place/tmp"
mount -o remount,bind,ro /
exec setpriv --reuid $user --regid $user --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""
#: Fails where Python cannot start a Python, or where something can be written that should not be.
_CHECK = """
import multiprocessing, os, sys
child = multiprocessing.get_context("spawn").Process(target=os.getpid)
child.start()
child.join()
assert child.exitcode == 0
try:
    open("/written", "w")
except OSError:
    sys.exit(0)
sys.exit(1)
"""


def clean(place: Path) -> dict[str, str]:
    """The environment that the unit and the image make: no home, caches where everything is thrown away."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "USER": "tumorloop"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment | dict.fromkeys(("TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "KERAS_HOME"), f"{place}/tmp")


@pytest.fixture
def confined() -> Iterator[Confined]:
    """As user 10001; where Python's own files are root's alone, as a root that has lost all its rights."""
    place = Path(tempfile.mkdtemp(prefix="tumorloop-confined-"))
    try:
        place.chmod(0o755)
        synthetic.write_case(place / "studies", grids=synthetic.brats_grid((32, 36, 30)))
        untrained_model(place / "model", base_filters=4, max_filters=16, levels=2)
        (place / "tmp").mkdir()
        (place / "workspace").mkdir()
        for user in ("10001", "0"):
            shutil.chown(place / "workspace", int(user), int(user))
            begin = ["unshare", "--mount", "bash", "-c", _CONFINED, "confined", str(place), user]
            with contextlib.suppress(OSError):
                command = [*begin, sys.executable, "-c", _CHECK]
                if subprocess.run(command, capture_output=True, cwd=REPOSITORY, env=clean(place)).returncode == 0:
                    break
        else:
            pytest.skip("needs the right to make a read-only root")
        yield place, begin
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_the_server_runs_without_rights_on_a_root_that_cannot_be_written_to(confined: Confined) -> None:
    place, begin = confined
    port, log, case = free_port(), place / "log", "BraTS20_Training_001"
    command = [*begin, sys.executable, "-m", "server_app", "--studies", f"{place}/studies", "--workspace"]
    command += [f"{place}/workspace", "--port", str(port), "--conf", f"model={place}/model"]
    with open(log, "wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=clean(place), cwd=REPOSITORY)
    server = Server(process, f"http://127.0.0.1:{port}", place / "studies", place / "workspace", log)
    try:
        server.wait_until_ready()
        answer = server.request("POST", "/infer/tumorloop", params={"image": case, "output": "image"})
        assert answer.status_code == 200, log.read_text()[-3000:]
        server.submit(case)
        settings = {"max_epochs": 1, "steps_per_epoch": 1, "patch": 16, "replay": 0, "judge_phantoms": 1}
        assert server.request("POST", "/train/tumorloop", json=settings).status_code == 200
        ended = ("done", "failed", "stopped")
        stats = eventually(lambda: server.stats().get("state") in ended and server.stats(), seconds=600)
        assert stats["state"] == "done"
    finally:
        server.stop()
    assert "Read-only file system" not in log.read_text()
    assert (place / "workspace" / "labels" / case / "v0001").is_dir()
