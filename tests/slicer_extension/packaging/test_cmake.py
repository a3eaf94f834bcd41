"""The extension as the real ``cmake`` sees it, with the stand-in of Slicer beside this file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slicer_extension.extension import EXTENSION, EXTENSION_ROOT
from tests.slicer_extension.packaging.icon import ICONS, SIZE, render

REPOSITORY = Path(__file__).resolve().parents[3]
FIRST_LOOK = "test_module.py::test_the_self_test_that_users_can_run_passes"
STAND_IN = Path(__file__).parent / "slicer_stand_in"

#: A scripted module compiles nothing: any program that exists will do as a compiler that is not asked.
_COMPILERS = [f"-DCMAKE_{language}_COMPILER={shutil.which('true')}" for language in ("C", "CXX")]
_NO_COMPILER = [*_COMPILERS, "-DCMAKE_C_COMPILER_FORCED=ON", "-DCMAKE_CXX_COMPILER_FORCED=ON"]


def run(*command: str | Path, **env: str) -> str:
    env = {**os.environ, **env}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def cmake(*arguments: str | Path) -> None:
    """Run the environment's own ``cmake``, or the system's."""
    own = Path(sys.executable).with_name("cmake")
    run(own if own.exists() else "cmake", *arguments)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What CMake gives "Slicer" by key (``SCRIPT``, ``NAME`` ...), the prefix, and where Slicer looks for modules."""
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    cmake("-S", EXTENSION_ROOT, "-B", build, f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON", *_NO_COMPILER)
    cmake("--install", build, "--prefix", prefix)
    settings: dict[str, list[str]] = {}
    for line in (build / "extension.txt").read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        settings.setdefault(key, []).append(value)
    return settings, prefix, prefix / "lib" / "Slicer" / "qt-scripted-modules"


def files_below(folder: Path, start: Path, *endings: str) -> set[str]:
    """Names of the files below a folder, relative to ``start``."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(start).as_posix() for path in found if not endings or path.suffix in endings}


def test_every_file_is_listed_and_packaged_byte_for_byte_and_nothing_else(built):
    settings, prefix, folder = built
    modules, resources = files_below(EXTENSION, EXTENSION, ".py"), files_below(EXTENSION / "Resources", EXTENSION)
    assert (sorted(settings["SCRIPT"]), sorted(settings["RESOURCE"])) == (sorted(modules), sorted(resources))
    assert {"Resources/Icons/TumorLoop.png", "Resources/UI/TumorLoop.ui"} <= resources
    assert settings["MODULE"] == settings["GENERIC_TESTS"] == ["TumorLoop"]
    assert settings["UNITTEST"] == ["TumorLoop.py"]
    assert files_below(folder, folder) == modules | resources
    assert all((folder / name).read_bytes() == (EXTENSION / name).read_bytes() for name in modules | resources)
    assert len(files_below(prefix, prefix)) == len(modules | resources)


def test_the_packaged_client_runs_without_the_repository_and_the_packaged_panel_opens(built):
    folder = str(built[2])
    code = f"import sys; sys.path.insert(0, {folder!r}); import TumorLoopLib.client as c; print(c.__file__)"
    assert run(sys.executable, "-I", "-S", "-B", "-c", code).startswith(folder)
    pytest_here = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    run(*pytest_here, f"tests/slicer_extension/panel/{FIRST_LOOK}", TUMORLOOP_EXTENSION=folder)


def test_the_icon_is_the_drawing_as_128_pixels_with_a_clear_background(tmp_path):
    from PIL import Image, ImageChops

    run(sys.executable, "-m", render.__module__, tmp_path / "fresh.png")
    with Image.open(ICONS / "TumorLoop.png") as kept, Image.open(tmp_path / "fresh.png") as fresh:
        assert (kept.size, kept.mode) == ((SIZE, SIZE), "RGBA")
        assert kept.getchannel("A").getpixel((0, 0)) == 0
        difference = ImageChops.difference(kept, fresh).tobytes()
    assert max(difference) <= 8, "run python -m tests.slicer_extension.packaging.icon"
