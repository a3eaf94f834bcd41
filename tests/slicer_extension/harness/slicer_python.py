"""Puts the Python modules that the ``slicer-core`` wheel lacks in their place under ``slicer``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import slicer

from tests.slicer_extension.harness import parameter_node, parameter_types, scripted_module


def install() -> None:
    """Make ``slicer.i18n``, ``slicer.ScriptedLoadableModule`` and ``slicer.parameterNodeWrapper`` importable."""
    if "slicer.i18n" in sys.modules:
        return
    _install("i18n", {"tr": _tr, "translate": _translate, "getContext": _context})
    _install("ScriptedLoadableModule", {public.__name__: public for public in scripted_module.PUBLIC})
    names = ("WithinRange", "Minimum", "Maximum", "Choice", "Default", "Decimals", "SingleStep", "Validator")
    wrapper = {name: getattr(parameter_types, name) for name in names}
    _install("parameterNodeWrapper", {"parameterNodeWrapper": parameter_node.parameterNodeWrapper, **wrapper})


def _install(name: str, content: dict[str, Any]) -> None:
    """Make one module of a dictionary."""
    module = ModuleType(f"slicer.{name}")
    vars(module).update(content, __all__=list(content))
    sys.modules[f"slicer.{name}"] = module
    setattr(slicer, name, module)


def _tr(text: str) -> str:
    """Return the text in the user's language: the same, in American English."""
    _require_text(text)
    return text


def _translate(context: str, text: str) -> str:
    """Return the text in the user's language: the same, in American English."""
    _require_text(context)
    _require_text(text)
    return text


def _context(source_file: Any) -> str:
    """Return the translation context of a source file: its name."""
    return str(source_file)


def _require_text(value: Any) -> None:
    """Refuse what Slicer's translator would refuse."""
    if not isinstance(value, str):
        raise TypeError(f"only text can be translated, not {type(value).__name__} {value!r}")
