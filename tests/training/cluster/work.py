"""Jobs that the workers of a test cluster import."""

import math
import os
import signal
import time
from pathlib import Path

from training.errors import InputError


def root(value: float) -> float:
    return math.sqrt(value)


def refuse(name: str) -> str:
    raise InputError(f"{name} is no image", field="t2")


def die_once(marker: Path) -> str:
    """Die as if killed from outside, the first time."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker.name


def die(name: str) -> str:
    if name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
