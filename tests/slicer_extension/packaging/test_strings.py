"""The search for untranslated texts: what it finds, and what it leaves alone."""

from __future__ import annotations

import ast

import pytest

from tests.slicer_extension.packaging.strings import untranslatable, untranslated


@pytest.mark.parametrize(
    "code",
    [
        'label.text = "Ready"',
        'button.toolTip = _("Send") + " now"',
        'label.setText(f"{count} cases")',
        'slicer.util.errorDisplay("Failed")',
        'say("The case is loaded.")',
        'raise ClientError(f"{name} cannot be read ({why}). Check the file.")',
        'return "Choose a volume for each of the four modalities."',
    ],
)
def test_a_text_for_people_that_is_not_translated_is_found(code):
    assert len(untranslated(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        'label.text = _("Ready")',
        'label.text = _("{count} cases").format(count=3)',
        'label.text = ""',
        'label.text = "–"',
        'label.text = f"{number} %"',
        '"""The docstring of a module."""',
        'def f():\n    """Return what there is."""',
        'raise ValueError("Give either a case or a session.")',
        'assert ready, "The panel is not ready yet."',
        'node.SetAttribute("TumorLoop.label", "Edema")',
        'logging.exception("The job has failed badly.")',
        'path = "/cases/{id}/labels"',
    ],
)
def test_what_is_translated_or_for_programmers_is_left_alone(code):
    assert untranslated(ast.parse(code)) == []


@pytest.mark.parametrize(
    "code",
    [
        'text = _(f"{count} cases")',
        "text = _(message)",
        'text = _("one" + two)',
        'for _ in range(3):\n    text = _("Ready")',
        'name, _ = pair\ntext = _("Ready")',
    ],
)
def test_a_translation_that_cannot_work_is_found(code):
    assert len(untranslatable(ast.parse(code))) == 1


@pytest.mark.parametrize("code", ['text = _("Ready")', "for _ in range(3):\n    pass"])
def test_a_translation_that_works_is_left_alone(code):
    assert untranslatable(ast.parse(code)) == []
