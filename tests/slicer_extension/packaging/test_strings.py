import ast

import pytest

from tests.slicer_extension.packaging.strings import untranslatable, untranslated

UNTRANSLATED = [
    'label.text = "Ready"',
    'button.toolTip = _("Send") + " now"',
    'label.setText(f"{count} cases")',
    'slicer.util.errorDisplay("Failed")',
    'say("The case is loaded.")',
    'raise ClientError(f"{name} cannot be read ({why}). Check the file.")',
    'return "Choose a volume for each of the four modalities."',
]
TRANSLATED_OR_FOR_PROGRAMMERS = [
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
]
UNTRANSLATABLE = [
    *(f"text = _({argument})" for argument in ('f"{count} cases"', "message", '"one" + two')),
    'for _ in range(3):\n    text = _("Ready")',
    'name, _ = pair\ntext = _("Ready")',
]
TRANSLATABLE = ['text = _("Ready")', "for _ in range(3):\n    pass"]


@pytest.mark.parametrize(
    ("search", "texts", "found"),
    [
        (untranslated, UNTRANSLATED, 1),
        (untranslated, TRANSLATED_OR_FOR_PROGRAMMERS, 0),
        (untranslatable, UNTRANSLATABLE, 1),
        (untranslatable, TRANSLATABLE, 0),
    ],
)
def test_texts_that_are_not_or_cannot_be_translated_are_found_and_no_others(search, texts, found):
    assert {code: len(search(ast.parse(code))) for code in texts} == dict.fromkeys(texts, found)
