"""Cases on disk: `usage.parquet` and `accounts.csv`, and `truth.parquet` for the scorer."""

import csv
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tests.quality.cases import Case

_TRUTH = (
    "case",
    "tier",
    "dataset",
    "source_account",
    "scenario",
    "onset",
    "end",
    "mean_daily",
    "country",
    "z_oracle",
    "start",
    "days",
    "segment",
    "scored",
    "account_id",
    "stratum",
)


def write(cases: Sequence[Case], folder: Path) -> None:
    """Write cases to a folder, which is made if need be.

    Args:
        cases: In order.
        folder: Where the three files go; files of the same name are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accounts = ([c.account_id, c.segment, c.country, c.start, len(c.counts)] for c in cases)
    _csv(folder / "accounts.csv", ["account_id", "segment", "country", "start", "days"], accounts)
    usage = (
        [case.account_id, case.start + timedelta(days=int(i)), case.counts[i]]
        for case in cases
        for i in np.flatnonzero(case.counts)
    )
    _parquet(folder / "usage.parquet", ["account_id", "date", "count"], usage)
    _parquet(folder / "truth.parquet", _TRUTH, map(_true, cases))


def _true(case: Case) -> list[Any]:
    """Return what is known of a case, in the order of the columns."""
    number = int(case.account_id[1:])
    unknown = "" if np.isnan(case.z_oracle) else case.z_oracle
    return [
        number,
        case.tier,
        case.source,
        case.source_account,
        case.scenario,
        case.onset,
        case.end,
        case.mean_daily,
        case.country,
        unknown,
        case.start,
        len(case.counts),
        case.segment,
        case.scored,
        case.account_id,
        case.stratum,
    ]


def _csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(columns)
        lines.writerows(rows)


def _parquet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as Parquet, by way of a CSV file that is removed again."""
    plain = path.with_suffix(".csv")
    _csv(plain, columns, rows)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{_quoted(plain)}', sample_size = -1)) "
            f"TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)"
        )
    plain.unlink()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def load(folder: Path) -> list[Case]:
    """Read cases back, also those that another program made by the same recipe.

    Args:
        folder: With `usage.parquet` and `truth.parquet`.

    Returns:
        The cases in order of id.
    """
    with duckdb.connect() as connection:
        truth = connection.execute(
            'SELECT account_id, tier, dataset, source_account, scenario, onset, "end", mean_daily, '
            "country, z_oracle, CAST(start AS DATE), segment, scored, days "
            "FROM read_parquet(?) ORDER BY account_id",
            [str(folder / "truth.parquet")],
        ).fetchall()
        counts = {str(row[0]): np.zeros(int(row[-1]), dtype=np.int64) for row in truth}
        starts: dict[str, date] = {str(row[0]): row[10] for row in truth}
        usage = connection.execute(
            "SELECT account_id, list(CAST(date AS DATE)), list(count) FROM read_parquet(?) "
            "GROUP BY account_id",
            [str(folder / "usage.parquet")],
        ).fetchall()
    for account, days, amounts in usage:
        at = [(day - starts[account]).days for day in days]
        counts[account][at] = amounts
    return [_read(row, counts[str(row[0])]) for row in truth]


def _read(row: Sequence[Any], counts: Any) -> Case:
    clairvoyance = float("nan") if row[9] is None else float(row[9])
    return Case._make([*row[:9], clairvoyance, *row[10:13], counts])
