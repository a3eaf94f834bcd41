"""The description file and the root CMakeLists.txt against what Slicer's Extensions Index asks of an entry.

The rules are written down here as facts, so that the test needs no network: those of the catalog entry's schema 1.0.1
and of the checks that the index runs on a proposed entry.
"""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from TumorLoopLib.panel import sample_data

from tests.slicer_extension.extension import EXTENSION, EXTENSION_ROOT

REPOSITORY = Path(__file__).resolve().parents[3]
DESCRIPTION = EXTENSION_ROOT / "slicer_extension" / "TumorLoop.json"
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
TEXT = {"type": "string", "minLength": 1}
RULES = {
    "$schema": "http://json-schema.org/draft-07/schema",
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": SCHEMA},
        # A few of the categories that the index accepts, of those that fit.
        "category": {"enum": ["Active Learning", "Segmentation", "Neuroimaging"]},
        # An address ending in a name with "slicer" in it, as the index wants of repositories.
        "scm_url": {"type": "string", "pattern": r"^(https|git)://[^/]+/.*[Ss]licer[^/]*$"},
        "scm_revision": TEXT,
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": TEXT},
        "build_subdirectory": TEXT,
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


@pytest.fixture
def entry():
    return json.loads(DESCRIPTION.read_text("utf-8"))


def setting(name: str) -> str:
    """Read a variable as the index does: on one line, in double quotes, nothing computed."""
    text = (EXTENSION_ROOT / "CMakeLists.txt").read_text("utf-8")
    found = re.search(rf'^set\({name} "([^"$]+)"\)', text, re.MULTILINE)
    assert found, f"{name} is not set to a plain text on one line"
    return found.group(1)


def test_the_entry_follows_the_schema_in_a_file_with_unix_line_ends_named_like_project_and_module(entry):
    jsonschema.validate(entry, RULES)
    content = DESCRIPTION.read_bytes()
    assert content.endswith(b"}\n")
    assert b"\r" not in content
    found = re.search(r"project\s*\(\s*([^\s)]+)", (EXTENSION_ROOT / "CMakeLists.txt").read_text("utf-8"))
    assert found is not None
    assert found.group(1) == DESCRIPTION.stem == "TumorLoop"  # a name that does not start with "Slicer"
    assert (EXTENSION_ROOT / "slicer_extension" / "TumorLoop" / "TumorLoop.py").exists()


def test_both_files_agree_and_name_pictures_and_a_license_that_are_there(entry):
    home = setting("EXTENSION_HOMEPAGE")
    assert entry["scm_url"] == f"{home}.git"
    assert entry["category"] == setting("EXTENSION_CATEGORY")
    assert setting("EXTENSION_DEPENDS") == (" ".join(entry["build_dependencies"]) or "NA")
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text("utf-8")
    pictures = [setting("EXTENSION_ICONURL"), *setting("EXTENSION_SCREENSHOTURLS").split()]
    assert len(pictures) >= 2
    for picture in pictures:
        assert picture.startswith(f"{home}/raw/{entry['scm_revision']}/")
        path = REPOSITORY / urlsplit(picture).path.partition(f"/raw/{entry['scm_revision']}/")[2]
        assert path.read_bytes().startswith(b"\x89PNG\r\n"), f"{path} is no PNG picture"


def test_every_address_of_the_repository_is_below_its_homepage_and_in_the_files_that_are_named_for_publishing():
    home, documented = setting("EXTENSION_HOMEPAGE"), (REPOSITORY / "docs" / "slicer-checks.md").read_text("utf-8")
    assert sample_data.ADDRESS.startswith(f"{home}/releases/download/")
    found = {}
    for path in (EXTENSION_ROOT / "CMakeLists.txt", *(EXTENSION_ROOT / "slicer_extension").rglob("*")):
        if path.suffix in (".py", ".json", ".txt", ".ui"):
            for address in re.findall(r"https://[^\s\"]*SlicerTumorLoop", path.read_text("utf-8")):
                found[path.name] = address
    assert found == dict.fromkeys(("CMakeLists.txt", "TumorLoop.json", "sample_data.py"), home)
    assert all(name in documented for name in found)


def test_the_description_is_one_or_two_sentences_and_the_contributors_are_the_same_everywhere():
    description = setting("EXTENSION_DESCRIPTION")
    assert description.endswith(".")
    assert 1 <= len(re.findall(r"[.!?](?= |$)", description)) <= 2
    assert f'["{setting("EXTENSION_CONTRIBUTORS")}"]' in (EXTENSION / "TumorLoop.py").read_text("utf-8")
    assert re.search(r"^Patents: ", (REPOSITORY / "README.md").read_text("utf-8"), re.MULTILINE)
