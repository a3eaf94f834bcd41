import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slicer_extension.extension import EXTENSION, EXTENSION_ROOT
from tests.slicer_extension.packaging import strings

MODULES = {path.relative_to(EXTENSION).as_posix(): path for path in sorted(EXTENSION.rglob("*.py"))}
FROM_SLICER = {"numpy", "slicer", "vtk", "qt", "ctk", "TumorLoopLib"}
FROM_SLICER |= {"pydicom", "SampleData", "qSlicerSegmentationsEditorEffectsPythonQt"}
#: In the standard library of this Python, but not of both 3.9 (Slicer 5.8) and 3.12 (Slicer 5.10 and later).
NOT_EVERYWHERE = {"asynchat", "asyncore", "cgi", "cgitb", "distutils", "imp", "smtpd", "telnetlib", "tomllib"}
ALLOWED = (set(sys.stdlib_module_names) - NOT_EVERYWHERE) | FROM_SLICER
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
QT6_ENUM = re.compile(r"\bqt\.Q\w*\.[A-Z]\w*\.[A-Z]\w*")
#: Imports every module in Python 3.9, with mocks of what Slicer brings: newer syntax at run time (``int | None`` in a
#: value) shows only there.
IMPORT_ALL = """
import importlib, sys
from unittest import mock
for name in ("numpy", "slicer", "slicer.i18n", "slicer.parameterNodeWrapper", "slicer.util", "vtk", "vtk.util",
             "vtk.util.numpy_support", "qt", "ctk"):
    sys.modules[name] = mock.MagicMock()
sys.modules["slicer.util"].VTKObservationMixin = type("VTKObservationMixin", (), {})
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level package of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import: a reload in Slicer would miss it"
            yield str(node.module).partition(".")[0]


def length_of(function: ast.FunctionDef) -> int:
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@pytest.mark.parametrize("name", MODULES)
def test_a_module_follows_the_rules_of_code_inside_slicer(name):
    text = MODULES[name].read_text("utf-8")
    tree = ast.parse(text, name, feature_version=(3, 9))  # which knows neither ``match`` nor ``except*``
    nodes = list(ast.walk(tree))
    assert not [node for node in nodes if isinstance(node, ast.Match)]
    assert set(imported(tree)) <= ALLOWED
    assert len(text.splitlines()) <= LONGEST_FILE
    assert QT6_ENUM.findall("qt.Qt.AlignmentFlag.AlignLeft | qt.Qt.AlignLeft") == ["qt.Qt.AlignmentFlag.AlignLeft"]
    assert QT6_ENUM.findall(text) == []
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if length_of(node) > LONGEST_FUNCTION] == []
    assert strings.untranslated(tree) == []
    assert strings.untranslatable(tree) == []
    # ``except: pass`` hides what the log should show; ``contextlib.suppress`` names what may fail.
    handlers = [node for node in nodes if isinstance(node, ast.ExceptHandler)]
    assert not [handler.lineno for handler in handlers if handler.type is None]
    assert not [handler.lineno for handler in handlers if all(isinstance(step, ast.Pass) for step in handler.body)]


def python_3_9() -> str | None:
    """Return an interpreter of Slicer 5.8's version, if this machine has one that runs."""
    found = [*sorted(map(str, Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))), shutil.which("python3.9")]
    for candidate in filter(None, found):
        if subprocess.run([candidate, "-c", "pass"], capture_output=True, timeout=60).returncode == 0:
            return candidate
    return None


def test_every_module_can_be_imported_by_a_real_python_3_9():
    assert {"TumorLoop.py", "TumorLoopLib/client/client.py"} <= set(MODULES)
    python = python_3_9()
    if python is None:
        pytest.skip("there is no Python 3.9 on this machine")
    names = [name[:-3].replace("/", ".") for name in MODULES if name.startswith("TumorLoopLib/")]
    run(python, "-I", "-B", "-c", IMPORT_ALL, str(EXTENSION), *names)


@pytest.mark.parametrize(
    "command", [["ruff", "check", "slicer_extension"], ["vulture", "--config", "slicer_extension/vulture.toml"]]
)
def test_the_linters_find_nothing(command):
    run(sys.executable, "-m", *command)


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=EXTENSION_ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
