"""Figures as Markdown, as they stand in the README."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from tests.quality.lines import LINES, Figures, Line

_COLUMNS: Final = (
    ("false alarms", "false_alarms", 2),
    ("recall of detectable drops", "recall_detectable", 2),
    ("median delay, days", "delay_detectable", 0),
    ("fires on a fortnight dip", "nuisance.own_dip14", 2),
    ("on a deep Christmas", "nuisance.xmas_deep", 2),
    ("alarms on untouched series", "raw_alarms", 2),
    ("precision at 1 true drop /100", "precision", 2),
)


def detectors(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return detectors side by side, run on the same cases.

    Args:
        rows: Figures of `scoring.score` by detector; rates are per 100 account-months.
    """
    return _table(
        ["detector", *(title for title, _, _ in _COLUMNS)],
        [
            [name, *(_number(figures[key], digits) for _, key, digits in _COLUMNS)]
            for name, figures in rows.items()
        ],
    )


def against_the_line(figures: Figures) -> list[str]:
    """Return each figure beside what is required and what is aimed at."""
    return _table(
        ["figure", "measured", "required", "the goal"],
        [_row(line, figures[line.bench]) for line in LINES if line.bench in figures],
    )


def _row(line: Line, found: Mapping[str, float]) -> list[str]:
    value = found.get(line.figure, math.nan)
    sign = "≤" if line.best == "low" else "≥"
    required = "" if line.required is None else f"{sign} {_plain(line.required)}"
    measured = _number(value, 0 if line.figure.startswith("delay") else 2)
    if not line.reached(value, line.required):
        measured = f"**{measured}: missed**"
    elif line.reached(value, line.goal):
        measured = f"**{measured}**"
    return [line.text, measured, required, f"{sign} {_plain(line.goal)}"]


def _plain(bound: float) -> str:
    return f"{bound:g}"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
