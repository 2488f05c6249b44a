"""One account told by day, which all scalar references are given."""

from dataclasses import dataclass

from services.detector.primitives.day import Series


@dataclass(frozen=True)
class Account:
    """One account on the judged day `t`."""

    t: int
    counts: dict[int, float]
    masked: frozenset[int]
    swings: list[float]


def account(series: Series, row: int) -> Account:
    """Return one row of a series."""
    width = series.counts.shape[1]
    known = range(series.day - int(series.known[row]) + 1, series.day + 1)
    column = {day: width - 1 - (series.day - day) for day in known}
    return Account(
        t=series.day,
        counts={day: float(series.counts[row, column[day]]) for day in known},
        masked=frozenset(day for day in known if series.masked[row, column[day]]),
        swings=[float(d) for d in series.swings[row]],
    )
