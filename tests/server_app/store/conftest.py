"""A workspace with labels, an upload and a model, made once and copied for each test; no server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from server_app.cases.datastore import CaseDatastore
from server_app.workspace import Workspace
from tests import synthetic
from training.models.store import ModelCard, ModelStore

CASES = ("BraTS20_Training_001", "BraTS20_Training_002")
UPLOAD = "patient-7"
#: Small, because every test writes some cases.
GRID = synthetic.brats_grid((24, 26, 22))


class Place:
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
        """What a server that starts anew sees."""
        return CaseDatastore(self.studies, self.workspace.make())

    def submit(self, case: str, value: int | None = None, **params: Any) -> None:
        """Submit the true label of a case, or one with a single value."""
        truth = synthetic.truth(GRID)
        if value is not None:
            truth.data[truth.data > 0] = value
        path = synthetic.save(truth, self.root.parent / "sent" / "label.nii.gz")
        info = [{"name": name, "idx": number} for number, name in enumerate(("NCR", "ED", "ET"), start=1)]
        self.open().save_label(case, str(path), "final", {"label_info": info, **params})


@pytest.fixture(scope="session")
def sound_place(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, tiny_model)
    for name in CASES:
        synthetic.write_case(place.studies, name, grids=GRID)
    sent = synthetic.write_case(folder / "sent", UPLOAD, grids=GRID, label=False)
    place.open().add_case(UPLOAD, sorted(sent.iterdir()), {})
    place.submit(CASES[0], client_id="dr-a")
    place.submit(CASES[0], 2, client_id="dr-b")
    place.submit(UPLOAD)
    current = place.models.current()
    for verdict in ("Promoted: better.", "Not promoted: worse."):
        card = ModelCard(network=current.card.network, parent="v0000", verdict=verdict)
        place.models.add(current.load_weights(), card)
    place.models.promote("v0001", "Promoted: better.")
    return folder


@pytest.fixture
def place(sound_place: Path, tiny_model: Path, tmp_path: Path) -> Place:
    """A copy to damage."""
    shutil.copytree(sound_place, tmp_path / "place")
    return Place(tmp_path / "place", tiny_model)
