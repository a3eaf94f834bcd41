"""How a parameter node keeps values: the stored form of each type, validators and defaults.

Stand-in of ``slicer.parameterNodeWrapper``'s serializers. The stored form is Slicer's, so that a scene saved by the
one opens in the other: text for plain values, a node reference under the parameter's name for nodes, and
``<name>_0``/``<name>_1`` for ``Optional``.
"""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import slicer


class Validator:
    """Something that refuses values."""

    def validate(self, value: Any) -> None:
        """Raise ValueError when a value is not allowed."""
        raise NotImplementedError


@dataclass(frozen=True)
class WithinRange(Validator):
    """A number between two others, both allowed."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        """Raise ValueError for a number outside."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"value must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum(Validator):
    """A number that is not below another."""

    minimum: float

    def validate(self, value: Any) -> None:
        """Raise ValueError for a number below."""
        if value < self.minimum:
            raise ValueError(f"value must be at least {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum(Validator):
    """A number that is not above another."""

    maximum: float

    def validate(self, value: Any) -> None:
        """Raise ValueError for a number above."""
        if value > self.maximum:
            raise ValueError(f"value must be at most {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice(Validator):
    """One of some values."""

    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        """Raise ValueError for a value that is not among them."""
        if value not in self.choices:
            raise ValueError(f"value must be one of {list(self.choices)}, is {value!r}")


@dataclass(frozen=True)
class Default:
    """The value a parameter has at first, as an annotation."""

    value: Any


@dataclass(frozen=True)
class Decimals:
    """Digits after the point that the connected widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """The step of the connected widget."""

    value: float


class Kind:
    """How values of one type are checked and kept in a ``vtkMRMLScriptedModuleNode``."""

    def __init__(self, type_: Any) -> None:
        self.type = type_

    def default(self) -> Any:
        """Return the value when nothing else was said."""
        return self.type()

    def check(self, value: Any) -> None:
        """Raise TypeError or ValueError for a value of another type."""
        if value is None:
            raise ValueError("value must not be None")
        # as in Slicer: True is an int, but 1 is not a bool
        if not isinstance(value, (int, float) if self.type is float else self.type):
            raise TypeError(f"value must be {self.type.__name__}, is {type(value).__name__} {value!r}")

    def present(self, node: Any, name: str) -> bool:
        """Return whether the node has a value."""
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep a value."""
        node.SetParameter(name, str(value))

    def read(self, node: Any, name: str) -> Any:
        """Return the kept value."""
        return self.type(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        """Forget the value."""
        node.UnsetParameter(name)


class BoolKind(Kind):
    """``True`` or ``False``."""

    def read(self, node: Any, name: str) -> bool:
        """Return the kept value."""
        return bool(node.GetParameter(name) == "True")


class EnumKind(Kind):
    """A member of an enumeration, kept by name; the first one at first."""

    def default(self) -> Any:
        """Return the first member."""
        return next(iter(self.type))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep the member's name."""
        node.SetParameter(name, value.name)

    def read(self, node: Any, name: str) -> Any:
        """Return the member of the kept name."""
        return self.type[node.GetParameter(name)]


class NodeKind(Kind):
    """A MRML node or None, kept as a node reference, which follows the node through saving and loading."""

    def default(self) -> None:
        """Return None."""
        return None

    def check(self, value: Any) -> None:
        """Raise TypeError for anything but None and nodes of the type (or one of the types)."""
        if value is not None and not isinstance(value, self.type):
            raise TypeError(f"value must be {self.type}, is {type(value).__name__} {value!r}")

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep the reference; the empty text of the same name says that there is a value, even if it is None."""
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        """Return the node, or None."""
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        """Forget the reference."""
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class OptionalKind(Kind):
    """``Optional[X]``: None, or a value kept as X under ``<name>_0``."""

    def __init__(self, type_: Any, inner: Kind) -> None:
        super().__init__(type_)
        self._inner = inner

    def default(self) -> None:
        """Return None."""
        return None

    def check(self, value: Any) -> None:
        """Raise TypeError for anything but None and values of the inner type."""
        if value is not None:
            self._inner.check(value)

    def present(self, node: Any, name: str) -> bool:
        """Return whether the node has a value, None included."""
        return self._inner.present(node, f"{name}_0") or bool(node.HasParameter(f"{name}_1"))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep a value or None."""
        self.remove(node, name)
        if value is None:
            node.SetParameter(f"{name}_1", "True")
        else:
            self._inner.write(node, f"{name}_0", value)

    def read(self, node: Any, name: str) -> Any:
        """Return the value or None."""
        return self._inner.read(node, f"{name}_0") if self._inner.present(node, f"{name}_0") else None

    def remove(self, node: Any, name: str) -> None:
        """Forget the value."""
        self._inner.remove(node, f"{name}_0")
        node.UnsetParameter(f"{name}_1")


def kind_of(type_: Any) -> Kind:
    """Return how a type is kept; TypeError for one that Slicer's wrapper or this stand-in cannot keep."""
    if typing.get_origin(type_) is Union:
        return _union_kind(type_)
    if isinstance(type_, type):
        if issubclass(type_, slicer.vtkMRMLNode):
            return NodeKind(type_)
        if issubclass(type_, enum.Enum):
            return EnumKind(type_)
        if type_ is bool:
            return BoolKind(type_)
        if type_ in (str, int, float, pathlib.Path):
            return Kind(type_)
    raise TypeError(f"a parameter node cannot keep {type_!r} (known: str, int, float, bool, Path, enums, MRML nodes)")


def _union_kind(type_: Any) -> Kind:
    """Return the kind of ``Optional[X]``; of a union of node types, a node of any of them."""
    members = [member for member in typing.get_args(type_) if member is not type(None)]
    if len(members) == 1:
        return OptionalKind(type_, kind_of(members[0]))
    raise TypeError(f"the harness keeps no unions but Optional: {type_!r}")
