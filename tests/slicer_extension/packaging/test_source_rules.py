"""What the code that runs inside Slicer may and may not do, checked on its source."""

from __future__ import annotations

import ast
import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slicer_extension.extension import EXTENSION, EXTENSION_ROOT
from tests.slicer_extension.packaging import strings

REPOSITORY = Path(__file__).resolve().parents[3]
MODULES = sorted(EXTENSION.rglob("*.py"))
FROM_SLICER = {"numpy", "slicer", "vtk", "qt", "ctk"}
#: In the standard library of this Python, but not of both 3.9 (Slicer 5.8) and 3.12 (Slicer 5.10 and later).
NOT_EVERYWHERE = {"asynchat", "asyncore", "cgi", "cgitb", "distutils", "imp", "smtpd", "telnetlib", "tomllib"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
every_module = pytest.mark.parametrize("path", MODULES, ids=[path.name for path in MODULES])


def tree_of(path: Path) -> ast.Module:
    """Parse a module as Python 3.9, which knows neither ``match`` nor ``except*``."""
    return ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 9))


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level package of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import: a reload in Slicer would miss it"
            yield str(node.module).partition(".")[0]


def length_of(function: ast.FunctionDef) -> int:
    """Return a function's lines without its docstring."""
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_there_are_modules_to_check():
    assert {"TumorLoop.py", "client.py"} <= {path.name for path in MODULES}


@every_module
def test_a_module_reads_as_python_3_9_without_match(path):
    assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Match)]


@every_module
def test_a_module_imports_only_what_every_slicer_brings(path):
    allowed = (set(sys.stdlib_module_names) - NOT_EVERYWHERE) | FROM_SLICER | {"TumorLoopLib"}
    assert set(imported(tree_of(path))) <= allowed


@every_module
def test_a_module_is_no_longer_than_a_reader_can_hold(path):
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) <= LONGEST_FILE
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if length_of(node) > LONGEST_FUNCTION] == []


@every_module
def test_every_text_that_people_see_goes_through_the_translation(path):
    assert strings.untranslated(tree_of(path)) == []


@every_module
def test_texts_for_translation_are_written_out_where_they_are_translated(path):
    assert strings.untranslatable(tree_of(path)) == []


@every_module
def test_nothing_is_swallowed(path):
    """``except: pass`` hides what the log should show; ``contextlib.suppress`` names what may fail."""
    handlers = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]
    assert not [handler.lineno for handler in handlers if handler.type is None]
    assert not [handler.lineno for handler in handlers if all(isinstance(step, ast.Pass) for step in handler.body)]


@functools.cache
def python_3_9() -> str | None:
    """Return an interpreter of Slicer 5.8's version, if this machine has one that runs."""
    found = [*sorted(map(str, Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))), shutil.which("python3.9")]
    for candidate in filter(None, found):
        if subprocess.run([candidate, "-c", "pass"], capture_output=True, timeout=60).returncode == 0:
            return candidate
    return None


@pytest.mark.skipif(python_3_9() is None, reason="there is no Python 3.9 on this machine")
def test_every_module_can_be_imported_by_a_real_python_3_9():
    """Run-time use of newer syntax (``int | None`` in a value) shows only there; what Slicer brings is played."""
    library = [path.relative_to(EXTENSION).with_suffix("") for path in MODULES if path.stem != "__init__"]
    names = [".".join(path.parts) for path in library if path.parts[0] == "TumorLoopLib"]
    code = f"""
import importlib, sys
from unittest import mock
for name in ("numpy", "slicer", "slicer.i18n", "slicer.parameterNodeWrapper", "slicer.util", "vtk", "vtk.util",
             "vtk.util.numpy_support", "qt", "ctk"):
    sys.modules[name] = mock.MagicMock()
sys.modules["slicer.util"].VTKObservationMixin = type("VTKObservationMixin", (), {{}})
sys.path.insert(0, {str(EXTENSION)!r})
for name in {names!r}:
    importlib.import_module(name)
"""
    interpreter = python_3_9()
    assert interpreter is not None
    done = subprocess.run([interpreter, "-I", "-B", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["ruff", "check"], ["vulture", "--config", "slicer_extension/vulture.toml"]])
def test_the_linters_find_nothing(command):
    paths = [EXTENSION_ROOT / "slicer_extension"] if command[0] == "ruff" else []
    done = subprocess.run(
        [sys.executable, "-m", *command, *paths], cwd=EXTENSION_ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
