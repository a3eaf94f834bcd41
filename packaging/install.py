"""Install packages into this Python's environment as ``pip install`` would, in a tenth of its time.

    .venv/bin/python packaging/install.py -c constraints.txt -r requirements.txt

uv does it, with the settings that pip has on this machine (package indexes, proxy, certificates, ...), since uv reads
only its own. If pip has a setting for which uv has no counterpart, or uv fails, pip does it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import invalidate_caches
from importlib.util import find_spec

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
#: uv's variable for each of pip's settings, and what separates its values.
COUNTERPARTS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
#: Settings of pip that do not change what is installed, or from where.
IRRELEVANT = {
    *("disable-pip-version-check", "quiet", "verbose", "no-color", "progress-bar", "no-input", "root-user-action"),
    *("cache-dir", "no-cache-dir", "no-compile", "require-virtualenv", "no-warn-script-location", "retries"),
}


def list_pip_settings() -> list[str]:
    """Return the lines of ``pip config list``."""
    found = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def pip_settings(listed: Iterable[str]) -> dict[str, str]:
    """Return pip's settings from the lines of ``pip config list``: those for ``install`` and the environment's win.

    Raises:
        ValueError: If a line is not of the form ``section.name='value'``.
    """
    settings: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in filter(str.strip, listed):
        name, equals, value = line.partition("=")
        section, dot, key = name.rpartition(".")
        if not (equals and dot):
            raise ValueError(f"Not a setting of pip: {line!r}")
        settings.setdefault(section, {})[key] = str(ast.literal_eval(value))
    return {**settings["global"], **settings["install"], **settings[":env:"]}


def uv_variables(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment variables that give uv the settings of pip.

    Raises:
        ValueError: If uv has no counterpart of a setting; the message names it.
    """
    unknown = sorted(settings.keys() - COUNTERPARTS.keys() - IRRELEVANT)
    if unknown:
        raise ValueError(f"uv has no counterpart of pip's setting {', '.join(unknown)}")
    # pip takes the newest version that any index has, and the system's certificates
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_SYSTEM_CERTS": "1"}
    for name, (variable, separator) in COUNTERPARTS.items():
        if name in settings:
            variables[variable] = separator.join(settings[name].split())
    return variables


def install(arguments: list[str]) -> int:
    """Install with uv, or else with pip, and return the exit status."""
    if find_spec("uv") is None:
        subprocess.run([*PIP, "install", "--quiet", "-c", "constraints.txt", "uv"], check=False)
        invalidate_caches()
    try:
        variables = uv_variables(pip_settings(list_pip_settings()))
    except ValueError as error:
        print(f"{error}: pip installs, which takes longer.", file=sys.stderr)
    else:
        # On the disk of the environment, so that files are linked and not copied.
        with tempfile.TemporaryDirectory(prefix=".uv-cache-", dir=sys.prefix, ignore_cleanup_errors=True) as cache:
            uv = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", sys.executable, *arguments]
            environment = {"UV_CACHE_DIR": cache, **variables, **os.environ, "UV_PYTHON_DOWNLOADS": "never"}
            if find_spec("uv") and subprocess.run(uv, env=environment, check=False).returncode == 0:
                return 0
        print("uv could not install this; pip does it, which takes longer.", file=sys.stderr)
    return subprocess.run([*PIP, "install", "--quiet", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:]))
