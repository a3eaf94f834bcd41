import os
import platform
import subprocess
import sys

import pytest

FLAG = "TF_ENABLE_ONEDNN_OPTS"


def last_line(code: str, **environment: str) -> str:
    """Return the last line that a new process prints."""
    environment = {**{name: value for name, value in os.environ.items() if name != FLAG}, **environment}
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=120, env=environment)
    return printed.splitlines()[-1]


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="TensorFlow has oneDNN there")
def test_tensorflow_computes_with_onednn_on_every_processor() -> None:
    port = "from tensorflow.python.util import _pywrap_util_port as port; print(port.IsMklEnabled())"
    assert last_line(f"from training.hardware import prepare_backend; prepare_backend(); {port}") == "True"


def test_an_explicit_setting_is_kept() -> None:
    code = f"import training, os; print(os.environ['{FLAG}'])"
    assert [last_line(code), last_line(code, **{FLAG: "0"})] == ["1", "0"]
