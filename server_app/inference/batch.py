"""Segmenting many cases one after the other; MONAI Label's own task divides by the number of GPUs, even if it is zero.

Afterwards the served model's uncertainty of each case is known, by which the next one to label is chosen
(:mod:`server_app.cases.next_case`). Existing segmentations are not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from server_app.cases.datastore import CaseDatastore
from server_app.cases.scores import Scores

logger = logging.getLogger(__name__)


class BatchInference(BatchInferTask):
    """Stores the model's segmentations of many cases as labels; called in MONAI Label's subprocess.

    Args:
        scores: The served model's uncertainties.
    """

    def __init__(self, scores: Scores) -> None:
        self._scores = scores

    def __call__(
        self,
        request: dict[str, Any],
        datastore: CaseDatastore,
        infer: Callable[[dict[str, Any], CaseDatastore], dict[str, Any]],
    ) -> dict[str, Any]:
        """Segment the cases.

        Args:
            request: ``images`` is ``all``, ``labeled``, ``unlabeled`` or a list of ids; ``max_batch_size`` the most
                cases to segment; ``label_tag`` the tag of the stored labels; ``save_label`` is false to store none
                and only compute the uncertainty.
            datastore: The app's.
            infer: The app's.

        Returns:
            By case: the label's id and facts; ``error``; or ``skipped``, why it was not computed.
        """
        cases = sorted(self.get_images(request, datastore))
        tag = str(request.get("label_tag") or DefaultLabelTag.ORIGINAL.value)
        store = request.get("save_label") is not False
        results: dict[str, Any] = self._done(cases, datastore, tag if store else None)
        cases = [case for case in cases if case not in results]
        cases = cases[: int(request.get("max_batch_size") or len(cases))]
        for number, case in enumerate(cases, start=1):
            logger.info("%d of %d: %s", number, len(cases), case)
            try:
                # The maps of a batch are never fetched, and would displace others.
                facts = {"image": case, "save_label": store, "label_tag": tag, "output_maps": False}
                answer = infer({**request, **facts}, datastore)
                Path(answer.pop("file")).unlink(missing_ok=True)
                results[case] = answer
            except HTTPException as error:
                logger.warning("%s: %s", case, error.detail)
                results[case] = {"error": error.detail}
        return results

    def _done(self, cases: list[str], datastore: CaseDatastore, tag: str | None) -> dict[str, Any]:
        """Return the cases that the served model has segmented; with a tag, those of which that is the newest label."""
        known = set(datastore.list_images()).intersection(cases)
        version, scores = self._scores.of(datastore.labels.predictions, known)
        found: dict[str, Any] = {}
        for case, value in sorted(scores.items()):
            label = datastore.labels.store.newest(case, tag) if tag is not None else None
            made = (label.record.get("source"), label.record.get("model_version")) if label is not None else None
            if tag is None or made == ("model", version):
                facts = {"model_version": version, "uncertainty": value}
                found[case] = {"label": case, "tag": tag, "params": facts, "skipped": f"{version} has segmented it."}
        return found
