"""``packaging/install.py``: uv gets the settings that pip has on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "install.py"


@pytest.fixture(scope="module")
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tumorloop_install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_environment_wins_over_the_settings_of_install_and_these_over_global_ones(
    installer: ModuleType,
) -> None:
    listed = [
        "global.index-url='https://one/simple'",
        "global.cert='/certs.pem'",
        "install.index-url='https://two/simple'",
        ":env:.cert='/other.pem'",
        "download.index-url='https://three/simple'",
        "",
    ]
    assert installer.pip_settings(listed) == {"index-url": "https://two/simple", "cert": "/other.pem"}


def test_the_settings_of_this_machine_are_found(installer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/some/wheels")
    assert installer.pip_settings(installer.list_pip_settings())["find-links"] == "/some/wheels"


def test_uv_gets_all_indexes_folders_and_certificates_of_pip(installer: ModuleType) -> None:
    settings = {
        "index-url": "https://user:secret@mirror/simple",
        "extra-index-url": "\nhttps://a/simple\nfile:///b/simple",
        "find-links": "/wheels /more",
        "cert": "/certs.pem",
        "constraint": "/etc/constraints.txt",
        "disable-pip-version-check": "1",
    }
    assert installer.uv_variables(settings) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_SYSTEM_CERTS": "1",
        "UV_DEFAULT_INDEX": "https://user:secret@mirror/simple",
        "UV_INDEX": "https://a/simple file:///b/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/certs.pem",
        "UV_CONSTRAINT": "/etc/constraints.txt",
    }


def test_a_setting_that_uv_does_not_know_is_named(installer: ModuleType) -> None:
    with pytest.raises(ValueError, match="keyring-provider"):
        installer.uv_variables({"keyring-provider": "subprocess", "cert": "/certs.pem"})


def test_a_line_that_is_no_setting_of_pip_is_an_error(installer: ModuleType) -> None:
    with pytest.raises(ValueError, match="Not a setting of pip: 'WARNING: odd'"):
        installer.pip_settings(["WARNING: odd"])
