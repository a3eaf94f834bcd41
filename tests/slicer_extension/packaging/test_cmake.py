"""The extension as CMake sees it: nothing is missing from the package, and nothing else is in it.

It is configured and installed with the real ``cmake`` and the stand-in of Slicer beside this file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slicer_extension.extension import EXTENSION, EXTENSION_ROOT
from tests.slicer_extension.packaging.icon import ICONS, SIZE, render

REPOSITORY = Path(__file__).resolve().parents[3]
MODULE_LISTS = "slicer_extension/TumorLoop/CMakeLists.txt"
FIRST_LOOK = "test_module.py::test_the_self_test_that_users_can_run_passes"
STAND_IN = Path(__file__).parent / "slicer_stand_in"

#: A scripted module compiles nothing: any program that exists will do as a compiler that is not asked.
_NO_COMPILER = [
    f"-DCMAKE_{language}_COMPILER{suffix}"
    for language in ("C", "CXX")
    for suffix in (f"={shutil.which('true')}", "_FORCED=ON")
]


class CMakeFailed(Exception):
    """CMake refused; the text is what it printed."""


def cmake(*arguments: str | Path) -> str:
    """Run the environment's own ``cmake``, or the system's, and return what it printed."""
    own = Path(sys.executable).with_name("cmake")
    program = str(own) if own.exists() else shutil.which("cmake")
    if program is None:
        raise CMakeFailed("there is no cmake; `make setup` installs one")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise CMakeFailed(done.stdout + done.stderr)
    return done.stdout


def configure(source: Path, build: Path) -> dict[str, list[str]]:
    """Configure an extension and return what its CMake files give "Slicer" under each key: ``SCRIPT``, ``NAME`` ..."""
    cmake("-S", source, "-B", build, f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON", *_NO_COMPILER)
    settings: dict[str, list[str]] = {}
    for line in (build / "extension.txt").read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        settings.setdefault(key, []).append(value)
    return settings


def install(build: Path, prefix: Path) -> Path:
    """Install a configured extension below ``prefix``; return the folder that Slicer would take the module from."""
    cmake("--install", build, "--prefix", prefix)
    return prefix / "lib" / "Slicer" / "qt-scripted-modules"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The build folder and the values that CMake was given."""
    folder = tmp_path_factory.mktemp("build")
    return folder, configure(EXTENSION_ROOT, folder)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Where the extension was installed, and the folder that Slicer would take the module from."""
    prefix = tmp_path_factory.mktemp("installed")
    return prefix, install(built[0], prefix)


@pytest.fixture
def copied(tmp_path):
    """A copy of the extension that a test may damage."""
    shutil.copy(EXTENSION_ROOT / "CMakeLists.txt", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXTENSION_ROOT / "slicer_extension", tmp_path / "slicer_extension", ignore=ignored)
    return tmp_path


def files_below(folder: Path, start: Path, *endings: str) -> set[str]:
    """Names of the files below a folder, relative to ``start``."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(start).as_posix() for path in found if not endings or path.suffix in endings}


def run(*command: str | Path, **env: str) -> str:
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, **env}, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def test_every_file_is_listed_and_packaged_byte_for_byte_and_nothing_else(built, installed):
    settings, (prefix, folder) = built[1], installed
    modules, resources = files_below(EXTENSION, EXTENSION, ".py"), files_below(EXTENSION / "Resources", EXTENSION)
    assert (set(settings["SCRIPT"]), set(settings["RESOURCE"])) == (modules, resources)
    assert {"Resources/Icons/TumorLoop.png", "Resources/UI/TumorLoop.ui"} <= resources
    assert settings["MODULE"] == settings["GENERIC_TESTS"] == ["TumorLoop"]
    assert settings["UNITTEST"] == ["TumorLoop.py"]
    assert files_below(folder, folder) == modules | resources
    assert all((folder / name).read_bytes() == (EXTENSION / name).read_bytes() for name in modules | resources)
    assert len(files_below(prefix, prefix)) == len(modules | resources)


def test_the_packaged_client_runs_without_the_repository_and_the_packaged_panel_opens(installed):
    folder = str(installed[1])
    code = f"import sys; sys.path.insert(0, {folder!r}); import TumorLoopLib.client as c; print(c.__file__)"
    assert run(sys.executable, "-I", "-S", "-B", "-c", code).startswith(folder)
    pytest_here = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    run(*pytest_here, f"tests/slicer_extension/panel/{FIRST_LOOK}", TUMORLOOP_EXTENSION=folder)


@pytest.mark.parametrize(
    ("lists", "old", "new", "words"),
    [
        (MODULE_LISTS, "  TumorLoopLib/i18n.py\n", "  TumorLoopLib/gone.py\n", "there is no file TumorLoopLib/gone.py"),
        (MODULE_LISTS, "  TumorLoopLib/i18n.py\n", "  TumorLoopLib/i18n.py\n" * 2, "listed twice"),
        (MODULE_LISTS, "  TumorLoopLib/i18n.py\n", "  TumorLoopLib\n", "there is no file TumorLoopLib"),
        (MODULE_LISTS, "  TumorLoopLib/i18n.py\n", "  ../TumorLoop.json\n", "does not lie in the module's folder"),
        (MODULE_LISTS, "  WITH_GENERIC_TESTS\n", "  WITH_GENERIC_TEST\n", "WITH_GENERIC_TEST"),
        ("CMakeLists.txt", "set(EXTENSION_DESCRIPTION ", "set(OTHER ", "EXTENSION_DESCRIPTION is not set"),
    ],
    ids=["missing file", "doubled file", "folder", "file from elsewhere", "unknown keyword", "no description"],
)
def test_the_stand_in_refuses_what_slicer_would_and_more(copied, tmp_path, lists, old, new, words):
    text = (copied / lists).read_text("utf-8")
    assert old in text
    (copied / lists).write_text(text.replace(old, new), "utf-8")
    with pytest.raises(CMakeFailed) as caught:
        configure(copied, tmp_path / "build")
    assert words in " ".join(str(caught.value).split())


def test_the_icon_is_the_drawing_as_128_pixels_with_a_clear_background(tmp_path):
    from PIL import Image, ImageChops

    run(sys.executable, "-m", render.__module__, tmp_path / "fresh.png")
    with Image.open(ICONS / "TumorLoop.png") as kept, Image.open(tmp_path / "fresh.png") as fresh:
        assert (kept.size, kept.mode) == ((SIZE, SIZE), "RGBA")
        assert kept.getchannel("A").getpixel((0, 0)) == 0
        difference = ImageChops.difference(kept, fresh).tobytes()
    assert max(difference) <= 8, "run python -m tests.slicer_extension.packaging.icon"
