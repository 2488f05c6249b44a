"""What an alert's numbers were computed from, as its record keeps it (detection.md §7)."""

from typing import Any

import numpy as np

from services.detector.calendars import to_date
from services.detector.primitives.day import Series


def computed_from(series: Series, row: int) -> dict[str, Any]:
    """Return a row of a series as plain JSON, from which its verdict can be computed again.

    Args:
        series: What was judged.
        row: The row; what it is a part of goes with it.
    """
    width = series.counts.shape[1]
    told = {
        "from": to_date(series.day - width + 1).isoformat(),
        "known": int(series.known[row]),
        "active": int(series.active[row]),
        "counts": [_number(value) for value in series.counts[row].tolist()],
        "masked": np.flatnonzero(series.masked[row]).tolist(),
        "swings": [_number(value) for value in series.swings[row].tolist()],
    }
    # Whether others of the batch have a new normal must not show.
    if series.fresh is not None and series.fresh[row] < series.known[row]:
        told["fresh"] = int(series.fresh[row])
    return told if series.whole is None else told | {"whole": computed_from(series.whole, row)}


def _number(value: float) -> float | int | None:
    """Return a plain JSON number, None for NaN."""
    if value != value:
        return None
    return int(value) if value == int(value) else value
