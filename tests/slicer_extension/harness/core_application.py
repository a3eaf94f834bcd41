"""Stand-in of ``slicer.app`` without a user interface (``qSlicerCoreApplication``)."""

from __future__ import annotations

import os
from typing import Any

import slicer

from tests.slicer_extension.harness.files import FileManager
from tests.slicer_extension.harness.modules import ModuleFactory


class Environment:
    """The process's environment variables as a ``QProcessEnvironment``."""

    def keys(self) -> list[str]:
        """Return the names."""
        return list(os.environ)

    def value(self, name: str, default: str = "") -> str:
        """Return the value of a variable."""
        return os.environ.get(name, default)

    def contains(self, name: str) -> bool:
        """Return whether there is such a variable."""
        return name in os.environ


class CoreApplication:
    """What code on MRML asks of ``slicer.app``: logics, files, versions. An unknown attribute fails, as in Slicer."""

    applicationName = "Slicer"
    applicationVersion = "5.10.0-2025-11-10"
    majorVersion, minorVersion = 5, 10
    revision = "34045"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, logic: Any, temporary_path: str) -> None:
        self.temporaryPath = temporary_path
        self._logic = logic
        self._files = FileManager()

    def applicationLogic(self) -> Any:
        """Return the ``vtkSlicerApplicationLogic``."""
        return self._logic

    def coreIOManager(self) -> FileManager:
        """Return what reads and writes files of nodes."""
        return self._files

    ioManager = coreIOManager

    def moduleManager(self) -> Any:
        """Return what looks modules up by name."""
        return ModuleFactory()

    def mrmlScene(self) -> Any:
        """Return the current scene."""
        return slicer.mrmlScene

    def testingEnabled(self) -> bool:
        """Return whether message boxes answer themselves; without a user interface they have to."""
        return True

    def processEvents(self) -> None:
        """Do nothing: there is no event loop."""

    def pauseRender(self) -> None:
        """Do nothing: nothing is drawn."""

    def resumeRender(self) -> None:
        """Do nothing: nothing is drawn."""

    def setOverrideCursor(self, cursor: Any) -> None:
        """Do nothing: there is no cursor."""

    def restoreOverrideCursor(self) -> None:
        """Do nothing: there is no cursor."""

    def layoutManager(self) -> None:
        """Return None: there are no views."""
        return None

    def moduleDocumentationUrl(self, name: str) -> str:
        """Return where a module's documentation would be."""
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def startupEnvironment(self) -> Environment:
        """Return the environment variables from before Slicer changed them (``PYTHONHOME`` and so on)."""
        return Environment()

    def translate(self, _context: str, text: str) -> str:
        """Return a text in the user's language, which is American English."""
        return text
