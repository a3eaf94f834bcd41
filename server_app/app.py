"""The TumorLoop app, as MONAI Label loads it: an adapter from MONAI Label's interface to :class:`Services`.

It is built twice: in the web process, and in each training subprocess. So nothing is started and no weights are
loaded before :meth:`TumorLoopApp.on_init_complete`, which only the web process calls.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from server_app.cases.datastore import CaseDatastore
from server_app.cases.next_case import First, Random, UncertaintySampling, propose
from server_app.common.dicom_logs import hide_dicom_values
from server_app.description import describe
from server_app.errors import input_errors
from server_app.inference.batch import BatchInference
from server_app.inference.request import InferenceOptions, InferenceRequest
from server_app.inference.sessions import CheckedSessions
from server_app.services import MODEL, Services
from server_app.settings import ServerSettings
from server_app.spawning import close_on_signal
from training import __version__

logger = logging.getLogger(__name__)


class TumorLoopApp(MONAILabelApp):
    """Glioma segmentation that learns from corrections.

    Args:
        app_dir: The folder MONAI Label was started with; the app does not write to it.
        studies: The folder of cases; only read.
        conf: Values of ``--conf``; see :class:`server_app.settings.ServerSettings`.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.services = Services.build(Path(studies), ServerSettings.from_conf(conf or {}))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="TumorLoop",
            description="Segment gliomas, correct them, retrain, get a better model",
            version=__version__,
        )

    # === Called by MONAI Label when it builds the app ===

    def init_datastore(self) -> CaseDatastore:
        """Return the datastore over the studies."""
        return self.services.datastore

    def init_infers(self) -> dict[str, InferTask]:
        """Return the one infer task."""
        return {MODEL: self.services.segmentation}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return the one train task."""
        return dict(self.services.trainings.trainers)

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the ways to choose the next case."""
        return {"first": First(), "random": Random(), "uncertainty": UncertaintySampling(self.services.scores)}

    def init_batch_infer(self) -> BatchInference:
        """Return the task that segments many cases."""
        return BatchInference(self.services.scores)

    def _load_sessions(self, load: bool = False) -> CheckedSessions | None:
        return self.services.stored_sessions if load else None

    def on_init_complete(self) -> None:
        """Begin to serve: recover the workspace, add the routes and the middleware, and start the worker."""
        from monailabel.app import app as web

        from server_app import asgi
        from server_app.common.metrics import REGISTRY, StateCollector

        hide_dicom_values()
        self.services.start()
        self.add_routes()
        REGISTRY.register(StateCollector(self.services.overview.gauges))
        asgi.add_middleware(web)
        super().on_init_complete()
        self.services.resume()
        close_on_signal(self.close)
        # Labels are checked in other threads; the event loop must not wait 5 ms for each of its steps.
        sys.setswitchinterval(0.0005)
        logger.info("Workspace: %s", self.services.workspace.root)

    def add_routes(self) -> None:
        """Put the server's routes before MONAI Label's."""
        from server_app.api.mounting import mount

        mount(self.services)

    def close(self) -> None:
        """End everything that is in progress, leaving it consistent."""
        self.services.close()

    # === Called by MONAI Label's endpoints and subprocesses ===

    def datastore(self) -> CaseDatastore:
        """Return the datastore."""
        return self.services.datastore

    def info(self) -> dict[str, Any]:
        """Describe the app: MONAI Label's keys, labels and model, and the state of the server."""
        return {**super().info(), **describe(self.services.models), "server": self.services.overview.info()}

    def infer(self, request: dict[str, Any], datastore: CaseDatastore | None = None) -> dict[str, Any]:
        """Segment a case of the datastore, for MONAI Label's batch inference; the routes use the infer task itself.

        MONAI Label would take any path of the server's disk as ``image``; here it must be the id of a case.

        Args:
            request: ``model``, ``image`` and the parameters of :class:`InferenceOptions`.
            datastore: Instead of the app's own.

        Returns:
            ``label``, ``tag``, ``file`` and ``params``.

        Raises:
            HTTPException: 404 for an unknown model or case, and as :class:`GliomaSegmentation`.
        """
        self.services.require_model(request.get("model"))
        with input_errors():
            options = InferenceOptions.parse(request)
        image = str(request.get("image") or "")
        wanted = InferenceRequest.for_case(datastore or self.datastore(), image, options)
        return self.services.segmentation(wanted).to_monai_label()

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train; in MONAI Label's training subprocess."""
        return self.services.trainings.trainer(str(request.get("model") or MODEL))(request, self.datastore())

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Choose the next case to label; see :func:`server_app.cases.next_case.propose`."""
        return propose(self._strategies, request, self.datastore(), self.services.settings.claim_minutes)
