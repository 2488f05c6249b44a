"""What a check found."""

from typing import Literal, NamedTuple

from services.wording import counted

Verdict = Literal["ok", "warn", "FAIL"]


class Finding(NamedTuple):
    """One line of the doctor's.

    Attributes:
        verdict: `FAIL` for what keeps events from being counted or alerts from reaching people,
            `warn` for what may, or could not be found out.
        name: What was looked at, a word or two.
        text: What was found.
        remedy: What to do; empty where nothing is to be done.
    """

    verdict: Verdict
    name: str
    text: str
    remedy: str = ""


def ok(name: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding("ok", name, text)


def warn(name: str, text: str, remedy: str = "") -> Finding:
    """Return what may become worse, or could not be found out."""
    return Finding("warn", name, text, remedy)


def fail(name: str, text: str, remedy: str = "") -> Finding:
    """Return what does not work."""
    return Finding("FAIL", name, text, remedy)


def span(seconds: float) -> str:
    """Return a stretch of time in its greatest unit.

    >>> span(59.9), span(7200), span(-3)
    ('59 seconds', '2 hours', '0 seconds')
    """
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            return counted(int(seconds // unit), name)
    return counted(max(0, int(seconds)), "second")


def some(names: list[str], limit: int = 5) -> str:
    """Return a list, cut where it is long.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")
