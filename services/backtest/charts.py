"""Charts as geometry: stacked bars in per cent of a plot, and the marks beside it. Pure.

The template draws the bars as SVG that is stretched over the plot, and the marks as text beside it:
so a chart fills any width, and its text stays readable on a telephone.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

GAP: Final = 0.16
"""Share of a bar's place that stays free."""

TICKS: Final = 6


class Series(NamedTuple):
    """One colour of a chart.

    Attributes:
        name: For a person.
        tone: Name of its colour in the style sheet.
        values: One for each place, >= 0.
    """

    name: str
    tone: str
    values: list[int]


class Bar(NamedTuple):
    """A rectangle in per cent of the plot, y from the top; `title` says what it is."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


class Mark(NamedTuple):
    """A text beside the plot, at so many per cent from the left or from the bottom."""

    at: float
    text: str


class Chart(NamedTuple):
    """A chart with the numbers behind it.

    Attributes:
        places: What stands at each place, such as weeks.
        series: What is drawn, from the bottom up.
        bars: The drawing.
        across: Marks below.
        up: Marks at the left, from nought up.
        total: Sum over everything.
    """

    places: list[str]
    series: list[Series]
    bars: list[Bar]
    across: list[Mark]
    up: list[Mark]
    total: int


def stacked(
    places: Sequence[str],
    series: Sequence[Series],
    names: Sequence[str] | None = None,
    top: int | None = None,
) -> Chart:
    """Draw bars side by side, the values of each place upon each other.

    Args:
        places: What stands at each place, >= 1 of them.
        series: From the bottom up; those without a value are left out.
        names: What is written below a place, "" for nothing; None writes the places themselves.
        top: What the full height stands for; None fits the highest bar.

    >>> chart = stacked(["a", "b"], [Series("x", "t1", [1, 4]), Series("y", "t2", [1, 0])])
    >>> [(bar.y, bar.height, bar.title) for bar in chart.bars]
    [(75.0, 25.0, 'a, x: 1'), (0.0, 100.0, 'b, x: 4'), (50.0, 25.0, 'a, y: 1')]
    >>> chart.up
    [Mark(at=0.0, text='0'), Mark(at=50.0, text='2'), Mark(at=100.0, text='4')]
    """
    drawn = [one for one in series if any(one.values)]
    sums = [sum(one.values[k] for one in drawn) for k in range(len(places))]
    step = _step(max([1, *sums]) if top is None else max(1, top))
    height = step * math.ceil(max([1, *sums, top or 0]) / step)
    step_x = 100 / len(places)
    below = [0] * len(places)
    bars: list[Bar] = []
    for one in drawn:
        for k, value in enumerate(one.values):
            if value:
                below[k] += value
                bars.append(
                    Bar(
                        x=round((k + GAP / 2) * step_x, 3),
                        y=round(100 - 100 * below[k] / height, 3),
                        width=round((1 - GAP) * step_x, 3),
                        height=round(100 * value / height, 3),
                        tone=one.tone,
                        title=f"{places[k]}, {one.name}: {value:,}",
                    )
                )
    written = places if names is None else names
    across = [Mark(round((k + 0.5) * step_x, 2), text) for k, text in enumerate(written) if text]
    up = [Mark(round(100 * n / height, 2), f"{n:,}") for n in range(0, height + 1, step)]
    return Chart(list(places), drawn, bars, across, up, sum(sums))


def sparse(names: Sequence[str], most: int = TICKS) -> list[str]:
    """Return names of which at most so many are left, evenly; the others are empty.

    >>> sparse(["a", "a", "b", "b", "c"], 3)
    ['a', '', 'b', '', 'c']
    """
    fresh = [k for k, name in enumerate(names) if k == 0 or names[k - 1] != name]
    every = math.ceil(len(fresh) / most)
    kept = set(fresh[::every])
    return [name if k in kept else "" for k, name in enumerate(names)]


def _step(top: int) -> int:
    """Return the distance of marks: a round number that needs at most five of them."""
    size = int(10 ** max(0, math.floor(math.log10(top)) - 1))
    for factor in (1, 2, 5, 10, 20, 50):
        if top <= 3 * factor * size:
            return factor * size
    return 100 * size
