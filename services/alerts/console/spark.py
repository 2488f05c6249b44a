"""A small line of daily values as SVG geometry, and the same in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.wording import percent, quantity

WIDTH: Final = 96
HEIGHT: Final = 26
_EDGE: Final = 2.0
_RECENT: Final = 7


@dataclass(frozen=True, slots=True)
class Spark:
    """A sparkline.

    Attributes:
        lines: One `points` attribute for each stretch without a gap.
        dots: Centres of days that stand alone, and of the last day; x and y.
        text: The same for somebody who does not see it.
    """

    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    text: str


def spark(values: Sequence[float | None]) -> Spark | None:
    """Draw daily values from nought up.

    Args:
        values: Units a day, the newest last; None where nothing is known.

    Returns:
        The drawing, or None where fewer than two days are known: that is no trend.

    >>> spark([10, 20, None, 30, 40]).lines
    ('2,18.5 25,13', '71,7.5 94,2')
    >>> spark([1.0, None]) is None
    True
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    top = max(*known, 1e-9)
    step = (WIDTH - 2 * _EDGE) / (len(values) - 1)
    runs = [
        [
            (_EDGE + i * step, HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * value / top)
            for i, value in run
        ]
        for run in _runs(values)
    ]
    lines = tuple(
        " ".join(f"{x:.4g},{y:.4g}" for x, y in points) for points in runs if len(points) > 1
    )
    dots = [points[0] for points in runs[:-1] if len(points) == 1] + [runs[-1][-1]]
    return Spark(lines, tuple((round(x, 1), round(y, 1)) for x, y in dots), _text(values))


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Return the stretches of known days with their places."""
    runs: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is not None:
            runs[-1].append((i, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _text(values: Sequence[float | None]) -> str:
    """Say what the last week is against the days before it."""
    late = [value for value in values[-_RECENT:] if value is not None]
    early = [value for value in values[:-_RECENT] if value is not None]
    if not late:
        return f"{len(values)} days: nothing known of the last {_RECENT}"
    now = sum(late) / len(late)
    told = f"{len(values)} days: {quantity(now)} a day in the last {_RECENT}"
    if not early:
        return told
    before = sum(early) / len(early)
    told += f", {quantity(before)} before"
    if not before:
        return told
    change = now / before - 1
    if abs(change) < 0.005:
        return f"{told}, no change"
    return f"{told}, {percent(abs(change))} {'less' if change < 0 else 'more'}"
