"""Showing values in widgets."""

from __future__ import annotations

from typing import Any

from TumorLoopLib.jobs.jobs import Progress
from TumorLoopLib.panel import messages

#: Tones of the status line.
PLAIN, BUSY, GOOD, WARN, BAD = "plain", "busy", "good", "warn", "bad"
#: Colors of the lights, readable on light and dark backgrounds; the only colors the panel sets.
LIGHTS = {PLAIN: "#8a8a8a", BUSY: "#d98a00", GOOD: "#2e9e4f", WARN: "#d98a00", BAD: "#d6453d"}


def show_light(label: Any, tone: str) -> None:
    """Color a light; a property of the label holds the tone."""
    label.setStyleSheet(f"color: {LIGHTS[tone]}")
    label.setProperty("tone", tone)


def show_text(label: Any, text: str) -> None:
    """Show a text; an empty one hides the label, so that no gap is left."""
    label.text = text
    label.setVisible(bool(text))


def set_field_text(edit: Any, text: str) -> None:
    """Set the text of a field unless it is there already: setting it moves the cursor while the user types.

    Slicer's own binding of fields to parameters does that: https://github.com/Slicer/Slicer/issues/8620.
    """
    if edit.text != text:
        edit.text = text


def set_pressed(button: Any, down: bool) -> None:
    """Show a toggle button as pressed or not; bold as well, because dark themes hardly shade a pressed button."""
    button.checked = down
    font = button.font
    font.setBold(down)
    button.setFont(font)


def enable(button: Any, reason: str, tip: str) -> None:
    """Enable a button, or disable it with the reason as its tool tip."""
    button.enabled = not reason
    button.toolTip = reason or tip


def show_progress(label: Any, bar: Any, progress: Progress, _partial: Any = None) -> None:
    """Show the progress of a job; the bar runs to and fro while no percentage is known."""
    label.text = messages.progress_text(progress)
    value = messages.progress_percent(progress)
    bar.maximum = 100 if value >= 0 else 0
    bar.value = max(0, value)
