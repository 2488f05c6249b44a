"""The alerts of a backtest as CSV (formats.md, alerts out)."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from services.backtest.outcome import Row
from services.backtest.replacing import replacing

COLUMNS: Final = (
    *("account_id", "fired_at", "kind", "rule", "severity", "cleared_at", "alert_id"),
    *("ratio", "probability", "observed", "expected", "object", "reason", "shadow", "headline"),
)

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet takes a cell for a formula. A headline is for people, and gets a quote
in front; ids stay as they are: they are looked up."""


def write(path: Path, rows: Iterable[Row], *, shadow: bool) -> int:
    """Write alerts, one a line; dates are local days.

    Args:
        path: Where; a file that is there is replaced as a whole.
        rows: The alerts.
        shadow: Whether those that tell nobody are among them.

    Returns:
        How many were written.

    Raises:
        OSError: It cannot be written; a file that was there is as it was.
    """
    kept = [row for row in rows if shadow or not row.shadow]
    with replacing(path) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(list(_cells(row)) for row in kept)
    return len(kept)


def _cells(row: Row) -> Iterator[str]:
    yield from (row.account, row.day.isoformat(), row.kind, row.rule, row.severity)
    yield "" if row.cleared_on is None else row.cleared_on.isoformat()
    yield row.alert_id
    for value in (row.ratio, row.probability, row.observed, row.expected):
        yield "" if value is None else format(value, ".10g")
    yield from (row.object, row.reason or "", "true" if row.shadow else "false")
    yield f"'{row.headline}" if row.headline.startswith(_FORMULA) else row.headline
