"""The configuration of logging: plain text, or one JSON object per line.

MONAI Label's loggers and the files that its ``/logs`` shows stay as they are; only the format of the lines and the
request's id in them are ours.
"""

from __future__ import annotations

import json
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class LogFormat(str, Enum):
    """The format of a log line: plain text, or a JSON object."""

    text = "text"
    json = "json"


_TEXT = "[%(asctime)s] [%(process)s] [%(levelname)s] [%(request_id)s] (%(name)s) - %(message)s"
_JSON = "%(levelname)s %(name)s %(message)s %(process)d %(request_id)s"


def log_config(folder: Path, level: str, form: LogFormat = LogFormat.text) -> dict[str, Any]:
    """Return the configuration for :func:`logging.config.dictConfig`.

    Args:
        folder: The app's folder; ``logs/app.log`` below it is written, and rotated when it is large.
        level: Of the lines that are logged.
        form: Of the lines.
    """
    spec = find_spec("monailabel")
    assert spec is not None
    assert spec.origin is not None
    config_text = (Path(spec.origin).parent / "logging.json").read_text(encoding="utf-8")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = json.loads(config_text)
    config["root"]["level"] = level
    for handler in config["handlers"].values():
        if "filename" in handler:
            handler["filename"] = str(folder / "logs" / "app.log")
    config["filters"] = {"request_id": {"()": "server_app.operations.logs.RequestIdFilter"}}
    for name in config["formatters"]:
        config["formatters"][name] = _formatter(name, form)
    for handler in config["handlers"].values():
        handler["filters"] = ["request_id"]
    return config


def _formatter(name: str, form: LogFormat) -> dict[str, Any]:
    if form is LogFormat.json:
        return {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": _JSON,
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": "time",
        }
    # The lines of a training run's process are formatted already.
    return {"format": "%(message)s" if name == "single" else _TEXT}


class RequestIdFilter:
    """Adds the id of the current request to each log line."""

    def filter(self, record: Any) -> bool:
        """Set ``request_id``; every line is logged."""
        from server_app.common.request_id import current

        record.request_id = current() or "-"
        return True
