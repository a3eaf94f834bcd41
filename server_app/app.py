"""The TumorLoop app, as MONAI Label loads it.

It is built twice: in the web process, and in each training subprocess. So nothing is started and no weights are
loaded before :meth:`TumorLoopApp.on_init_complete`, which only the web process calls.

What may reach the infer task is decided in :meth:`TumorLoopApp.infer` alone: a case of the datastore, a session's
files, or a file of this very request. MONAI Label would take any path of the server.
"""

from __future__ import annotations

import copy
import logging
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from monailabel.config import settings as monai_settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from server_app import description
from server_app.cases.datastore import CaseDatastore
from server_app.cases.next_case import First, Random, UncertaintySampling, propose
from server_app.cases.scores import Scores
from server_app.common.params import flag, user_of
from server_app.errors import input_errors, refusal, unknown
from server_app.inference.batch import BatchInference
from server_app.inference.jobs import Jobs
from server_app.inference.maps import MapStore
from server_app.inference.queue import Ticket
from server_app.inference.results import Results
from server_app.inference.sessions import CheckedSessions
from server_app.inference.task import GliomaSegmentation
from server_app.inference.worker import InferenceWorker
from server_app.integrity.recovery import recover
from server_app.labels.answers import SESSION_ANSWER, Answers
from server_app.operations.overview import Overview
from server_app.operations.run_record import RunRecord
from server_app.retraining.task import Retraining
from server_app.retraining.trainings import Trainings, stop_task
from server_app.settings import ServerSettings
from server_app.spawning import close_before_signals
from server_app.workspace import Workspace
from training import __version__
from training.cases.case import Case
from training.models.store import ModelStore

logger = logging.getLogger(__name__)

#: The name of the model and of its trainer.
MODEL = "tumorloop"


class TumorLoopApp(MONAILabelApp):
    """Glioma segmentation that learns from corrections.

    Args:
        app_dir: The folder MONAI Label was started with; not written to by the app.
        studies: The folder of cases; only read.
        conf: Values of ``--conf``; see :class:`server_app.settings.ServerSettings`.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.server_settings = ServerSettings.from_conf(conf or {})
        self.workspace = Workspace.for_studies(Path(studies), self.server_settings.workspace).make()
        self.models = ModelStore(self.workspace.models, self.server_settings.model)
        self.maps = MapStore(self.workspace.maps)
        self.worker = InferenceWorker(
            self.workspace.models, self.server_settings.model, monai_settings.MONAI_LABEL_INFER_TIMEOUT
        )
        self.jobs = Jobs(self.worker)
        self.scores = Scores(self.models)
        self.results = Results(self.workspace.cache / "results" if self.server_settings.reuse_results else None)
        self.record = RunRecord(self.workspace.run_record)
        self.overview = Overview(self, self.record)
        self.trainings = Trainings(self)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="TumorLoop",
            description="Segment gliomas, correct them, retrain, get a better model",
            version=__version__,
        )

    # === Parts, as MONAI Label asks for them ===

    def init_datastore(self) -> CaseDatastore:
        """Return the datastore over the studies."""
        own = self.server_settings
        return CaseDatastore(
            Path(self.studies).resolve(),
            self.workspace,
            source_labels=own.source_labels,
            follow_links=own.follow_links,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Return the one infer task."""
        return {MODEL: GliomaSegmentation(self.worker, self.workspace, self.maps, self.results)}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return the one train task."""
        return {MODEL: Retraining(MODEL, self.workspace, self.server_settings)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the ways to choose the next case."""
        return {"first": First(), "random": Random(), "uncertainty": UncertaintySampling(self.scores)}

    def init_batch_infer(self) -> BatchInference:
        """Return the task that segments many cases."""
        return BatchInference(self.scores)

    def _load_sessions(self, load: bool = False) -> CheckedSessions | None:
        if not load:
            return None
        path = monai_settings.MONAI_LABEL_SESSION_PATH or str(self.workspace.sessions)
        return CheckedSessions(path, monai_settings.MONAI_LABEL_SESSION_EXPIRY)

    def on_init_complete(self) -> None:
        """Begin to serve: add the routes, warm the worker up, and clean up after the last run."""
        from monailabel.app import app as web

        from server_app import asgi

        self.record.begin()
        for leftover in self.workspace.incoming.iterdir():
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        if recover(self.workspace, self.models):
            self.datastore().refresh()
        self.maps.prune()
        self.results.prune()
        self.add_routes()
        self.trainings.install()
        asgi.surround(web)
        super().on_init_complete()
        if self.server_settings.warm_up:
            self.worker.warm_up()
        if self.server_settings.resume_trainings:
            self.trainings.resume_all()
        close_before_signals(self.close)
        # Labels are checked in threads beside the one that answers; it must not wait 5 ms for each of its steps.
        sys.setswitchinterval(0.0005)
        logger.info("Workspace: %s", self.workspace.root)

    def add_routes(self) -> None:
        """Put the server's routes before MONAI Label's."""
        from server_app.api import cases as routes
        from server_app.api import logs_and_batches as other_routes
        from server_app.api import operations, stock_reads
        from server_app.api import stock_inference as stock_routes

        stock_reads.install()
        stock_routes.install(self)
        other_routes.install(self)
        routes.install(self)
        operations.install(self)

    def close(self) -> None:
        """End the worker, and a training or a batch under way; all of them leave everything consistent."""
        with ExitStack() as ending:  # from the last to the first; each is done whatever happens to the others
            ending.callback(self.record.end)
            ending.callback(self.worker.close)
            ending.callback(stop_task, "batch_infer")
            ending.callback(self.trainings.close)

    # === What clients ask for ===

    def datastore(self) -> CaseDatastore:
        """Return the datastore."""
        return self._datastore

    def info(self) -> dict[str, Any]:
        """Describe the app: MONAI Label's keys, what clients must know of labels and model, and the server's state."""
        return {**super().info(), **description.of(self.models), "server": self.overview.info()}

    def trainer(self, name: str) -> Retraining:
        """Return a train task.

        Raises:
            HTTPException: 404 if there is none of that name.
        """
        task = self._trainers.get(name)
        if not isinstance(task, Retraining):
            raise unknown("model", f"There is no model {name[:80]!r} to train. Known: {', '.join(self._trainers)}.")
        return task

    def trainer_names(self) -> list[str]:
        """Return the names of the train tasks."""
        return list(self._trainers)

    def require_model(self, name: Any) -> InferTask:
        """Return an infer task.

        Raises:
            HTTPException: 404 if there is none of that name.
        """
        task = self._infers.get(name) if isinstance(name, str) else None
        if task is None:
            raise unknown("model", f"There is no model {str(name)[:80]!r}. Known: {', '.join(self._infers)}.")
        return task

    def infer(
        self,
        request: dict[str, Any],
        datastore: CaseDatastore | None = None,
        *,
        ticket: Ticket | None = None,
        answers: Answers | None = None,
    ) -> dict[str, Any]:
        """Run one inference.

        Args:
            request: ``model``, ``image`` (a case's id, or a path inside a session or of this request) and the
                parameters of :class:`server_app.inference.task.GliomaSegmentation`; ``save_label`` stores the result.
            datastore: Instead of the app's own.
            ticket: To follow and cancel the computation by.
            answers: Where to remember the answer for files that are no case of the datastore.

        Returns:
            ``label``, ``tag``, ``file`` and ``params``, as MONAI Label's endpoint expects them.

        Raises:
            HTTPException: 404 for an unknown model or image, 422 for unusable input, 499 if it was cancelled, 503 and
                504 on failures.
        """
        task = self.require_model(request.get("model"))
        store = datastore or self.datastore()
        image = request.get("image")
        request = {**copy.deepcopy(request), "description": task.description, "ticket": ticket}
        request["save_label"] = request.get("save_label") in (True, "true")
        case = None if self._is_own_file(image) else self._case_of(request, store)
        if case is not None:
            answers = store.labels.answers
            request.update(case=case, image=str(case.folder or ""))
        name = case.id if case is not None else SESSION_ANSWER
        request["answer"] = answers.path(name) if answers is not None else None
        file, params = task(request)
        label = file
        try:
            if answers is not None:
                answers.remember(name, params["model_version"], params["uncertainty"], params["weights_sha256"])
            if case is not None and file is not None and request["save_label"]:
                label = self._save_answer(case, file, params["model_version"], request, store)
        except BaseException:
            Path(file or "").unlink(missing_ok=True)
            raise
        return {"label": label, "tag": DefaultLabelTag.ORIGINAL, "file": file, "params": params}

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train; in MONAI Label's training subprocess."""
        return self.trainer(str(request.get("model") or MODEL))(request, self.datastore())

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Choose the next case to label; empty if all are labeled, or claimed by others.

        Args:
            request: ``strategy``; ``client_id`` is who asks; ``claim`` claims the case for them at once; ``after`` is
                the case they have open, to go on from there.

        Raises:
            HTTPException: 404 for an unknown strategy, 422 for a claim by nobody.
        """
        return propose(self._strategies, request, self.datastore(), self.server_settings.claim_minutes)

    # === Parts ===

    def _case_of(self, request: dict[str, Any], store: CaseDatastore) -> Case:
        """Return the case of the datastore that an inference asks for."""
        with input_errors():
            allow_missing = flag(request, "allow_missing")
        case = store.case(str(request.get("image") or ""), allow_missing=allow_missing)
        if case.missing and request["save_label"]:
            raise refusal(422, "save_label", f"Case {case.id} is short of modalities; it can hold no labels.")
        return case

    def _save_answer(self, case: Case, file: str, version: str, request: dict[str, Any], store: CaseDatastore) -> str:
        """Store the model's answer as a label; return its id."""
        facts = {"model_version": version, "source": "model", "comment": "the model's answer", "allow_empty": True}
        facts["client_id"] = user_of(request)
        tag = str(request.get("label_tag") or DefaultLabelTag.ORIGINAL.value)
        return store.save_label(case.id, file, tag, facts)

    def _is_own_file(self, image: Any) -> bool:
        """Whether an image is a path that the server itself made: in a session, or of this request."""
        if not isinstance(image, str) or not os.path.isabs(image):
            return False
        real = Path(os.path.realpath(image))
        roots = [self.workspace.incoming, *([Path(self._sessions.store_path)] if self._sessions is not None else [])]
        return real.exists() and any(root.resolve() in real.parents for root in roots)
