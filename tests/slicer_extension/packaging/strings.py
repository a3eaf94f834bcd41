"""Finds texts for people in source code, and whether they go through the translation function ``_``."""

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

#: Properties of widgets and of the module whose value a person reads.
SHOWN_PROPERTIES = {"text", "toolTip", "title", "windowTitle", "placeholderText", "statusTip", "helpText"}
#: Calls whose texts a person reads.
SHOWN_BY = {"setText", "setToolTip", "setWindowTitle", "setPlaceholderText", "setStatusTip", "setFormat", "addItem"} | {
    f"{kind}Display" for kind in ("info", "warning", "error", "confirmOkCancel", "confirmYesNo", "message", "delay")
}
_SENTENCE = re.compile(r"[A-Z1][\w,'’()]*( [\w,'’()/-]+){2,}.*[.!?…]", re.DOTALL)


def untranslated(tree: ast.Module) -> list[str]:
    """Return the texts for people outside ``_(...)``, each with its line.

    Those are texts that a property or a call shows, and sentences, except docstrings and messages for programmers.
    """
    skipped = set(map(id, _covered(tree)))
    shown = {id(node) for value in _shown_values(tree) for node in ast.walk(value)}
    found = []
    for node in ast.walk(tree):
        text = _text_of(node)
        if text is None or id(node) in skipped:
            continue
        letters = re.search(r"[A-Za-z]{2}", text)
        if (id(node) in shown and letters) or _SENTENCE.fullmatch(text.strip()):
            found.append(f"line {getattr(node, 'lineno', 0)}: {text!r}")
    return found


def untranslatable(tree: ast.Module) -> list[str]:
    """Return the lines where ``_`` is not the translation of one literal, or is used for something else."""
    found = [
        f"line {call.lineno}: {ast.unparse(call)}"
        for call in ast.walk(tree)
        if _is_translation(call) and not (len(call.args) == 1 and isinstance(call.args[0], ast.Constant))
    ]
    if any(_is_translation(call) for call in ast.walk(tree)):
        stored = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        found += [f"line {node.lineno}: _ is assigned" for node in stored if node.id == "_"]
    return found


def _text_of(node: ast.AST) -> str | None:
    """Return the text of a literal or an f-string, with a number in each of its gaps; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values)
    return None


def _covered(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every node inside a translation, a docstring, or a message for programmers; and the parts of f-strings."""
    for node in ast.walk(tree):
        if _is_translation(node) or isinstance(node, ast.Assert) or _is_for_programmers(node):
            yield from ast.walk(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from node.values


def _shown_values(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            if any(isinstance(target, ast.Attribute) and target.attr in SHOWN_PROPERTIES for target in node.targets):
                yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SHOWN_BY:
            yield from node.args


def _is_translation(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"


def _is_for_programmers(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return node.func.value.id in ("logging", "logger", "log", "_log")
    errors = ("ValueError", "TypeError", "RuntimeError", "KeyError", "NotImplementedError")
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors
