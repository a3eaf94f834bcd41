"""MONAI Label's remaining routes that fail on unexpected input, replaced: logs, the GPU's state, batches.

Same paths and parameters; the log is always plain text, because MONAI Label's page for it loads scripts from elsewhere.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from monailabel.config import settings
from monailabel.endpoints import batch_infer
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType

from server_app.api.dependencies import Router, Settings, with_user
from server_app.api.upload_route import UploadRoute
from server_app.common.params import flag
from server_app.errors import input_errors, refusal, unknown
from server_app.inference.request import InferenceOptions
from server_app.services import Services
from training.errors import InputError

#: Maximum number of log lines in one response.
MAX_LINES = 10_000
#: The parameters of a batch. MONAI Label passes its request on to a subprocess's environment, so nothing else gets in.
_BATCH = frozenset(
    {
        "images",
        "max_batch_size",
        "label_tag",
        "save_label",
        "reference",
        "allow_missing",
        "allow_whole_head",
        "as_scanned",
        "force",
        "client_id",
    }
)
#: What MONAI Label's clients send along; ignored. The form of results does not matter: a batch stores labels, all of
#: which have one form, and sends none.
_DROPPED = frozenset(
    {"device", "multi_gpu", "gpus", "logging", "max_workers", "result_extension", "result_dtype", "result_compress"}
)


def routers(services: Services) -> list[APIRouter]:
    """Return these routes."""
    return [_logs(), _batches(services), _checks(services)]


def _logs() -> APIRouter:
    router = Router(prefix="/logs", tags=["Others"])

    @router.get("/", response_class=PlainTextResponse)
    def show(lines: Annotated[int, Query(ge=1, le=MAX_LINES)] = 300) -> str:
        """Return the last lines of the server's log."""
        log = Path(settings.MONAI_LABEL_APP_DIR) / "logs" / "app.log"
        try:
            with open(log, encoding="utf-8", errors="replace") as content:
                return "".join(deque(content, lines))
        except OSError:
            raise unknown("logs", "The server keeps no log file here.") from None

    @router.get("/gpu", response_class=PlainTextResponse)
    def gpu() -> str:
        """Return the output of ``nvidia-smi``."""
        program = shutil.which("nvidia-smi")
        if program is None:
            raise unknown("gpu", "This machine has no nvidia-smi, so probably no NVIDIA GPU.")
        try:
            return subprocess.run([program], capture_output=True, text=True, timeout=20, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            raise refusal(503, "gpu", "nvidia-smi does not answer.") from None

    return router


def _batches(services: Services) -> APIRouter:
    router = Router(prefix="/batch", tags=["Infer"], route_class=UploadRoute)

    @router.post("/infer/{model}")
    def run(
        model: str,
        images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
        params: Settings = None,
        run_sync: bool = False,
    ) -> dict[str, Any]:
        """Segment many cases and store the segmentations as labels; without ``save_label``, only their uncertainty."""
        services.require_model(model)
        with input_errors():
            chosen = batch_params(params or {})
            flag(chosen, "save_label")
            InferenceOptions.parse(params or {})
        return dict(batch_infer.run(model, images, with_user(chosen), run_sync))

    return router


def batch_params(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a batch that are passed on.

    Raises:
        InputError: Naming the first one that a batch does not have, or ``max_batch_size`` if it is not a number of
            cases.
    """
    for name in params:
        if name not in _BATCH | _DROPPED:
            known = ", ".join(sorted(_BATCH))
            raise InputError(f"A batch has no parameter {name[:80]!r}. It takes {known}.", field=name[:80])
    most = params.get("max_batch_size")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
        raise InputError(
            f"max_batch_size is the maximum number of cases to segment, 0 for all; it is {str(most)[:40]!r}.",
            field="max_batch_size",
        )
    return {name: value for name, value in params.items() if name in _BATCH}


def _checks(services: Services) -> APIRouter:
    router = Router(tags=["Datastore"])

    @router.head("/datastore/image")
    def check_image(image: str, check_sum: str | None = None) -> dict[str, Any]:
        """Return 200 if a case exists, and its display volume has the checksum (SHA-256), if one is given."""
        kind, _, digest = (check_sum or "").rpartition(":")
        if kind not in ("", "SHA256"):
            raise refusal(422, "check_sum", "Only SHA256 is known here.")
        path = Path(services.datastore.get_image_uri(image))
        if digest and services.datastore.catalog.checksum(path) != f"SHA256:{digest.lower()}":
            raise unknown("image", "The image is another one (its checksum differs).")
        return {}

    return router
