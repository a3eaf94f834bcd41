"""Numbers and times for display."""

from __future__ import annotations

from datetime import datetime

from TumorLoopLib.i18n import _


def as_sentence(text: str) -> str:
    """Return a text with a full stop at its end, so that another sentence may follow.

    Examples:
        >>> as_sentence("Invalid token"), as_sentence("Try again.")
        ('Invalid token.', 'Try again.')
    """
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."


def local_time(iso_time: str) -> str:
    """Return an ISO time in the local time zone, to the minute.

    Examples:
        >>> local_time("")
        ''
    """
    try:
        return datetime.fromisoformat(iso_time.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return iso_time[:16].replace("T", " ")


def megabytes(count: int) -> str:
    """Return a number of bytes in MB (10**6), with one decimal below ten.

    Examples:
        >>> megabytes(1_250_000), megabytes(31_400_000)
        ('1.2', '31')
    """
    value = count / 1e6
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def milliliters(value: float | None) -> str:
    """Return a volume with one decimal, below 1 mL with two; a dash for none.

    Examples:
        >>> milliliters(0.123), milliliters(34.56), milliliters(None)
        ('0.12', '34.6', '–')
    """
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"


def ratio(value: object) -> str:
    """Return a Dice value with two decimals; a dash for anything else."""
    return f"{value:.2f}" if isinstance(value, (int, float)) and value == value else "–"


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a whole percentage.

    Examples:
        >>> percent(0.426)
        '43%'
    """
    return f"{100 * share:.0f}%"


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours.

    Examples:
        >>> duration(8), duration(95), duration(4000)
        ('8 s', '1 min 35 s', '1 h 7 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds} s").format(minutes=whole // 60, seconds=whole % 60)
    minutes = round(whole / 60)
    return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
