"""Stand-ins of Slicer's module objects: what ``slicer.modules.<name>`` and the module manager hand out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer


class LoadableModule:
    """A C++ module of Slicer: a name and a logic (``qSlicerLoadableModule``)."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self.title = name
        self.path = ""
        self._logic = logic

    def logic(self) -> Any:
        """Return the module's logic."""
        return self._logic

    def widgetRepresentation(self) -> None:
        """Return the module's panel; C++ modules have none here."""
        return None


class ScriptedModule:
    """A Python module as its own code sees it (``qSlicerScriptedLoadableModule``).

    The module's class gets it as ``parent`` and fills in title, categories and so on. Attributes that the real one does
    not have fail.
    """

    _ATTRIBUTES = frozenset(
        {"title", "name", "path", "categories", "dependencies", "contributors", "helpText", "acknowledgementText"}
        | {"icon", "hidden", "index", "associatedNodeTypes", "widgetRepresentationCreationEnabled"}
    )

    def __init__(self, path: str, name: str) -> None:
        self.name, self.path = name, path
        self.title = name
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.associatedNodeTypes: list[str] = []
        self.helpText = self.acknowledgementText = ""
        self.icon = None
        self.hidden, self.index = False, -1
        self.widgetRepresentationCreationEnabled = True
        self._widget: Any = None
        self._self: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._ATTRIBUTES and not name.startswith("_"):
            raise AttributeError(f"qSlicerScriptedLoadableModule has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def logic(self) -> Any:
        """Return the (C++) logic; scripted modules have an empty one."""
        return slicer.vtkSlicerScriptedLoadableModuleLogic()

    def widgetRepresentation(self) -> Any:
        """Return the panel's top widget, or None before it is made."""
        return self._widget


class ModuleFactory:
    """Looks modules up by name (``qSlicerModuleManager`` without a user interface)."""

    @property
    def _modules(self) -> SimpleNamespace:
        modules: SimpleNamespace = slicer.modules
        return modules

    def module(self, name: str) -> Any:
        """Return a module by its name, or None."""
        return getattr(self._modules, name.lower(), None)

    def modulesNames(self) -> list[str]:
        """Return the names of all modules."""
        return [module.name for module in vars(self._modules).values() if hasattr(module, "widgetRepresentation")]
