"""``slicer.ScriptedLoadableModule`` and ``slicer.i18n``, and how Slicer loads a module written in Python."""

import importlib
import sys
import unittest
from pathlib import Path
from typing import Any

import slicer


class ScriptedLoadableModule:
    """Base of the class that is named like the module: title, category, help and so on go into ``parent``."""

    def __init__(self, parent: Any) -> None:
        self.parent, name = parent, type(self).__name__
        tests = vars(slicer).setdefault("selfTests", {})
        tests[name] = lambda: getattr(sys.modules[name], f"{name}Test")().runTest()


class ScriptedLoadableModuleWidget:
    """Base of the panel: ``parent`` is the widget it fills, ``layout`` that widget's layout."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None: ...

    cleanup = setup

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """Base of the logic: finds or makes the scene's parameter node of the module."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)  # closing the scene takes it away
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str) -> None:
        slicer.app.processEvents()


def tr(text: str) -> str:
    return translate("", text)


def translate(context: str, text: str) -> str:
    if not isinstance(context, str) or not isinstance(text, str):
        raise TypeError(f"only text can be translated, not {text!r} in {context!r}")
    return text


class ScriptedModule:
    """A Python module as its own class sees it in ``parent``; attributes that Slicer's object does not have fail."""

    _ATTRIBUTES = frozenset(
        {"title", "name", "path", "categories", "dependencies", "contributors", "helpText", "acknowledgementText"}
        | {"icon", "hidden", "index", "associatedNodeTypes", "widgetRepresentationCreationEnabled", "_widget"}
    )

    def __init__(self, path: str, name: str) -> None:
        self.name, self.path, self.title, self._widget = name, path, name, None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._ATTRIBUTES:
            raise AttributeError(f"qSlicerScriptedLoadableModule has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def widgetRepresentation(self) -> Any:
        return self._widget


def load(path: Path) -> Any:
    """Load a scripted module as Slicer does at its start, and return its panel after ``setup`` and ``enter``."""
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    source, module = importlib.import_module(name), ScriptedModule(str(path), name)
    getattr(source, name)(module)  # Slicer looks for a class named like the file
    setattr(slicer.modules, name.lower(), module)
    slicer.app.completeStartup()
    module._widget = top = slicer.qSlicerScriptedLoadableModuleWidget(slicer.util.mainWindow())
    top.windowTitle = module.title
    top.setMRMLScene(slicer.mrmlScene)
    top.setPythonSource(name)
    top.setup()
    top.resize(400, 900)
    top.show()
    top.enter()
    slicer.app.processEvents()
    return top.self()


def unload_all() -> None:
    for module in list(vars(slicer.modules).values()):
        if isinstance(module, ScriptedModule):
            if module._widget is not None:
                module._widget.exit()
            slicer.app.moduleManager()._emit("moduleAboutToBeUnloaded(QString)", module.name)
            for attribute in (module.name.lower(), f"{module.name}Widget"):
                vars(slicer.modules).pop(attribute, None)
