"""Stand-in of ``qSlicerModuleManager``: looks modules up and announces that one goes."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore

from tests.slicer_extension.harness.modules import ModuleFactory, ScriptedModule
from tests.slicer_extension.harness.standin import StandIn


class ModuleManager(StandIn, QtCore.QObject):
    """The modules of ``slicer.modules``."""

    NATIVE = True
    SIGNALS = ("moduleAboutToBeUnloaded(QString)", "moduleUnloaded(QString)", "moduleLoaded(QString)")

    def module(self, name: str) -> Any:
        """Return a module by its name, or None."""
        return ModuleFactory().module(name)

    def modulesNames(self) -> list[str]:
        """Return the names of all modules."""
        return ModuleFactory().modulesNames()

    def factoryManager(self) -> ModuleFactory:
        """Return what makes modules."""
        return ModuleFactory()

    def scripted_names(self) -> list[str]:
        """Return the names of the loaded scripted modules."""
        return [module.name for module in vars(slicer.modules).values() if isinstance(module, ScriptedModule)]

    def unload(self, name: str) -> None:
        """Leave a scripted module and let it clean up, as Slicer does when it closes."""
        top = self.module(name).widgetRepresentation()
        if top is not None:
            top.exit()
        self._emit("moduleAboutToBeUnloaded(QString)", name)
        delattr(slicer.modules, name.lower())
        if hasattr(slicer.modules, f"{name}Widget"):
            delattr(slicer.modules, f"{name}Widget")
        self._emit("moduleUnloaded(QString)", name)
