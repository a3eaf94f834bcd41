"""The table of what became of the attacks, as Markdown and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from tests.attack.attack import Attack, Finding, Verdict


@dataclass(frozen=True)
class Row:
    """One attack, and what became of it on each server; stock may not have been asked."""

    attack: Attack
    stock: Finding | None
    ours: Finding


_NOT_ASKED = "not asked"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Attacks: MONAI Label and TumorLoop</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1b1b1f }
table { border-collapse: collapse; width: 100% } th, td { padding: .35rem .6rem; text-align: left; vertical-align: top }
tr { border-top: 1px solid #ddd } th[colspan] { padding-top: 1.4rem; border: 0 } small { color: #666 }
.good { color: #17692e } .bad { color: #a3261b; font-weight: 600 }
</style>
<h1>Attacks: MONAI Label {{ versions.stock }} and TumorLoop {{ versions.ours }}</h1>
<p>{{ summary }}</p>
<table><tr><th>Attack<th>MONAI Label<th>TumorLoop</tr>
{% for group, rows in groups %}
<tr><th colspan="3">{{ group }}</tr>
{% for row in rows %}<tr><td>{{ row.attack.name }}
{% for found in (row.stock, row.ours) %}<td>{% if found %}<span class="{{ 'good' if found.good else 'bad' }}">
{{ found.verdict.value }}</span> <small>{{ found.detail }}</small>{% else %}not asked{% endif %}{% endfor %}</tr>
{% endfor %}{% endfor %}
</table></html>
"""


def write(rows: Sequence[Row], folder: Path, versions: dict[str, str], about: str) -> None:
    """Write ``attacks.md`` and ``attacks.html``: versions of ``stock`` and ``ours``, and what to say about the run."""
    folder.mkdir(parents=True, exist_ok=True)
    names, text = dict.fromkeys(row.attack.group for row in rows), f"{summary(rows)} {about}"
    groups = {name: [row for row in rows if row.attack.group == name] for name in names}
    page = Environment(autoescape=True).from_string(_PAGE)
    content = page.render(groups=groups.items(), summary=text, versions=versions)
    (folder / "attacks.html").write_text(content, encoding="utf-8")
    lines = [f"# Attacks: MONAI Label {versions['stock']} and TumorLoop {versions['ours']}", "", text, ""]
    lines += ["Written by `make attack`; how to read it is in [security.md](security.md).", ""]
    lines += ["| Attacks | | MONAI Label | TumorLoop |", "|---|---|---|---|"]
    lines += [
        f"| {_titled(group)} | {len(members)} | {' | '.join(_tallies(members))} |" for group, members in groups.items()
    ]
    for group, members in groups.items():
        lines += ["", f"## {_titled(group)}", "", "| Attack | MONAI Label | TumorLoop |", "|---|---|---|"]
        lines += [f"| {_cell(row.attack.name)} | {_described(row.stock)} | {_described(row.ours)} |" for row in members]
    (folder / "attacks.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def summary(rows: Sequence[Row]) -> str:
    """Say in two sentences what became of all attacks."""
    stock, ours = _tallies(rows)
    said = f"{len(rows)} attacks. TumorLoop: {ours}."
    return f"{said} Stock MONAI Label: {stock}." if stock != _NOT_ASKED else said


def _tallies(rows: Sequence[Row]) -> tuple[str, str]:
    """Return how often each verdict was given on a stock server, and on ours."""
    stock = Counter(row.stock.verdict for row in rows if row.stock is not None)
    return _counts(stock) or _NOT_ASKED, _counts(Counter(row.ours.verdict for row in rows))


def _titled(group: str) -> str:
    return f"{group[0].upper()}{group[1:]}"


def _counts(found: Counter[Verdict]) -> str:
    return ", ".join(f"{found[verdict]} {verdict.value}" for verdict in Verdict if found[verdict])


def _described(finding: Finding | None) -> str:
    if finding is None:
        return _NOT_ASKED
    verdict = finding.verdict.value if finding.good else f"**{finding.verdict.value}**"
    return f"{verdict} ({_cell(finding.detail)})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
