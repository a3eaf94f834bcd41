"""The files of a server, without the server: studies, labels, an upload and models, made once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from server_app.cases.datastore import CaseDatastore
from server_app.common.quarantine import Quarantine
from server_app.workspace import Workspace
from tests import synthetic
from training.models.store import ModelCard, ModelStore

CASES = ("BraTS20_Training_001", "BraTS20_Training_002")
UPLOAD = "patient-7"
#: Small, because every test writes some cases.
GRID = synthetic.brats_grid((24, 26, 22))


class ServerFiles:
    """A studies folder and its workspace."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.studies = folder / "studies"
        self.workspace = Workspace.for_studies(self.studies, folder / "workspace")
        self.models = ModelStore(self.workspace.models, model)
        self.model = model

    @property
    def root(self) -> Path:
        return self.workspace.root

    def open(self) -> CaseDatastore:
        return CaseDatastore(self.studies, self.workspace.make())

    def submit(self, case: str, value: int | None = None, *, store: CaseDatastore | None = None, **params: Any) -> None:
        """Submit the true label of a case, or one with a single value; to a store that is open, or a new one."""
        truth = synthetic.truth(GRID)
        if value is not None:
            truth.data[truth.data > 0] = value
        path = synthetic.save(truth, self.root.parent / "sent" / "label.nii.gz")
        info = [{"name": name, "idx": number} for number, name in enumerate(("NCR", "ED", "ET"), start=1)]
        (store or self.open()).save_label(case, str(path), "final", {"label_info": info, **params})

    def quarantined(self) -> list[dict[str, Any]]:
        return Quarantine.of(self.root).entries()


@pytest.fixture(scope="session")
def sound_files(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("files")
    files = ServerFiles(folder, tiny_model)
    for name in CASES:
        synthetic.write_case(files.studies, name, grids=GRID)
    sent = synthetic.write_case(folder / "sent", UPLOAD, grids=GRID, label=False)
    files.open().add_case(UPLOAD, sorted(sent.iterdir()), {})
    files.submit(CASES[0], client_id="dr-a")
    files.submit(CASES[0], 2, client_id="dr-b")
    files.submit(UPLOAD)
    current = files.models.current()
    for verdict in ("Promoted: better.", "Not promoted: worse."):
        card = ModelCard(network=current.card.network, parent="v0000", verdict=verdict)
        files.models.add(current.load_weights(), card)
    files.models.promote("v0001", "Promoted: better.")
    return folder


@pytest.fixture(name="files")
def copied_files(sound_files: Path, tiny_model: Path, tmp_path: Path) -> ServerFiles:
    """A copy that a test may damage."""
    shutil.copytree(sound_files, tmp_path / "files")
    return ServerFiles(tmp_path / "files", tiny_model)
