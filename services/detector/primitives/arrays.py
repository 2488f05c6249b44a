"""Arithmetic whose result for an account does not depend on the batch it is computed in.

Elementwise operations and sums in a fixed order only (design.md §5, "sameness"); statistics are
settled before they are compared.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.detector.primitives.day import Floats, Series


def pick(series: Series, rows: NDArray[np.intp]) -> Series:
    """Return the accounts `rows` of a series, in that order."""
    return replace(
        series,
        counts=series.counts[rows],
        masked=series.masked[rows],
        known=series.known[rows],
        swings=series.swings[rows],
        active=series.active[rows],
        whole=None if series.whole is None else pick(series.whole, rows),
        fresh=None if series.fresh is None else series.fresh[rows],
        memo={},
    )


def by_lag(series: Series, days: int) -> tuple[Floats, Floats]:
    """Return counts (0 where unused) and 1/0 for used days, (days, accounts), newest first."""
    known: tuple[Floats, Floats] | None = series.memo.get("by_lag")
    if known is None or len(known[0]) < days:
        known = series.memo["by_lag"] = _by_lag(series, days)
    return known[0][:days], known[1][:days]


def _by_lag(series: Series, days: int) -> tuple[Floats, Floats]:
    width = min(days, series.counts.shape[1])
    counts, used = np.zeros((2, days, len(series.known)))
    used[:width] = ~series.masked[:, ::-1][:, :width].T
    used *= np.arange(days)[:, np.newaxis] < series.known
    np.multiply(series.counts[:, ::-1][:, :width].T, used[:width], out=counts[:width])
    # Others are given the same arrays.
    counts.flags.writeable = used.flags.writeable = False
    return counts, used


def total(rows: Iterable[Floats]) -> Floats:
    """Return the sum over the first axis, in its order: numpy's own regroups by memory layout."""
    first, *others = rows
    result = first.copy()
    for row in others:
        result += row
    return result


def running(rows: Floats) -> Floats:
    """Return the sums of the first k rows, k = 0 .. all, (rows + 1, accounts)."""
    sums = np.zeros((len(rows) + 1, rows.shape[1]))
    # The same additions as numpy's own, which walks down each column alone.
    for k, row in enumerate(rows):
        np.add(sums[k], row, out=sums[k + 1])
    return sums


def share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole elementwise, NaN where `whole` is not above 0."""
    result: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return result


def settled(statistic: Floats) -> Floats:
    """Return a statistic as it is compared: 9 decimals, so that a last bit decides nothing."""
    return np.round(statistic, 9)
