"""The module ``qt`` that scripts in Slicer import, all of Qt in one namespace, and the loader of .ui files."""

import gc
import re
import sys
import xml.etree.ElementTree as ElementTree
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from tests.slicer_extension.harness import dialogs, pythonqt
from tests.slicer_extension.harness.qt_classes import property_names, raw
from tests.slicer_extension.harness.widgets import WIDGETS

#: What .ui files may set beside Qt's properties: on a widget, and on a layout.
_DYNAMIC_PROPERTIES = {"SlicerParameterName"}
_LAYOUT_PROPERTIES = {"leftMargin", "topMargin", "rightMargin", "bottomMargin", "horizontalSpacing", "verticalSpacing"}
_QT6_ENUM = re.compile(r"\w+::\w+::\w+")


def make() -> ModuleType:
    """Return the module, put where ``import qt`` finds it; makes the process's one application, without a display."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    application = QtWidgets.QApplication(["Slicer", "-platform", "offscreen"])
    application.setStyle("Fusion")
    application.setQuitOnLastWindowClosed(False)
    pythonqt.install()
    module = ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets):
        # PySide6's own helpers (Signal, Slot, Property) do not exist in PythonQt
        names = [name for name in dir(source) if name.startswith("Q") and not name.startswith(("QT_", "QtMsg"))]
        vars(module).update({name: getattr(source, name) for name in names})
    QtCore.QTimer.singleShot = staticmethod(_single_shot)
    vars(module).update(_application=application, QUiLoader=UiLoader, QSettings=Settings)
    vars(module).update(QMessageBox=dialogs.MessageBox, QFileDialog=dialogs.FileDialog)
    sys.modules["qt"] = module
    gc.freeze()  # spares what is imported, and stays, the search for garbage after each test
    return module


class Settings(QtCore.QSettings):
    """``qt.QSettings`` as after a restart of Slicer: what is no text or list comes back from the file as text."""

    def value(self, key: str, default: Any = None) -> Any:
        if not self.contains(key):
            return default
        kept = QtCore.QSettings.value(self, key)
        return str(kept).lower() if isinstance(kept, bool) else str(kept) if isinstance(kept, (int, float)) else kept


def _single_shot(milliseconds: int, slot: Any) -> None:
    timer = QtCore.QTimer(slicer.util.mainWindow())
    raw(timer, "setSingleShot")(True)
    timer.connect("timeout()", slot)
    timer.connect("timeout()", raw(timer, "deleteLater"))
    timer.start(int(milliseconds))


class UiLoader(QtUiTools.QUiLoader):
    """``qt.QUiLoader``: every fault in the file raises.

    Qt's own loader warns about an unknown class, makes an unknown property a dynamic one and ignores an unknown
    connection.
    """

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        widget = _widget_class(class_name)(parent)
        raw(widget, "setObjectName")(name)
        return widget

    def load(self, device: Any, parent: Any = None) -> Any:
        tree = ElementTree.fromstring(bytes(raw(device, "readAll")()))
        _check(tree)
        connections = list(tree.findall("connections/connection"))
        for section in tree.findall("connections"):
            tree.remove(section)
        buffer = QtCore.QBuffer()
        raw(buffer, "setData")(ElementTree.tostring(tree))
        raw(buffer, "open")(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        top = QtUiTools.QUiLoader.load(self, buffer, parent)
        widgets = [top, *raw(top, "findChildren")(QtCore.QObject)]
        raw(top, "__dict__")["_ui_objects"] = widgets  # PySide6 forgets wrappers that nothing holds, with their slots
        named = {raw(widget, "objectName")(): widget for widget in widgets}
        for connection in connections:
            keys = ("sender", "signal", "receiver", "slot")
            sender, signal, receiver, slot = (connection.findtext(key, "") for key in keys)
            named[sender].connect(signal, named[receiver], slot)
        return top


def _widget_class(name: str) -> type:
    cls = WIDGETS.get(name) or getattr(QtWidgets, name, None)
    if not (isinstance(cls, type) and issubclass(cls, QtWidgets.QWidget)):
        raise RuntimeError(f"the .ui file names the widget class {name!r}, which neither Qt nor the harness has")
    return cls


def _check(tree: ElementTree.Element) -> None:
    seen: set[str] = set()
    for element in tree.iter("widget"):
        name = element.get("name", "")
        if name in seen:
            raise RuntimeError(f"the .ui file names two widgets {name!r}")
        seen.add(name)
        _check_properties(element, property_names(_widget_class(element.get("class", ""))) | _DYNAMIC_PROPERTIES)
    for element in tree.iter("layout"):
        _check_properties(element, property_names(getattr(QtWidgets, element.get("class", ""))) | _LAYOUT_PROPERTIES)
    for element in (*tree.iter("enum"), *tree.iter("set")):
        if _QT6_ENUM.search(element.text or ""):
            raise RuntimeError(f"{element.text} is the spelling of Qt 6; Slicer's Qt 5 knows the short one only")


def _check_properties(element: ElementTree.Element, known: set[str]) -> None:
    for item in element.findall("property"):
        if item.get("name", "") not in known:
            place = f"{element.get('class')} {element.get('name')!r} of the .ui file"
            raise RuntimeError(f"{place} has no property {item.get('name')!r}")
