"""The infer task: hands a case to the inference process and says what came of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from server_app.cases.datastore import order_of
from server_app.cases.uploads import whole_case
from server_app.common.params import flag
from server_app.common.removal_lock import stamp_of, while_present
from server_app.errors import input_errors
from server_app.inference.maps import MapStore
from server_app.inference.queue import Ticket
from server_app.inference.results import Results
from server_app.inference.worker import InferenceWorker
from server_app.inference.worker_child import SegmentJob
from server_app.workspace import Workspace
from training.cases.case import Case
from training.cases.find import case_from_folder
from training.errors import InputError
from training.images.write import EXPORT_ENDINGS
from training.labels import LABEL_NAMES
from training.modalities import REFERENCE_ORDER


class GliomaSegmentation(InferTask):
    """Segmentation of gliomas in four modalities.

    Args:
        worker: Computes.
        workspace: Where results lie until they are sent.
        maps: Where maps lie until they are fetched.
        results: Of earlier inferences; the same question is not computed twice.
    """

    def __init__(self, worker: InferenceWorker, workspace: Workspace, maps: MapStore, results: Results) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LABEL_NAMES),
            dimension=3,
            description="Glioma in T1, T1 with contrast, T2 and FLAIR: necrotic core, edema, enhancing tumor",
            config={
                "result_extension": list(EXPORT_ENDINGS),
                "reference": list(REFERENCE_ORDER),
                "allow_missing": False,
                "output_maps": False,
            },
        )
        self._worker = worker
        self._workspace = workspace
        self._maps = maps
        self._results = results

    def is_valid(self) -> bool:
        """Return ``True``: the task is always offered; a missing model is told when it is used."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Segment one case.

        Args:
            request: ``image`` is a path (a folder of four files, or a 4D file) unless ``case`` holds a
                :class:`training.cases.case.Case`; ``result_extension`` and ``reference`` choose the form of the result;
                ``answer`` is a second place for it. ``allow_missing`` takes a case short of modalities,
                ``output_maps`` makes maps of how sure the model is. ``ticket`` is what to follow and cancel it by.

        Returns:
            The labelmap's file, which the caller removes, and ``label_names``, ``reference``, ``volumes_ml``,
            ``model_version``, ``seconds``, ``warnings``, ``missing`` (roles), ``uncertainty`` (0 is sure, 1 is not) and
            ``maps`` (name to address); ``reused`` if it is the result of an earlier inference of the same images by the
            same model.

        Raises:
            HTTPException: 404 if the case was removed meanwhile, 422 if the input cannot be used, 499 if it was
                cancelled, 503 or 504 if the computation failed. Nothing is left of what was
                computed, and an earlier answer stays.
        """
        with input_errors(), self._scratch() as scratch:
            case = request.get("case") or case_at(Path(request["image"]), request)
            ending = _choice(request, "result_extension", EXPORT_ENDINGS)
            reference = _choice(request, "reference", REFERENCE_ORDER)
            mark = stamp_of(self._workspace, case)
            allow_missing, with_maps = flag(request, "allow_missing"), flag(request, "output_maps")
            result = scratch / f"{case.id}-{uuid.uuid4().hex[:8]}{ending or EXPORT_ENDINGS[0]}"
            answer = request.get("answer")
            with self._maps.new_folder() if with_maps else nullcontext() as folder:
                job = SegmentJob(
                    models=self._worker.models,
                    bundled=self._worker.bundled,
                    case=case,
                    reference=reference,
                    result=result,
                    answer=scratch / answer.name if answer is not None else None,
                    allow_missing=allow_missing,
                    maps=folder,
                )
                facts = self._segment(job, request.get("ticket"))
            if job.answer is not None and answer is not None:
                with while_present(self._workspace, case, mark):
                    answer.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(job.answer, answer)
            place = self._workspace.incoming / result.name
            os.replace(result, place)
        maps = self._maps.addresses(folder, facts["maps"]) if folder is not None else {}
        return str(place), {"label_names": dict(LABEL_NAMES), **facts, "maps": maps}

    def _segment(self, job: SegmentJob, ticket: Ticket | None) -> dict[str, Any]:
        key = self._results.key(job)
        facts = self._results.find(key, job)
        if facts is not None:
            self._worker.reused(ticket)
            return facts
        # Asked again when its turn has come: the one before it may have been the same question.
        return self._worker.segment(
            job,
            ticket,
            find=lambda: self._results.find(key, job),
            keep=lambda computed: self._results.keep(key, job, computed),
        )

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """Yield a folder for what the process writes: one that is killed while writing leaves pieces behind."""
        folder = Path(tempfile.mkdtemp(prefix="inference-", dir=self._workspace.incoming))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def case_at(path: Path, params: Mapping[str, Any]) -> Case:
    """Make a case of what was sent: a folder of four files, or one 4D file.

    Args:
        path: Of the folder or file.
        params: ``order`` and ``allow_missing`` of the request.

    Raises:
        InputError: If a modality is missing (and not allowed to be) or claimed twice; names the files.
    """
    allow_missing = flag(params, "allow_missing")
    if not path.is_dir():
        return whole_case(path, order_of(params), allow_missing=allow_missing)
    try:
        return case_from_folder(path, allow_missing=allow_missing)
    except InputError as error:  # the folder's name is the server's, and tells a client nothing
        raise InputError(error.message.removeprefix(f"{path}: "), field=error.field) from error


def _choice(request: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    """Return a request's value; ``None`` where it says nothing, or sends the whole list back."""
    value = request.get(name)
    if not value or isinstance(value, list | tuple):
        return None
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}.", field=name)
    return str(value)
