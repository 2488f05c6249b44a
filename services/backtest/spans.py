"""For how long each account is known: `start` and `days` of the accounts files."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import duckdb

from services.detector.calendars import to_day
from services.ingest.history.files import HistoryFile

DAYS: Final = "days"
LIMIT: Final = 100_000


class Spans(dict[str, int]):
    """The last day of each account that has one, by account.

    Attributes:
        wrong: Rows whose span says nothing, for a person.
    """

    def __init__(self) -> None:
        """Begin with no account."""
        super().__init__()
        self.wrong: list[str] = []

    def read(self, files: Sequence[HistoryFile]) -> "Spans":
        """Take the spans of all accounts files over.

        Args:
            files: Of any kind; one of accounts that has no column `days` bounds nothing.
        """
        with duckdb.connect() as base:
            for file in files:
                if file.kind == "accounts" and file.column(DAYS) is not None:
                    for number, row in enumerate(_rows(base, file), 1):
                        self._take(f"{file.path} row {number}, column days", *row)
        return self

    def _take(self, where: str, account: str | None, start: str | None, days: str | None) -> None:
        if not account or not days:
            return
        begins = _day(start)
        if begins is None:
            self.wrong.append(f"{where}: it says nothing without a start such as 2026-05-14")
        elif (length := _whole(days)) is None or not 1 <= length <= LIMIT:
            self.wrong.append(f"{where}: {days[:40]!r} must be a whole number from 1 to {LIMIT}")
        else:
            self[account] = begins + length - 1


def _whole(text: str) -> int | None:
    whole = text.removesuffix(".0")
    return int(whole) if whole.isdecimal() and len(whole) <= len(str(LIMIT)) else None


def _day(start: str | None) -> int | None:
    try:
        return to_day(date.fromisoformat((start or "")[:10]))
    except ValueError:
        return None


def _rows(
    base: duckdb.DuckDBPyConnection, file: HistoryFile
) -> list[tuple[str | None, str | None, str | None]]:
    names = ("account_id", "start", DAYS)
    cells = ", ".join(
        "NULL"
        if (own := file.column(name)) is None
        else f"nullif(trim(CAST(\"{own.replace(chr(34), chr(34) * 2)}\" AS VARCHAR)), '')"
        for name in names
    )
    if file.form == "parquet":
        found = base.execute(f"SELECT {cells} FROM read_parquet(?)", [str(file.path)])
    else:
        found = base.execute(
            f"SELECT {cells} FROM read_csv(?, header = true, all_varchar = true, delim = ?, "
            "quote = '\"', escape = '\"', ignore_errors = true, compression = ?)",
            [str(file.path), file.delimiter, "gzip" if file.packed else "none"],
        )
    return found.fetchall()
