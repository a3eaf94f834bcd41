"""Configure and install the extension with the real ``cmake`` and the stand-in of Slicer beside this file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
