"""The panel's widgets without Qt, made from the ``.ui`` file: what a widget of that class does not have, raises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from tests.slicer_extension.extension import EXTENSION


class Font:
    def setBold(self, bold: bool) -> None:
        assert isinstance(bold, bool)


class Widget:
    """A widget with the properties and signals of its class, and what users do to it.

    A property's own signal, in ``notifies``, is sent when it changes. Names are Qt's, with PythonQt's spelling.
    """

    checked: bool
    properties: Mapping[str, Any]
    signals: tuple[str, ...]
    notifies: Mapping[str, str]

    def __init__(self) -> None:
        values = {"enabled": True, "visible": True, "toolTip": "", "font": Font(), **self.properties}
        dynamic: dict[str, Any] = {}
        self.__dict__.update(_values=values, _slots=[], _blocked=False)
        self.__dict__.update(property=dynamic.get, setProperty=dynamic.__setitem__)
        self.__dict__.update({f"set{n.title()}": lambda to, n=n: setattr(self, n, to) for n in ("visible", "font")})

    def __getattr__(self, name: str) -> Any:
        if name not in self._values:
            raise AttributeError(f"{type(self).__name__} has no property {name!r}")
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        old = getattr(self, name)
        if not isinstance(value, type(old)):
            raise TypeError(f"{type(self).__name__}.{name} = {value!r}")
        self._values[name] = value
        if value != old and name in self.notifies:
            self.emit(self.notifies[name], value)

    def setStyleSheet(self, text: str) -> None:
        assert text.startswith("color: #")

    def blockSignals(self, block: bool) -> bool:
        was_blocked, self.__dict__["_blocked"] = bool(self._blocked), block
        return was_blocked

    def connect(self, signal: str, slot: Callable[..., None]) -> None:
        if signal not in (*self.signals, *self.notifies.values()):
            raise ValueError(f"{type(self).__name__} has no signal {signal}")
        self._slots.append((signal, slot))

    def disconnect(self, signal: str, slot: Callable[..., None]) -> None:
        self._slots.remove((signal, slot))

    def emit(self, signal: str, *arguments: Any) -> None:
        """Call the slots with as many arguments as they take, as PythonQt does."""
        for connected, slot in list(self._slots):
            if connected == signal and not self._blocked:
                slot(*arguments[: len(inspect.signature(slot).parameters)])

    def click(self) -> None:
        """Press a button, or change a check box."""
        assert self.enabled, f"it is disabled: {self.toolTip}"
        assert self.visible, "it is hidden"
        if "clicked(bool)" in self.signals:
            self.emit("clicked(bool)", False)
        else:
            self.checked = not self.checked

    def type(self, text: str) -> None:
        """Replace the text of a field, and leave the field."""
        assert self.enabled
        self.text = text
        self.emit("textEdited(QString)", text)
        self.emit("editingFinished()")

    def choose(self, folder: str) -> None:
        """Choose a folder in a button's dialog; it may be the one that is shown."""
        self.directory = folder
        self.emit("directorySelected(QString)", folder)


def _kind(name: str, properties: Any = (), signals: Any = (), notifies: Any = (), base: Any = Widget) -> type[Widget]:
    return type(name, (base,), {"properties": dict(properties), "signals": signals, "notifies": dict(notifies)})


class ComboBox(Widget):
    def __init__(self) -> None:
        super().__init__()
        edit, items = KINDS["QLineEdit"](), list[str]()
        edit.connect("textChanged(QString)", lambda text: self._values.update(currentText=text))
        self.__dict__.update(items=items, clear=items.clear, addItem=items.append, type=edit.type)
        self.__dict__.update(lineEdit=lambda: edit, setEditText=lambda text: setattr(edit, "text", text))


class NodeComboBox(Widget):
    def currentNode(self) -> Any:
        return self.__dict__.get("_node")

    def setCurrentNode(self, node: Any) -> None:
        if node is not self.currentNode():
            self.__dict__["_node"] = node
            self.emit("currentNodeChanged(vtkMRMLNode*)", node)


class SegmentEditor(Widget):
    """Keeps what is edited in its parameter node, as the original does."""

    def __init__(self) -> None:
        super().__init__()
        keep = self.__dict__.__setitem__
        self.__dict__.update(
            **{"node": None, "effect": None, "observes_views": False, "auto_show": True, "undone": False},
            **{"setMaximumNumberOfUndoStates": int, "setSegmentationNodeSelectorVisible": bool},
            setAutoShowSourceVolumeNode=lambda on: keep("auto_show", on),
            setMRMLSegmentEditorNode=lambda node: keep("node", node),
            mrmlSegmentEditorNode=lambda: self.node,
            segmentationNode=lambda: self.node and self.node.GetSegmentationNode(),
            setSegmentationNode=lambda node: self.node.SetAndObserveSegmentationNode(node),
            sourceVolumeNode=lambda: self.node and self.node.GetSourceVolumeNode(),
            setSourceVolumeNode=lambda node: self.node.SetAndObserveSourceVolumeNode(node),
            activeEffect=lambda: self.effect,
            setActiveEffect=lambda effect: keep("effect", effect),
            setupViewObservations=lambda: keep("observes_views", True),
            removeViewObservations=lambda: keep("observes_views", False),
            updateWidgetFromMRML=lambda: None,
            undo=lambda: keep("undone", True),
            redo=lambda: keep("undone", False),
        )


_EDITED = ("textEdited(QString)", "editingFinished()", "returnPressed()")
_CHOSEN = ("directoryChanged(QString)", "directorySelected(QString)")
_NUMBER = ({"value": 0, "minimum": 0, "maximum": 99}, (), {"value": "valueChanged(int)"})
KINDS = {
    kind.__name__: kind
    for kind in (
        *(_kind(name) for name in ("QWidget", "QFrame", "QScrollArea", "QTableWidget", "qMRMLWidget")),
        _kind("QLabel", {"text": "", "accessibleDescription": ""}),
        _kind("QProgressBar", {"maximum": 100, "value": 0}),
        _kind("ctkCollapsibleButton", {"collapsed": False}),
        _kind("QPushButton", {"text": "", "checked": False}, ("clicked(bool)",)),
        _kind("QCheckBox", {"checked": False}, (), {"checked": "stateChanged(int)"}),
        _kind("QSpinBox", *_NUMBER),
        _kind("QSlider", *_NUMBER),
        _kind("QLineEdit", {"text": ""}, _EDITED, {"text": "textChanged(QString)"}),
        _kind("QComboBox", {"currentText": ""}, ("activated(int)",), base=ComboBox),
        _kind("ctkDirectoryButton", {"directory": ""}, _CHOSEN),
        _kind("qMRMLNodeComboBox", {"nodeTypes": []}, ("currentNodeChanged(vtkMRMLNode*)",), base=NodeComboBox),
        _kind("qMRMLSegmentEditorWidget", base=SegmentEditor),
    )
}  # fmt: skip


def make_widgets() -> SimpleNamespace:
    """Return the widgets of ``TumorLoop.ui`` by name, with the values that they have there."""
    ui = SimpleNamespace()
    for element in ElementTree.parse(EXTENSION / "Resources" / "UI" / "TumorLoop.ui").iter("widget"):
        widget = KINDS[element.attrib["class"]]()
        for value in element.findall("property"):
            name, text = value.attrib["name"], value[0].text or ""
            if name == "SlicerParameterName":
                widget.setProperty(name, text)
            elif name in widget._values and name != "font":
                kind = type(getattr(widget, name))
                setattr(widget, name, text == "true" if kind is bool else kind(text))
        setattr(ui, element.attrib["name"], widget)
    return ui
