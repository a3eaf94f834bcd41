"""Calls of the client for training and model versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from TumorLoopLib.client.caller import DEFAULT_MODEL, Caller, PathLike, json_body, quoted

#: ``mode`` of a training run that fits the model to the site's scanners, without labels.
SITE = "site"


class TrainingCalls(Caller):
    """Training and model versions; a part of :class:`~TumorLoopLib.client.client.TumorLoopClient`."""

    def training_plan(self, model: str = DEFAULT_MODEL) -> dict[str, Any]:
        """Return what a training run would start from and learn.

        Returns:
            ``parent``: the version it would start from; ``new``: number of labeled cases that neither that version
            nor its ancestors were trained on, ``cases``: their ids; ``total``: all labeled cases; ``max_epochs``: its
            length; ``expected_seconds`` for that many epochs and ``seconds_per_epoch``, estimated from the last
            training and None without one; ``site``: how many cases a run with mode ``site`` needs (``needed``).
        """
        return self._object("GET", f"/train/{quoted(model)}/plan")

    def train(self, model: str = DEFAULT_MODEL, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Start a training run, for example with ``{"max_epochs": 2}`` or ``{"mode": "site"}``; returns at once."""
        return self._object("POST", f"/train/{quoted(model)}", body=json_body({**self._identity(), **(params or {})}))

    def train_status(self) -> dict[str, Any] | None:
        """Return the last training's task (``status``: RUNNING, DONE, ERROR, STOPPED ...); None without one."""
        return self._none_if_unknown(lambda: self._object("GET", "/train/"))

    def train_stats(self, model: str = DEFAULT_MODEL) -> dict[str, Any]:
        """Return the current numbers of a training run: epoch, total_epochs, train, eval, eta, message ..."""
        stats = self._object("GET", "/info/").get("train_stats") or {}
        return dict(stats.get(model) or {})

    def stop_training(self) -> dict[str, Any] | None:
        """Stop the running training; return its task, or None if none was running."""
        return self._json("DELETE", "/train/")

    def versions(self) -> list[dict[str, Any]]:
        """Return the model versions with their cards, and which one is current."""
        return self._list("GET", "/versions", "versions")

    def version_picture(self, version: str, name: str, folder: PathLike) -> Path:
        """Save a picture that the card of a version names, such as ``before.png``, in ``folder``."""
        target = f"/versions/{quoted(version)}/pictures/{quoted(name)}"
        return self._file(target, folder, f"{version}-{name.partition('.')[0]}", None, None, ending=".png")

    def promote(self, version: str) -> dict[str, Any]:
        """Serve ``version`` from now on."""
        return self._object("POST", f"/versions/{quoted(version)}/promote", body=json_body(self._identity()))

    def rollback(self) -> dict[str, Any]:
        """Go back to the version that was served before the last promotion."""
        return self._object("POST", "/versions/rollback", body=json_body(self._identity()))
