"""What became of the customers: a file of churns, its unfit rows refused one by one."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb

from services.backtest.churns import Churn, Truth
from services.ingest.history.files import HistoryError, HistoryFile, find
from services.ingest.history.unreadable import why, with_even_ends

EXAMPLES: Final = 5
"""So many refused rows are quoted."""

_EARLIEST: Final = date(1970, 1, 1)
_COLUMNS: Final = ("account_id", "date", "amount")
_ACCOUNT_LIMIT: Final = 200
_AMOUNT_LIMIT: Final = 1 << 53
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})([ T].*)?", re.DOTALL)
_WHOLE: Final = re.compile(r"(\d{1,16})(\.0*)?")

Cells = tuple[str | None, str | None, str | None]


def read(path: Path) -> Truth:
    """Read a file of churns: account_id, date, and amount where it is known.

    A day is taken as it is written: a time behind it and its zone are not read. An account may
    leave, come back and leave again; only the same account on the same day is refused.

    Args:
        path: CSV, gzipped or not, or Parquet.

    Raises:
        HistoryError: The file cannot be read, or misses a column.
    """
    (file,) = find([path], "accounts")
    if file.column("date") is None:
        raise HistoryError(
            f"{path} misses the column 'date' that a file of churns needs; it has "
            f"{', '.join(file.columns) or 'none'}: rename or add it"
        )
    try:
        with TemporaryDirectory() as folder, duckdb.connect() as base:
            if file.form == "csv":
                copy = with_even_ends(path, file.packed, Path(folder))
                file = replace(file, path=copy, packed=False)
            found, broken = _rows(base, file), _broken(base, file)
    except (duckdb.Error, OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path} cannot be read: {why(file.form, error)}") from error
    return _sorted_out(path, found, broken)


def _rows(base: duckdb.DuckDBPyConnection, file: HistoryFile) -> list[Cells]:
    cells = ", ".join(f"nullif(trim({_cell(file, name)}), '')" for name in _COLUMNS)
    if file.form == "parquet":
        return base.execute(f"SELECT {cells} FROM read_parquet(?)", [str(file.path)]).fetchall()
    types = ", ".join(f"{_quoted(column)}: 'VARCHAR'" for column in file.columns)
    reader = (
        f"read_csv(?, auto_detect = false, header = true, columns = {{{types}}}, "
        f"delim = {_quoted(file.delimiter)}, quote = '\"', escape = '\"', "
        "store_rejects = true, rejects_table = 'broken', rejects_scan = 'scan')"
    )
    return base.execute(f"SELECT {cells} FROM {reader}", [str(file.path)]).fetchall()


def _cell(file: HistoryFile, name: str) -> str:
    column = file.column(name)
    return "NULL" if column is None else f"CAST({_quoted(column, chr(34))} AS VARCHAR)"


def _broken(base: duckdb.DuckDBPyConnection, file: HistoryFile) -> list[tuple[int, str]]:
    """Return the lines that are no rows, and what is wrong with each."""
    if file.form == "parquet":
        return []
    return base.execute(
        "SELECT line, any_value(error_message) FROM broken GROUP BY line ORDER BY line"
    ).fetchall()


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace(mark, mark * 2) + mark


def _sorted_out(path: Path, found: Sequence[Cells], broken: Sequence[tuple[int, str]]) -> Truth:
    """Make churns of the rows; say of each other one why it is none."""
    refused = Counter({"broken_row": len(broken)} if broken else {})
    examples = [f"{path} line {line}: {detail.splitlines()[0]}" for line, detail in broken]
    churns: dict[tuple[date, str], Churn] = {}
    for number, cells in enumerate(found, 1):
        churn = _churn(cells)
        if isinstance(churn, Churn) and (churn.on, churn.account) in churns:
            churn = "duplicate", f"{churn.account!r} leaves on {churn.on} in an earlier row already"
        if isinstance(churn, Churn):
            churns[churn.on, churn.account] = churn
            continue
        reason, detail = churn
        refused[reason] += 1
        examples.append(f"{path} row {_place(number, broken)}: {detail}")
    return Truth(sorted(churns.values(), key=lambda one: one[:2]), refused, examples[:EXAMPLES])


def _place(number: int, broken: Sequence[tuple[int, str]]) -> int:
    """Return where a row stands in its file, from 1 without the header."""
    for line, _ in broken:
        number += line - 1 <= number
    return number


def _churn(cells: Cells) -> Churn | tuple[str, str]:
    """Return the churn that a row tells, or the reason and the detail of its refusal."""
    account, when, amount = cells
    if account is None or len(account) > _ACCOUNT_LIMIT:
        what = "the account is missing" if account is None else "the account's id is too long"
        return "invalid", f"{what}; account_id has 1 to {_ACCOUNT_LIMIT} characters"
    written = _DATE.fullmatch(when or "")
    on = _day(written[1]) if written else None
    if on is None:
        return "invalid", f"date {when!r} is none; write it as 2026-05-14"
    if on <= _EARLIEST:
        return "invalid", f"date {when!r} must lie after {_EARLIEST}, as all history does"
    whole = _WHOLE.fullmatch(amount or "0")
    if whole is None or int(whole[1]) >= _AMOUNT_LIMIT:
        return "invalid", (
            f"amount {amount!r} must be a whole number of minor units from 0 to 2^53, as arr is "
            "in a file of accounts"
        )
    return Churn(on, account, None if amount is None else int(whole[1]))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
