"""Stand-in of ``qt.QUiLoader``: loads .ui files with the CTK and Slicer widgets in them, and refuses what is wrong.

Qt's own loader warns about an unknown class, drops an unknown property into a dynamic one and an unknown connection on
the floor. Here each fails, with the place in the file.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from tests.slicer_extension.harness.meta import property_names
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import WIDGETS

#: Dynamic properties that .ui files may set.
DYNAMIC_PROPERTIES = {"SlicerParameterName"}

#: What .ui files set on a layout beside its Qt properties.
_LAYOUT_PROPERTIES = {"leftMargin", "topMargin", "rightMargin", "bottomMargin", "margin", "spacing"}
_LAYOUT_PROPERTIES |= {"horizontalSpacing", "verticalSpacing"}

_QT6_ENUM = re.compile(r"\w+::\w+::\w+")


class UiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file; every fault in it raises."""

    NATIVE = True

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        """Make one widget of the file."""
        if class_name == "Line":
            return QtUiTools.QUiLoader.createWidget(self, class_name, parent, name)
        widget = widget_class(class_name)(parent)
        raw(widget, "setObjectName")(name)
        return widget

    def load(self, device: Any, parent: Any = None) -> Any:
        """Return the top widget of a .ui file (an open ``QFile``)."""
        tree = ElementTree.fromstring(bytes(raw(device, "readAll")()))
        _check(tree)
        connections = list(tree.findall("connections/connection"))
        for section in tree.findall("connections"):
            tree.remove(section)
        buffer = QtCore.QBuffer()
        raw(buffer, "setData")(ElementTree.tostring(tree))
        raw(buffer, "open")(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        top = QtUiTools.QUiLoader.load(self, buffer, parent)
        if top is None:
            raise RuntimeError(f"Qt cannot load the .ui file: {raw(self, 'errorString')()}")
        widgets = [top, *raw(top, "findChildren")(QtCore.QObject)]
        raw(top, "__dict__")["_ui_objects"] = widgets  # PySide6 forgets wrappers that nobody holds, with their slots
        _check_dynamic([widget for widget in widgets if isinstance(widget, QtWidgets.QWidget)])
        for connection in connections:
            _connect(connection, {raw(widget, "objectName")(): widget for widget in widgets})
        return top


def widget_class(name: str) -> type:
    """Return the class of a widget by its name in C++; RuntimeError when there is none."""
    cls = WIDGETS.get(name) or getattr(QtWidgets, name, None)
    if not (isinstance(cls, type) and issubclass(cls, QtWidgets.QWidget)):
        raise RuntimeError(f"the .ui file names the widget class {name!r}, which neither Qt nor the harness has")
    return cls


def _check(tree: ElementTree.Element) -> None:
    """Refuse unknown classes and properties, doubled names, and enums in Qt 6's spelling."""
    seen: set[str] = set()
    for element in tree.iter("widget"):
        name, class_name = element.get("name", ""), element.get("class", "")
        if name in seen:
            raise RuntimeError(f"the .ui file names two widgets {name!r}")
        seen.add(name)
        if class_name != "Line":
            _check_properties(element, widget_class(class_name), set())
    for element in tree.iter("layout"):
        _check_properties(element, getattr(QtWidgets, element.get("class", "")), _LAYOUT_PROPERTIES)
    for element in (*tree.iter("enum"), *tree.iter("set")):
        if _QT6_ENUM.search(element.text or ""):
            raise RuntimeError(f"{element.text} is the spelling of Qt 6; Slicer's Qt 5 knows the short one only")


def _check_properties(element: ElementTree.Element, cls: Any, allowed: set[str]) -> None:
    """Refuse properties that a class does not have and that are not allowed either."""
    for item in element.findall("property"):
        name = item.get("name", "")
        if name not in property_names(cls) | DYNAMIC_PROPERTIES | allowed:
            raise RuntimeError(
                f"{element.get('class')} {element.get('name')!r} of the .ui file has no property {name!r}"
            )


def _check_dynamic(widgets: list[Any]) -> None:
    """Refuse dynamic properties that are not known to mean something."""
    for widget in widgets:
        names = {bytes(name).decode() for name in raw(widget, "dynamicPropertyNames")()}
        unknown = {name for name in names - DYNAMIC_PROPERTIES if not name.startswith(("_", "qt_"))}
        if unknown:
            raise RuntimeError(
                f"{raw(widget, 'objectName')()!r} of the .ui file has no property {sorted(unknown)[0]!r}"
            )


def _connect(connection: ElementTree.Element, widgets: dict[str, Any]) -> None:
    """Make one connection of the file."""
    sender, signal, receiver, slot = (connection.findtext(key, "") for key in ("sender", "signal", "receiver", "slot"))
    for name in (sender, receiver):
        if name not in widgets:
            raise RuntimeError(f"the .ui file connects {name!r}, which it does not have")
    widgets[sender].connect(signal, widgets[receiver], slot)
