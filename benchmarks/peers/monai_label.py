"""An unmodified MONAI Label server with an app around the bundle's network (``label_app/main.py``)."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.local_server import LocalServer

from docs.demo.server import stop_with_children
from training.phantoms.files import BRATS_AFFINE

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving_bundle(work: Path, image: np.ndarray, labels: np.ndarray) -> Iterator[tuple[LocalServer, float]]:
    """Run the server over one labeled case, ``head``, until the block ends; yield it, and the seconds of its start.

    Args:
        work: A new folder for its files.
        image: ``(x, y, z, 4)``, int16.
        labels: ``(x, y, z)``, uint8.
    """
    app, studies = work / "app", work / "studies"
    app.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "label_app" / "main.py", app)  # it writes into the folder of its app
    (studies / "labels" / "final").mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(image, BRATS_AFFINE), studies / "head.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, BRATS_AFFINE), studies / "labels" / "final" / "head.nii.gz")
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--host", "127.0.0.1"]
    paths = os.pathsep.join([str(_without_tensorflow(work)), str(_ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "MONAI_LABEL_SESSION_PATH": str(work / "sessions")}
    began = time.perf_counter()
    server = LocalServer(command, studies, environment, work / "server.log")
    try:
        server.wait_until_ready(Reporter(), timeout=300.0)
        yield server, time.perf_counter() - began
    finally:
        stop_with_children(server)


def _without_tensorflow(work: Path) -> Path:
    """Return a folder for the module path that hides TensorFlow.

    TensorBoard, which MONAI Label imports, loads TensorFlow where it is installed. MONAI Label does not need it; its
    own environment has none.
    """
    folder = work / "without"
    folder.mkdir()
    (folder / "tensorflow.py").write_text('raise ImportError("not in the environment of MONAI Label")\n')
    return folder
