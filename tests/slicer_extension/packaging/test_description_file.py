"""The description file and the root CMakeLists.txt against what Slicer's Extensions Index asks of an entry.

The rules are written down here as facts, so that the test needs no network: those of the catalog entry's schema 1.0.1
and of the checks that the index runs on a proposed entry.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest

from tests.slicer_extension.extension import EXTENSION_ROOT

REPOSITORY = Path(__file__).resolve().parents[3]
DESCRIPTION = EXTENSION_ROOT / "slicer_extension" / "TumorLoop.json"
SCHEMA_ADDRESS = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
TEXT = {"type": "string", "minLength": 1}
RULES = {
    "$schema": "http://json-schema.org/draft-07/schema",
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": SCHEMA_ADDRESS},
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


def check(entry):
    jsonschema.validate(entry, RULES)


@pytest.fixture
def entry():
    return json.loads(DESCRIPTION.read_text("utf-8"))


@pytest.fixture
def cmake_text():
    return (EXTENSION_ROOT / "CMakeLists.txt").read_text("utf-8")


def value_of(cmake_text: str, name: str) -> str:
    """Read a variable as the index does: on one line, in double quotes, nothing computed."""
    found = re.search(rf'^set\({name} "([^"$]+)"\)', cmake_text, re.MULTILINE)
    assert found, f"{name} is not set to a plain text on one line"
    return found.group(1)


def test_the_entry_follows_the_schema(entry):
    check(entry)


@pytest.mark.parametrize(
    "damage",
    [
        {"scmurl": "https://example.org/SlicerX.git"},
        {"tier": 6},
        {"tier": "1"},
        {"category": "Brains"},
        {"scm_url": "ftp://example.org/SlicerX.git"},
        {"scm_url": "https://example.org/TumorLoop.git"},
        {"build_dependencies": "NA"},
        {"scm_url": None},
    ],
    ids=lambda damage: str(next(iter(damage.items()))),
)
def test_an_entry_that_breaks_a_rule_is_refused(entry, damage):
    with pytest.raises(jsonschema.ValidationError):
        check({**entry, **damage})


@pytest.mark.parametrize("key", ["$schema", "category", "scm_url"])
def test_an_entry_that_lacks_what_is_required_is_refused(entry, key):
    del entry[key]
    with pytest.raises(jsonschema.ValidationError):
        check(entry)


def test_the_file_has_unix_line_ends_and_one_at_its_end():
    content = DESCRIPTION.read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"}\n")


def test_the_file_the_project_and_the_module_bear_one_name_that_does_not_start_with_slicer(cmake_text):
    found = re.search(r"project\s*\(\s*([^\s)]+)", cmake_text)
    assert found is not None
    assert found.group(1) == DESCRIPTION.stem == "TumorLoop"
    assert not DESCRIPTION.stem.lower().startswith("slicer")
    assert (EXTENSION_ROOT / "slicer_extension" / found.group(1) / f"{found.group(1)}.py").exists()


def test_one_address_and_one_category_in_both_files(entry, cmake_text):
    home = value_of(cmake_text, "EXTENSION_HOMEPAGE")
    assert entry["scm_url"] == f"{home}.git"
    assert entry["category"] == value_of(cmake_text, "EXTENSION_CATEGORY")
    pictures = [value_of(cmake_text, "EXTENSION_ICONURL"), *value_of(cmake_text, "EXTENSION_SCREENSHOTURLS").split()]
    assert all(picture.startswith(f"{home}/raw/{entry['scm_revision']}/") for picture in pictures)


def test_icon_and_screenshots_are_pictures_of_this_repository(entry, cmake_text):
    pictures = [value_of(cmake_text, "EXTENSION_ICONURL"), *value_of(cmake_text, "EXTENSION_SCREENSHOTURLS").split()]
    assert len(pictures) >= 2
    for picture in pictures:
        path = REPOSITORY / urlsplit(picture).path.partition(f"/raw/{entry['scm_revision']}/")[2]
        assert path.read_bytes().startswith(b"\x89PNG\r\n"), f"{path} is no PNG picture"


def test_dependencies_agree_and_the_license_lies_at_the_root(entry, cmake_text):
    assert value_of(cmake_text, "EXTENSION_DEPENDS") == (" ".join(entry["build_dependencies"]) or "NA")
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text("utf-8")
