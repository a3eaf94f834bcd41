"""What the harness refuses, rule by rule: where Slicer would fail or only print a warning, a test must fail."""

import threading
from contextlib import contextmanager

import pytest

from tests.slicer_extension.harness import failures


@contextmanager
def failing(words):
    """Expect failures in slots, observers or threads during the block, and forget them."""
    with pytest.raises(AssertionError, match=words), failures.recording():
        yield


def on_a_thread(work):
    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
