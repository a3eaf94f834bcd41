"""The extension as CMake sees it: nothing is missing from the package, and nothing else is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slicer_extension.extension import EXTENSION, EXTENSION_ROOT
from tests.slicer_extension.packaging.cmake import CMakeFailed, configure, install
from tests.slicer_extension.packaging.icon import ICONS, SIZE

REPOSITORY = Path(__file__).resolve().parents[3]
MODULE_LISTS = "slicer_extension/TumorLoop/CMakeLists.txt"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The build folder and what CMake was told."""
    folder = tmp_path_factory.mktemp("build")
    return folder, configure(EXTENSION_ROOT, folder)


@pytest.fixture
def copied(tmp_path):
    """A copy of the extension that a test may damage."""
    shutil.copy(EXTENSION_ROOT / "CMakeLists.txt", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXTENSION_ROOT / "slicer_extension", tmp_path / "slicer_extension", ignore=ignored)
    return tmp_path


def files_below(folder: Path, *endings: str) -> set[str]:
    """Names of the files below a folder, relative to the module."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(EXTENSION).as_posix() for path in found if not endings or path.suffix in endings}


def test_every_python_file_is_listed_and_nothing_else(built):
    assert set(built[1]["SCRIPT"]) == files_below(EXTENSION, ".py")


def test_every_ui_file_and_icon_is_listed_and_nothing_else(built):
    assert set(built[1]["RESOURCE"]) == files_below(EXTENSION / "Resources")


def test_the_module_has_its_icon_its_panel_and_its_self_test(built):
    assert built[1]["MODULE"] == built[1]["GENERIC_TESTS"] == ["TumorLoop"]
    assert built[1]["UNITTEST"] == ["TumorLoop.py"]
    assert {"Resources/Icons/TumorLoop.png", "Resources/UI/TumorLoop.ui"} <= set(built[1]["RESOURCE"])


def test_only_the_module_is_packaged_byte_for_byte(built, tmp_path):
    folder = install(built[0], tmp_path)
    installed = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(installed) == files_below(EXTENSION, ".py") | files_below(EXTENSION / "Resources")
    assert all(path.read_bytes() == (EXTENSION / name).read_bytes() for name, path in installed.items())
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(installed.values())


def test_the_packaged_client_runs_without_the_repository(built, tmp_path):
    folder = install(built[0], tmp_path)
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import TumorLoopLib.client as c; print(c.__file__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(folder))


def test_the_packaged_panel_opens(built, tmp_path):
    name = "test_the_first_look_leads_to_the_server_and_nothing_else_is_possible"
    folder = install(built[0], tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"tests/slicer_extension/played/test_segmenting.py::{name}",
        ],
        cwd=REPOSITORY,
        env={**os.environ, "TUMORLOOP_EXTENSION": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_file_that_is_listed_but_missing_stops_the_build(copied, tmp_path):
    (copied / "slicer_extension/TumorLoop/TumorLoopLib/i18n.py").unlink()
    with pytest.raises(CMakeFailed, match=r"there is no file TumorLoopLib/i18n\.py"):
        configure(copied, tmp_path / "build")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  TumorLoopLib/i18n.py\n", "  TumorLoopLib/i18n.py\n" * 2, "listed twice"),
        ("  TumorLoopLib/i18n.py\n", "  TumorLoopLib\n", "there is no file TumorLoopLib"),
        ("  TumorLoopLib/i18n.py\n", "  ../TumorLoop.json\n", "does not lie in the module's folder"),
        ("  WITH_GENERIC_TESTS\n", "  WITH_GENERIC_TEST\n", "WITH_GENERIC_TEST"),
    ],
    ids=["doubled file", "folder for its files", "file from elsewhere", "unknown keyword"],
)
def test_the_stand_in_refuses_what_slicer_would_and_more(copied, tmp_path, old, new, words):
    lists = copied / MODULE_LISTS
    text = lists.read_text("utf-8")
    assert old in text
    lists.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(CMakeFailed) as caught:
        configure(copied, tmp_path / "build")
    assert words in " ".join(str(caught.value).split())


def test_an_extension_without_its_description_is_refused(copied, tmp_path):
    text = (copied / "CMakeLists.txt").read_text("utf-8")
    kept = [line for line in text.splitlines() if "EXTENSION_DESCRIPTION" not in line]
    (copied / "CMakeLists.txt").write_text("\n".join(kept), "utf-8")
    with pytest.raises(CMakeFailed, match="EXTENSION_DESCRIPTION is not set"):
        configure(copied, tmp_path / "build")


def test_the_icon_is_the_drawing_as_128_pixels_with_a_clear_background(tmp_path):
    from PIL import Image, ImageChops

    subprocess.run(
        [sys.executable, "-m", "tests.slicer_extension.packaging.icon", tmp_path / "fresh.png"],
        check=True,
        cwd=REPOSITORY,
        timeout=60,
    )
    with Image.open(ICONS / "TumorLoop.png") as kept, Image.open(tmp_path / "fresh.png") as fresh:
        assert (kept.size, kept.mode) == ((SIZE, SIZE), "RGBA")
        assert kept.getchannel("A").getpixel((0, 0)) == 0
        difference = ImageChops.difference(kept, fresh).tobytes()
    assert max(difference) <= 8, "run python -m tests.slicer_extension.packaging.icon"
