"""The hardware is used as well as it can be, and whoever knows better is heard."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_FAST = "from tensorflow.python.util import _pywrap_util_port as port; print(port.IsMklEnabled())"


def told(code: str, **environment: str) -> str:
    """Return the last line that a new process prints."""
    inherited = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**inherited, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is TensorFlow's choice on x86 only")
@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow is built with oneDNN there")
def test_tensorflow_computes_with_onednn_on_every_processor() -> None:
    assert told(f"from training.hardware import prepare_backend; prepare_backend(); {_FAST}") == "True"


def test_who_switches_it_off_is_heard() -> None:
    code = "import training, os; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert told(code, TF_ENABLE_ONEDNN_OPTS="0") == "0"
    assert told(code) == "1"
