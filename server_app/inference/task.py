"""The infer task: has a case computed by the inference process and stores what is to be kept of the result."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from server_app.cases.case_ids import images_digest
from server_app.cases.preprocessed import preprocessed_case, record_of
from server_app.cases.submissions import Submissions
from server_app.common.removal_lock import Stamp, stamp_of, while_present
from server_app.errors import input_errors
from server_app.inference.maps import MapStore
from server_app.inference.preprocessed_cache import PreprocessedCache
from server_app.inference.request import InferenceRequest
from server_app.inference.results import Results
from server_app.inference.worker import InferenceWorker
from server_app.inference.worker_child import PreprocessJob, SegmentJob
from server_app.labels.submission import Submission
from server_app.workspace import Workspace
from training.cases.case import Case
from training.clock import now
from training.images.write import EXPORT_ENDINGS, LABELMAP_DTYPES
from training.labels import LABEL_NAMES
from training.modalities import REFERENCE_ORDER
from training.spans import add_spans


def _preprocess_job(request: InferenceRequest, scratch: Path) -> PreprocessJob | None:
    """Return how the volumes of a request are preprocessed; ``None`` if they need not be looked at."""
    chosen = request.options.preprocessing
    known = request.examined or request.record is not None
    if (request.record or {}).get("changed") or (known and not chosen.as_scanned):
        return None
    return PreprocessJob(
        request.case,
        scratch / "preprocessed",
        request.options.reference,
        chosen.as_scanned,
        chosen.force,
        request.brain,
        request.headers,
    )


def _must_be_written(request: InferenceRequest, job: SegmentJob) -> bool:
    """Return whether the files of a session are replaced in any case: those of a DICOM study, or with headers."""
    if request.keep is None or job.preprocess is None:
        return False
    return request.headers is not None or any(source.instances for source in request.case.sources.values())


@dataclass(frozen=True)
class InferenceResult:
    """What an inference gives.

    Attributes:
        file: The labelmap; the caller deletes it.
        params: ``label_names``, ``reference``, ``volumes_ml``, ``model_version``, ``engine``, ``seconds``,
            ``warnings``, ``missing`` (roles), ``expected_dice`` (by region), ``uncertainty`` (0 certain to 1) and
            ``maps`` (name to address); ``reused`` if an earlier inference of the same images by the same model had
            computed it; ``preprocessing``: what was done to the volumes before, or ``None``;
            ``answer_time`` if it is kept to compare a correction with, which may name it. The routes add ``ignored``:
            the names of parameters that mean nothing here.
        label: The id of the label it was stored as; ``None`` if it was not.
    """

    file: Path
    params: dict[str, Any]
    label: str | None = None

    def to_monai_label(self) -> dict[str, Any]:
        """Return it as MONAI Label's functions expect it."""
        label = self.label or str(self.file)
        return {"label": label, "tag": DefaultLabelTag.ORIGINAL, "file": str(self.file), "params": self.params}


class GliomaSegmentation(InferTask):
    """Segmentation of gliomas in four modalities.

    Args:
        worker: Computes.
        workspace: Holds results until they are sent.
        maps: Holds maps until they are fetched.
        results: Of earlier inferences; the same question is not computed twice.
        preprocessed: Raw cases of the studies folder that were preprocessed before.
        labels: Stores a prediction as a label.
    """

    def __init__(
        self,
        worker: InferenceWorker,
        workspace: Workspace,
        maps: MapStore,
        results: Results,
        labels: Submissions,
        preprocessed: PreprocessedCache,
    ) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LABEL_NAMES),
            dimension=3,
            description="Glioma in T1, T1 with contrast, T2 and FLAIR: necrotic core, edema, enhancing tumor",
            config={
                "result_extension": list(EXPORT_ENDINGS),
                "result_dtype": list(LABELMAP_DTYPES),
                "result_compress": True,
                "reference": list(REFERENCE_ORDER),
                "allow_missing": False,
                "allow_whole_head": False,
                "as_scanned": None,
                "force": False,
                "output_maps": False,
            },
        )
        self._worker = worker
        self._workspace = workspace
        self._maps = maps
        self._results = results
        self._labels = labels
        self._preprocessed = preprocessed

    def is_valid(self) -> bool:
        """Return ``True``: the task is always offered; a missing model is reported when it is used."""
        return True

    def __call__(self, request: InferenceRequest) -> InferenceResult:
        """Segment one case.

        Raises:
            HTTPException: 404 if the case was removed in the meantime, 422 if the input cannot be used, 499 if it was
                cancelled, 503 or 504 if the computation failed. Nothing that was computed is left behind then, and an
                earlier prediction stays.
        """
        with input_errors(), self._scratch() as scratch:
            stamp = stamp_of(self._workspace, request.case)
            images = images_digest(request.case) if request.predictions is not None else None
            result = scratch / f"{request.case.id}-{uuid.uuid4().hex[:8]}{request.options.ending}"
            answer = request.predictions.path(request.prediction_name) if request.predictions is not None else None
            with self._maps.new_folder() if request.options.output_maps else nullcontext() as folder:
                case, record = self._known(request, images)
                chosen = request.options.preprocessing
                job = SegmentJob(
                    models=self._worker.models,
                    bundled=self._worker.bundled,
                    engine=self._worker.engine,
                    case=case,
                    reference=request.options.reference,
                    result=result,
                    preprocess=_preprocess_job(request, scratch) if record is request.record else None,
                    record=record,
                    as_scanned=chosen.as_scanned,
                    force=chosen.force,
                    dtype=request.options.dtype,
                    compress=request.options.compress,
                    answer=scratch / answer.name if answer is not None else None,
                    allow_missing=request.options.allow_missing,
                    allow_whole_head=request.options.allow_whole_head,
                    maps=folder,
                )
                facts, images = self._segment_and_keep(request, job, images)
            if not facts.get("reused"):
                add_spans(facts.get("spans", {}))
            if job.answer is not None and answer is not None:
                with while_present(self._workspace, request.case, stamp):
                    if request.predictions is not None:
                        request.predictions.keep_earlier(request.prediction_name, facts["model_version"])
                    answer.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(job.answer, answer)
            file = self._workspace.incoming / result.name
            os.replace(result, file)
        maps = self._maps.addresses(folder, facts["maps"]) if folder is not None else {}
        try:
            facts = {**facts, **self._remember(request, facts, images)}
            label = self._keep(request, file, facts, stamp)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return InferenceResult(file, {"label_names": dict(LABEL_NAMES), **facts, "maps": maps}, label)

    def _known(self, request: InferenceRequest, images: str | None) -> tuple[Case, Mapping[str, Any] | None]:
        """Return the volumes to compute with and the record of their preprocessing: a raw case may be known."""
        if request.predictions is not None and request.keep is None and request.record is None:
            options = request.options
            folder = self._preprocessed.find(request.case, images, options.reference, options.preprocessing)
            if folder is not None:
                case = preprocessed_case(folder, id=request.case.id, allow_missing=options.allow_missing)
                return case, record_of(folder)
        return request.case, request.record

    def _segment_and_keep(
        self, request: InferenceRequest, job: SegmentJob, images: str | None
    ) -> tuple[dict[str, Any], str | None]:
        """Compute, and hand on what preprocessing has made of the volumes, even if the rest failed.

        Returns:
            The facts, and the hash of the images that are now those of the request.
        """
        made = job.preprocess.target if job.preprocess is not None else None
        replaced: str | None = None
        try:
            facts = self._segment(request, job, images)
        finally:
            if made is not None and record_of(made) is not None:
                if request.keep is not None:
                    replaced = images_digest(preprocessed_case(made, allow_missing=True))
                    request.keep(made)
                elif request.predictions is not None:
                    options = request.options
                    self._preprocessed.keep(made, request.case, images, options.reference, options.preprocessing)
        if request.keep is not None and made is not None and replaced is None and job.as_scanned is None:
            request.keep(None)
        return facts, replaced or images

    def _segment(self, request: InferenceRequest, job: SegmentJob, images: str | None) -> dict[str, Any]:
        key = None if _must_be_written(request, job) else self._results.key(job, images, request.case)

        def find() -> dict[str, Any] | None:
            facts = self._results.find(key, job)
            if facts is not None and facts["preprocessing"] is not None and request.keep is not None and job.preprocess:
                return None  # the session needs the preprocessed volumes, not only the result
            return facts

        facts = find()
        if facts is not None:
            self._worker.reused(request.ticket)
            return facts
        # Looked for again when its turn has come: the inference before it may have been the same question.
        return self._worker.segment(
            job,
            request.ticket,
            find=find,
            keep=lambda computed: self._results.keep(key, job, computed, request.case),
        )

    def _remember(self, request: InferenceRequest, facts: dict[str, Any], images: str | None) -> dict[str, str]:
        """Record which version made the prediction, and when; return the time, by which a correction refers to it."""
        if request.predictions is None:
            return {}
        version, time = facts["model_version"], now()
        request.predictions.remember(
            request.prediction_name, version, facts["uncertainty"], facts["weights_sha256"], images, time
        )
        return {"answer_time": time}

    def _keep(self, request: InferenceRequest, file: Path, facts: dict[str, Any], stamp: Stamp | None) -> str | None:
        """Store the prediction as a label if requested; return the label's id."""
        if not request.save_label:
            return None
        version = facts["model_version"]
        comment = "the model's segmentation"
        about = {"model_version": version, "source": "model", "comment": comment}
        about |= {"allow_empty": True, "allow_outside": True}
        with input_errors():
            submission = Submission.parse(request.options.label_tag, {**about, "client_id": request.options.user})
        return self._labels.submit(request.case, file, submission, stamp)[0].case

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """Yield a folder for what the process writes: one that is killed leaves incomplete files behind."""
        folder = Path(tempfile.mkdtemp(prefix="inference-", dir=self._workspace.incoming))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
