"""The parts of one server, built once: what the routes use, and what the app offers to MONAI Label."""

from __future__ import annotations

import logging
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from monailabel.config import settings as monai_settings

from server_app.cases.datastore import CaseDatastore
from server_app.cases.scores import Scores
from server_app.errors import refusal, unknown
from server_app.inference.jobs import Jobs
from server_app.inference.maps import MapStore
from server_app.inference.preprocessed_cache import PreprocessedCache
from server_app.inference.results import Results
from server_app.inference.sessions import CheckedSessions
from server_app.inference.task import GliomaSegmentation
from server_app.inference.worker import InferenceWorker
from server_app.integrity.recovery import recover
from server_app.operations.overview import Overview
from server_app.operations.run_record import RunRecord
from server_app.retraining.task import Retraining
from server_app.retraining.trainings import Trainings, stop_task
from server_app.settings import ServerSettings
from server_app.workspace import Workspace
from training.models.store import ModelStore

logger = logging.getLogger(__name__)

#: The name of the model and of its trainer.
MODEL = "tumorloop"


@dataclass(frozen=True)
class Services:
    """The parts; each is handed what it needs of the others.

    Attributes:
        settings: Of the server.
        workspace: Where everything is written.
        models: The model versions.
        datastore: Cases and labels.
        scores: How uncertain the served model is of each case.
        worker: The inference process.
        jobs: Inferences that can be watched and cancelled.
        maps: Maps of the last inferences.
        results: Results of the last inferences.
        preprocessed: Raw cases of the studies folder that were preprocessed.
        segmentation: Runs inferences.
        stored_sessions: Volumes sent for inference only; ``None`` if the server keeps none.
        trainings: Starts, queues and stops training runs.
        record: Of this run of the server.
        overview: The state of all this.
    """

    settings: ServerSettings
    workspace: Workspace
    models: ModelStore
    datastore: CaseDatastore
    scores: Scores
    worker: InferenceWorker
    jobs: Jobs
    maps: MapStore
    results: Results
    preprocessed: PreprocessedCache
    segmentation: GliomaSegmentation
    stored_sessions: CheckedSessions | None
    trainings: Trainings
    record: RunRecord
    overview: Overview

    @classmethod
    def build(cls, studies: Path, settings: ServerSettings) -> Services:
        """Build the parts; nothing is started, and no weights are loaded."""
        workspace = Workspace.for_studies(studies, settings.workspace).make()
        models = ModelStore(workspace.models, settings.model)
        datastore = CaseDatastore(
            studies.resolve(),
            workspace,
            source_labels=settings.source_labels,
            follow_links=settings.follow_links,
            patients=settings.patients,
            label_scheme=settings.label_scheme,
        )
        timeout = monai_settings.MONAI_LABEL_INFER_TIMEOUT
        worker = InferenceWorker(workspace.models, settings.model, timeout, settings.engine)
        maps = MapStore(workspace.maps)
        results = Results(workspace.cache / "results" if settings.reuse_results else None)
        preprocessed = PreprocessedCache(workspace.cache / "preprocessed")
        trains = monai_settings.MONAI_LABEL_TASKS_TRAIN
        trainers = {MODEL: Retraining(MODEL, workspace, settings)} if trains else {}
        trainings = Trainings(trainers, datastore.labels)
        record = RunRecord(workspace.run_record)
        return cls(
            settings=settings,
            workspace=workspace,
            models=models,
            datastore=datastore,
            scores=Scores(models),
            worker=worker,
            jobs=Jobs(worker),
            maps=maps,
            results=results,
            preprocessed=preprocessed,
            segmentation=GliomaSegmentation(worker, workspace, maps, results, datastore.labels, preprocessed),
            stored_sessions=_sessions(workspace),
            trainings=trainings,
            record=record,
            overview=Overview(workspace, models, worker, trainings, record, settings.limits.min_free_bytes),
        )

    def start(self) -> None:
        """Lock the workspace and recover from an earlier run; in the web process only."""
        self.record.begin()
        for leftover in self.workspace.incoming.iterdir():
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        if self.stored_sessions is not None:
            self.stored_sessions.remove_unexamined()
        if recover(self.workspace, self.models):
            self.datastore.refresh()
        for sentence in (self.models.settle_initial(in_use=self.workspace.in_use()), *self.models.not_offered()):
            if sentence:
                logger.info("%s", sentence)
        self.maps.prune()
        self.results.prune()
        self.preprocessed.prune()
        self.trainings.install()

    def resume(self) -> None:
        """Load the network, and continue a training run that was interrupted, as far as the settings say so."""
        if self.settings.warm_up:
            self.worker.warm_up()
        if self.settings.resume_trainings:
            self.trainings.resume_all()

    def close(self) -> None:
        """End the worker, and a training run or a batch in progress; all of them leave everything consistent."""
        with ExitStack() as closing:  # in reverse order; each is done even if another one fails
            closing.callback(self.record.end)
            closing.callback(self.worker.close)
            closing.callback(stop_task, "batch_infer")
            closing.callback(self.trainings.close)

    def require_model(self, name: object) -> None:
        """Check the name of the model in a request; 404 if it is another one."""
        if name != MODEL:
            raise unknown("model", f"There is no model {str(name)[:80]!r}. Known: {MODEL}.")

    def sessions(self) -> CheckedSessions:
        """Return the sessions; 406 if the server keeps none."""
        if self.stored_sessions is None:
            raise refusal(406, "session", "This server keeps no sessions.")
        return self.stored_sessions


def _sessions(workspace: Workspace) -> CheckedSessions | None:
    if not monai_settings.MONAI_LABEL_SESSIONS:
        return None
    path = monai_settings.MONAI_LABEL_SESSION_PATH or str(workspace.sessions)
    return CheckedSessions(path, monai_settings.MONAI_LABEL_SESSION_EXPIRY)
