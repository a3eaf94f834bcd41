"""Segmenting many cases one after the other; MONAI Label's own task divides by the number of GPUs, also by none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from server_app.datastore import CaseDatastore

logger = logging.getLogger(__name__)


class BatchInference(BatchInferTask):
    """Stores the model's answer for many cases as labels; called in MONAI Label's subprocess."""

    def __call__(
        self,
        request: dict[str, Any],
        datastore: CaseDatastore,
        infer: Callable[[dict[str, Any], CaseDatastore], dict[str, Any]],
    ) -> dict[str, Any]:
        """Segment the cases.

        Args:
            request: ``images`` is ``all``, ``labeled``, ``unlabeled`` or a list of ids; ``max_batch_size`` the most
                cases; ``label_tag`` the tag of the stored answers.
            datastore: Of the app.
            infer: The app's.

        Returns:
            By case: the label's id and facts, or ``error``.
        """
        cases = sorted(self.get_images(request, datastore))
        cases = cases[: int(request.get("max_batch_size") or len(cases))]
        tag = str(request.get("label_tag") or DefaultLabelTag.ORIGINAL.value)
        results: dict[str, Any] = {}
        for number, case in enumerate(cases, start=1):
            logger.info("%d of %d: %s", number, len(cases), case)
            try:
                # Nobody fetches the maps of a batch; they would push out those that somebody waits for.
                facts = {"image": case, "save_label": True, "label_tag": tag, "output_maps": False}
                answer = infer({**request, **facts}, datastore)
                Path(answer.pop("file")).unlink(missing_ok=True)
                results[case] = answer
            except HTTPException as error:
                logger.warning("%s: %s", case, error.detail)
                results[case] = {"error": error.detail}
        return results
