"""Faults in what needs neither Slicer nor Qt: the client, files, labels, jobs, rules, and the package."""

from __future__ import annotations

from tests.slicer_extension.mutation.mutant import Mutant

_HERE = "tests/slicer_extension"
_CLIENT = (f"{_HERE}/test_client.py", f"{_HERE}/test_client_faults.py")
_NRRD = (f"{_HERE}/mrml/test_nrrd.py",)
_LABELS = (f"{_HERE}/mrml/test_labels.py",)
_ROLES = (f"{_HERE}/mrml/test_roles.py", f"{_HERE}/mrml/test_case_folder.py")
_COMPARISON = (f"{_HERE}/mrml/test_comparison.py",)
_JOBS = (f"{_HERE}/panel/test_jobs.py",)
_STATE = (f"{_HERE}/panel/test_state.py",)
_SETTINGS = (f"{_HERE}/panel/test_settings.py",)
_RULES = f"{_HERE}/packaging/test_source_rules.py"
_PACKAGE = (f"{_HERE}/packaging/test_cmake.py",)


def _library(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Mutant:
    return Mutant(name, f"TumorLoopLib/{file}", old, new, tests)


CLIENT = (
    _library(
        "wrong endpoint",
        "client/segmentation_calls.py",
        'f"/infer/{quoted(model)}?',
        'f"/inference/{quoted(model)}?',
        _CLIENT,
    ),
    _library("access token sent in a wrong form", "client/caller.py", 'f"Bearer {token}"', 'f"Token {token}"', _CLIENT),
    _library(
        "an answer that broke off taken for whole",
        "client/transport.py",
        "if total and received < total:",
        "if False:",
        _CLIENT,
    ),
    _library(
        "damaged file accepted (swallowed exception)",
        "client/replies.py",
        "except (EOFError, OSError, zlib.error) as error:",
        "except (EOFError, OSError, zlib.error):\n            return target\n        except TypeError as error:",
        _CLIENT,
    ),
    _library(
        "cancel ignored while waiting for the server",
        "client/sockets.py",
        "            _raise_if_cancelled(self._cancel)\n            try:",
        "            try:",
        _CLIENT,
    ),
)

FILES = (
    _library(
        "affine flipped when volumes are written",
        "files/nrrd_header.py",
        '"left-posterior-superior": (-1.0, -1.0, 1.0)',
        '"left-posterior-superior": (-1.0, 1.0, 1.0)',
        _NRRD,
    ),
    _library("axes swapped when volumes are read", "files/nrrd.py", "header.sizes[::-1]", "header.sizes", _NRRD),
    _library(
        "a cut file read as if whole",
        "files/nrrd.py",
        "if found < header.byte_count:",
        "if found < 0:",
        _NRRD,
    ),
)

MEANING = (
    _library("colors on a wrong scale", "scene/labels.py", "float(part) / 255.0", "float(part) / 100.0", _LABELS),
    _library(
        "overlap won by the wrong label",
        "scene/labels.py",
        "return tuple(sorted(self.labels, key=depth))",
        "return tuple(sorted(self.labels, key=depth, reverse=True))",
        _LABELS,
    ),
    _library(
        "wrong order of the modalities",
        "scene/roles.py",
        '= ("t1", "t1ce", "t2", "flair")',
        '= ("t1ce", "t1", "t2", "flair")',
        (*_ROLES, *_STATE),
    ),
    _library(
        "contrast overlooked: T1ce taken for T1",
        "scene/roles.py",
        'return "t1ce" if _speaks_of_contrast(words) else "t1"',
        'return "t1"',
        _ROLES,
    ),
    _library(
        "doubled modality guessed instead of refused",
        "scene/roles.py",
        "for role, claim in claims.items() if len(claim) == 1}",
        "for role, claim in claims.items() if claim}",
        _ROLES,
    ),
    _library("milliliters ten times too large", "scene/comparison.py", "/ 1000.0", "/ 100.0", _COMPARISON),
    _library(
        "added and removed swapped",
        "scene/comparison.py",
        "added[key] = float(table[~inside][:, inside].sum() * one)",
        "added[key] = float(table[inside][:, ~inside].sum() * one)",
        _COMPARISON,
    ),
)

RULES = (
    _library(
        "work on the user interface's thread",
        "jobs/jobs.py",
        "        self._thread.start()\n",
        "        self._run()\n",
        _JOBS,
    ),
    _library(
        "error of a job lost", "jobs/jobs.py", "            self._error = error\n", "            del error\n", _JOBS
    ),
    _library(
        "a cancelled job told as failed",
        "jobs/jobs.py",
        "elif isinstance(self._error, Cancelled):",
        "elif False:",
        _JOBS,
    ),
    _library(
        "enable logic inverted (Retrain)",
        "panel/state.py",
        "if self.new_corrections == 0:",
        "if self.new_corrections:",
        _STATE,
    ),
    _library(
        "Submit possible without a segmentation",
        "panel/state.py",
        'if not self.has_segmentation:\n            return _("There is no segmentation yet.',
        'if False:\n            return _("There is no segmentation yet.',
        _STATE,
    ),
    _library(
        "consent for one server taken for all",
        "panel/settings.py",
        'bool(self._dictionary("consent").get(_server(address)))',
        'bool(self._dictionary("consent"))',
        _SETTINGS,
    ),
)

PACKAGE = (
    _library(
        "missing translation",
        "panel/state.py",
        '_("Enter the server\'s address first.")',
        '"Enter the server\'s address first."',
        (f"{_RULES}::test_every_text_that_people_see_goes_through_the_translation[state.py]",),
    ),
    _library(
        "a package that Slicer does not bring",
        "scene/labels.py",
        "import json\n",
        "import json\n\nimport pandas\n",
        (f"{_RULES}::test_a_module_imports_only_what_every_slicer_brings[labels.py]",),
    ),
    _library(
        "newer Python than Slicer's",
        "panel/texts.py",
        "    value = count / 1e6\n",
        "    match count:\n        case _:\n            value = count / 1e6\n",
        (f"{_RULES}::test_a_module_reads_as_python_3_9_without_match[texts.py]",),
    ),
    _library(
        "unused code left behind",
        "panel/texts.py",
        "def percent(",
        'def permille(share: float) -> float:\n    """Return it."""\n    return share\n\n\ndef percent(',
        (f"{_RULES}::test_the_linters_find_nothing",),
    ),
    Mutant("a file missing from the package", "CMakeLists.txt", "  TumorLoopLib/nrrd.py\n", "", _PACKAGE),
    Mutant("the panel missing from the package", "CMakeLists.txt", "  Resources/UI/TumorLoop.ui\n", "", _PACKAGE),
)

MUTANTS = (*CLIENT, *FILES, *MEANING, *RULES, *PACKAGE)
