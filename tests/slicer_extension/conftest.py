"""Fixtures of the panel's tests. Qt is loaded only by tests that ask for it: the logic on MRML needs none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.slicer_extension.harness import mrml_scene
from tests.slicer_extension.real_server import proxy, real_server, real_studies, tiny_model

__all__ = ["proxy", "real_server", "real_studies", "tiny_model"]


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh ``slicer.mrmlScene`` with ``slicer.util`` working on it; an exception in an observer fails the test."""
    with mrml_scene.running() as fresh:
        yield fresh


@pytest.fixture
def desktop() -> Iterator[Any]:
    """The ``scene`` fixture with Slicer's user interface around it: ``qt``, ``ctk``, windows, module manager.

    At the end all windows close, and exceptions in slots, Qt's warnings and unused dialog answers fail the test.
    """
    from tests.slicer_extension.harness import desktop as harness

    with harness.running() as fresh:
        yield fresh
