"""The sample case: how the module registers it with Slicer's Sample Data module, and whether it can be made again."""

import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from threadpoolctl import threadpool_info
from TumorLoopLib.panel import sample_data
from TumorLoopLib.scene.roles import ROLES, recognize

from tests.slicer_extension.extension import EXTENSION
from tests.slicer_extension.harness import scripted_module
from tests.slicer_extension.packaging.sample_data import write_volumes

#: The arguments of Slicer's own function.
KNOWN = {"category", "sampleName", "uris", "fileNames", "nodeNames", "customDownloader", "thumbnailFileName"}
KNOWN |= {"loadFileType", "loadFiles", "loadFileProperties", "checksums"}
#: The checksums are of compressed files; other versions of zlib compress to other bytes.
ZLIB = "1.2.13"
#: OpenBLAS's code for other processors rounds single voxels otherwise.
BLAS = {"Haswell", "Zen"}


def blas() -> set[str]:
    """The processors that the loaded BLAS has code for, as it names them."""
    import numpy as np  # noqa: F401 - brings its BLAS

    return {library["architecture"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture
def registered(monkeypatch):
    """What is registered with a Sample Data module that takes the arguments of Slicer's, and no others."""
    calls = []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(**source):
            assert set(source) <= KNOWN
            calls.append(source)

    module: Any = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return calls


def test_slicer_offers_four_volumes_with_checksums_and_a_picture_that_the_panel_recognizes(registered, desktop):
    scripted_module.load(EXTENSION / "TumorLoop.py")
    (source,) = registered
    assert (source["category"], source["sampleName"]) == ("TumorLoop", "TumorLoopPhantom")
    assert source["uris"] == [f"{sample_data.ADDRESS}/{name}" for name in source["fileNames"]]
    assert len(set(source["fileNames"])) == 4
    assert all(name.endswith(".nii.gz") for name in source["fileNames"])
    checksums = [one.partition(":") for one in source["checksums"]]
    assert [(kind, len(digest)) for kind, _, digest in checksums] == [("SHA256", 64)] * 4
    assert recognize({name: [name] for name in source["nodeNames"]}).roles == dict(
        zip(ROLES, source["nodeNames"], strict=True)
    )
    assert Path(source["thumbnailFileName"]).read_bytes().startswith(b"\x89PNG\r\n")


def test_a_slicer_without_sample_data_loads_the_module_all_the_same(monkeypatch, desktop):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    assert scripted_module.load(EXTENSION / "TumorLoop.py").panel is not None


@pytest.mark.slow
@pytest.mark.skipif(not blas() & BLAS, reason=f"the files were made on a processor of {', '.join(sorted(BLAS))}")
@pytest.mark.skipif(zlib.ZLIB_RUNTIME_VERSION != ZLIB, reason=f"the files were compressed with zlib {ZLIB}")
def test_the_files_of_the_release_can_be_made_again(tmp_path):
    assert write_volumes(tmp_path) == sample_data.CHECKSUMS
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(sample_data.file_name, ROLES))
