"""The calls of the client about training and the model versions that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from TumorLoopLib.client.caller import DEFAULT_MODEL, Caller, json_body, quoted


class TrainingCalls(Caller):
    """Training and model versions; a part of :class:`~TumorLoopLib.client.client.TumorLoopClient`."""

    def training_plan(self, model: str = DEFAULT_MODEL) -> dict[str, Any]:
        """Tell what a training would start from and learn.

        Returns:
            ``parent``: the version it would start from; ``new``: labeled cases which neither that version nor its
            ancestors have seen, ``cases``: their ids; ``total``: all labeled cases; ``max_epochs``: how long it would
            be; ``expected_seconds``: for so many epochs, judged by the last training, and ``seconds_per_epoch``;
            both None when there was none.
        """
        return self._object("GET", f"/train/{quoted(model)}/plan")

    def train(self, model: str = DEFAULT_MODEL, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Start a training, for example with ``{"max_epochs": 2}``; it runs on while this returns."""
        return self._object("POST", f"/train/{quoted(model)}", body=json_body({**self._who(), **(params or {})}))

    def train_status(self) -> dict[str, Any] | None:
        """Return the last training's task (``status``: RUNNING, DONE, ERROR, STOPPED ...); None if there was none."""
        return self._known(lambda: self._object("GET", "/train/"))

    def train_stats(self, model: str = DEFAULT_MODEL) -> dict[str, Any]:
        """Return the live numbers of a training: epoch, total_epochs, train, eval, eta, message ..."""
        stats = self._object("GET", "/info/").get("train_stats") or {}
        return dict(stats.get(model) or {})

    def stop_training(self) -> dict[str, Any] | None:
        """Stop the running training; return its task, or None when nothing was running."""
        return self._json("DELETE", "/train/")

    def versions(self) -> list[dict[str, Any]]:
        """Return the model versions, with their cards and which one is current."""
        return self._list("GET", "/versions", "versions")

    def promote(self, version: str) -> dict[str, Any]:
        """Make ``version`` the one that is served."""
        return self._object("POST", f"/versions/{quoted(version)}/promote", body=json_body(self._who()))

    def rollback(self) -> dict[str, Any]:
        """Go back to the version that was served before the last promotion."""
        return self._object("POST", "/versions/rollback", body=json_body(self._who()))
