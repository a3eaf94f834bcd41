"""The infer task: hands a case to the inference process and says what came of it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from server_app.datastore import order_of
from server_app.errors import input_errors
from server_app.uploads import whole_case
from server_app.worker import InferenceWorker
from server_app.worker_child import SegmentJob
from server_app.workspace import Workspace
from training.cases import Case, case_from_folder
from training.errors import InputError
from training.export import EXPORT_ENDINGS
from training.labels import LABEL_NAMES
from training.modalities import ROLES


class GliomaSegmentation(InferTask):
    """Segmentation of gliomas in four modalities.

    Args:
        worker: Computes.
        workspace: Where results lie until they are sent.
    """

    def __init__(self, worker: InferenceWorker, workspace: Workspace) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LABEL_NAMES),
            dimension=3,
            description="Glioma in T1, T1 with contrast, T2 and FLAIR: necrotic core, edema, enhancing tumor",
            config={"result_extension": list(EXPORT_ENDINGS), "reference": ["t1ce", "t1", "t2", "flair"]},
        )
        self._worker = worker
        self._workspace = workspace

    def is_valid(self) -> bool:
        """Return ``True``: the task is always offered; a missing model is told when it is used."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Segment one case.

        Args:
            request: ``image`` is a path (a folder of four files, or a 4D file) unless ``case`` holds a
                :class:`training.cases.Case`; ``result_extension`` and ``reference`` choose the form of the result;
                ``answer`` is a second place for it.

        Returns:
            The labelmap's file, which the caller removes, and ``label_names``, ``volumes_ml``, ``model_version``,
            ``seconds``, ``warnings``.

        Raises:
            HTTPException: 422 if the input cannot be used, 503 or 504 if the computation failed.
        """
        with input_errors():
            case = request.get("case") or case_at(Path(request["image"]), request)
            ending = _choice(request, "result_extension", EXPORT_ENDINGS)
            reference = _choice(request, "reference", ("t1ce", *ROLES))
            result = self._workspace.incoming / f"{case.id}-{uuid.uuid4().hex[:8]}{ending}"
            job = SegmentJob(self._worker.models, self._worker.bundled, case, reference, result, request.get("answer"))
            facts = self._worker.segment(job)
        return str(result), {"label_names": dict(LABEL_NAMES), "reference": reference, **facts}


def case_at(path: Path, params: dict[str, Any]) -> Case:
    """Make a case of what was sent: a folder of four files, or one 4D file.

    Raises:
        InputError: If a modality is missing or claimed twice; names the files.
    """
    return case_from_folder(path) if path.is_dir() else whole_case(path, order_of(params))


def _choice(request: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    """Return a request's value; the first known one where it says nothing, or sends the whole list back."""
    value = request.get(name) or known[0]
    if isinstance(value, list | tuple):
        return known[0]
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(dict.fromkeys(known))}, not {value!r}.", field=name)
    return str(value)
