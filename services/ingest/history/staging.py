"""Rows of past events, put into one order of time by duckdb, out of memory where there are many."""

import heapq
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

import duckdb

from services.ingest.history.files import COLUMNS, HistoryError, HistoryFile
from services.ingest.history.unreadable import BROKEN, broken_line, why, with_even_ends

UNREADABLE: Final = -(1 << 62)
"""The time of a row whose own cannot be read: such rows come first."""

DATED_MICROS: Final = 10 * 3_600_000_000
"""A row that has only a date happens at 10:00 UTC: within the local day from UTC-10 to UTC+13."""

_RANK: Final = {"accounts": 0, "usage": 1, "tickets": 2, "events": 2}
_FETCH: Final = 10_000
_MEMORY: Final = "512MB"
_LINE_LIMIT: Final = 2 << 20


class Row(NamedTuple):
    """One row of a file; rows compare in the order in which they are played.

    Attributes:
        at: Microseconds since 1970-01-01 UTC, or `UNREADABLE`.
        rank: Accounts before usage before others at the same time.
        file: Place of its file in the import.
        number: Place in its file, from 1, without lines that are no rows at all.
        day: Days since 1970-01-01 where the row has only a date, else None.
        cells: Text of the columns of the file's kind; None for an empty or missing one.
    """

    at: int
    rank: int
    file: int
    number: int
    day: int | None
    cells: tuple[str | None, ...]


class Broken(NamedTuple):
    """A line that is no row: too few cells, too many, not UTF-8."""

    file: int
    line: int
    detail: str
    raw: str


class Span(NamedTuple):
    """What files cover: all their rows, and the first and last instant (µs) that has passed."""

    rows: int
    first: int | None
    last: int | None


class Staging(AbstractContextManager["Staging"]):
    """The files' rows in a database of its own on disk, which leaving removes.

    Args:
        files: What `files.find` returned.
    """

    def __init__(self, files: Sequence[HistoryFile]) -> None:
        self._files = files

    def __enter__(self) -> "Staging":
        self._folder = tempfile.TemporaryDirectory(prefix="ebbwatch-import-")
        folder = Path(self._folder.name)
        self._base = duckdb.connect(folder / "rows.duckdb")
        self._base.execute("SET TimeZone = 'UTC'")
        self._base.execute(f"SET memory_limit = '{_MEMORY}'")
        self._base.execute(f"SET temp_directory = '{folder}/spill'")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()
        self._folder.cleanup()

    def load(self, now: int) -> Span:
        """Read every file once.

        Args:
            now: Microseconds since 1970-01-01 UTC; what lies behind it does not count, and it is
                the time of accounts that have no start, in an import without any date.

        Raises:
            HistoryError: A file cannot be read, no row of it has a readable time, or no row of
                any file lies between 1970 and now.
        """
        for index, file in enumerate(self._files):
            try:
                self._read(index, file)
            except (duckdb.Error, OSError, EOFError, zlib.error) as error:
                raise HistoryError(
                    f"{file.path} cannot be read: {why(file.form, error)}"
                ) from error
        self._place_accounts(now)
        span = self._span(range(len(self._files)), now)
        if span.first is None:
            raise HistoryError(self._nothing(span.rows))
        return span

    def _nothing(self, rows: int) -> str:
        """Return why there is nothing to play."""
        files = ", ".join(str(file.path) for file in self._files)
        if rows:
            return f"{files}: none of {rows} rows lies between 1970 and now"
        broken = self.broken()
        if broken:
            first = f"line {broken[0].line}: {broken[0].detail}"
            return f"{files}: no line is a row; the first that is none is {first}"
        return f"{files} {'holds' if len(self._files) == 1 else 'hold'} no rows"

    def broken(self) -> list[Broken]:
        """Return the lines that are no rows, each once: duckdb names each cell that is missing."""
        first = ", ".join(
            f"arg_min({name}, coalesce(column_idx, 0))"
            for name in ("error_type::VARCHAR", "error_message", "csv_line")
        )
        return [
            Broken(index, line, broken_line(kind, said), raw or "")
            for index, file in enumerate(self._files)
            if file.form != "parquet"
            for line, kind, said, raw in self._base.execute(
                f"SELECT line, {first} FROM broken{index} GROUP BY line ORDER BY line"
            ).fetchall()
        ]

    def rows(self) -> Iterator[Row]:
        """Yield every row in the order in which it is played; a few thousand are held at a time."""
        return heapq.merge(*(self._rows(index) for index in range(len(self._files))))

    def _rows(self, index: int) -> Iterator[Row]:
        file = self._files[index]
        cells = ", ".join(f"c{place}" for place in range(len(COLUMNS[file.kind])))
        found = self._base.cursor().execute(
            f"SELECT coalesce(micros, {UNREADABLE}), number, day, {cells} FROM rows{index} "
            "ORDER BY 1, 2"
        )
        rank = _RANK[file.kind]
        while chunk := found.fetchmany(_FETCH):
            for at, number, day, *texts in chunk:
                yield Row(at, rank, index, number, day, tuple(texts))

    def _read(self, index: int, file: HistoryFile) -> None:
        """Read a file; where its lines end now so, now otherwise, a copy of it."""
        try:
            self._load(index, file)
        except duckdb.InvalidInputException as error:
            if file.form == "parquet" or BROKEN not in str(error):
                raise
            copy = with_even_ends(file.path, file.packed, Path(self._folder.name))
            self._load(index, replace(file, path=copy, packed=False))
            copy.unlink()

    def _load(self, index: int, file: HistoryFile) -> None:
        cells = ", ".join(
            f"nullif(trim({_cell(file, name)}), '') AS c{place}"
            for place, name in enumerate(COLUMNS[file.kind])
        )
        reader, values = _reader(file, index)
        self._base.execute(
            f"CREATE TABLE rows{index} AS "
            f"SELECT *, coalesce(day * 86400000000 + {DATED_MICROS}, {_INSTANT}) AS micros "
            f"FROM (SELECT *, {_DAY} AS day FROM (SELECT *, {_when(file)} AS w "
            f"FROM (SELECT row_number() OVER () AS number, {cells} FROM {reader})))",
            values,
        )
        self._refuse_without_times(index, file)

    def _refuse_without_times(self, index: int, file: HistoryFile) -> None:
        total, timed = self._one(f"SELECT count(*), count(micros) FROM rows{index}")
        if total and not timed and file.kind != "accounts":
            column = "time" if file.kind == "events" else "date"
            sample = self._one(f"SELECT min(w) FROM rows{index}")[0]
            raise HistoryError(
                f"{file.path}: no row has a readable {column} (such as {sample!r}); write it as "
                "2026-05-14, or with time and zone as 2026-05-14T09:31:07Z"
            )

    def _place_accounts(self, now: int) -> None:
        """Let accounts begin with the history, however long before it they were won."""
        events = [i for i, file in enumerate(self._files) if file.kind != "accounts"]
        accounts = [i for i, file in enumerate(self._files) if file.kind == "accounts"]
        first = self._span(events, now).first
        if first is None:
            first = self._span(accounts, now).first
        if first is None:
            first = now
        for index in accounts:
            self._base.execute(
                f"UPDATE rows{index} SET micros = {first}, day = NULL "
                f"WHERE micros < {first} OR (micros IS NULL AND c1 IS NULL)"
            )

    def _span(self, indexes: Sequence[int], now: int) -> Span:
        parts = " UNION ALL ".join(f"SELECT micros FROM rows{index}" for index in indexes)
        if not parts:
            return Span(0, None, None)
        past = f"FILTER (micros > 0 AND micros <= {now})"
        return Span(
            *self._one(f"SELECT count(*), min(micros) {past}, max(micros) {past} FROM ({parts})")
        )

    def _one(self, query: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] | None = self._base.execute(query).fetchone()
        assert found is not None, "an aggregate has one row"
        return found


_DAY: Final = (
    r"CASE WHEN regexp_full_match(w, '\d{4}-\d{2}-\d{2}([ T]00:00(:00(\.0+)?)?)?') "
    "THEN date_diff('day', DATE '1970-01-01', TRY_CAST(left(w, 10) AS DATE)) END"
)
_INSTANT: Final = (
    r"CASE WHEN regexp_full_match(w, '.*\d(Z|[+-]\d{2}(:?\d{2})?)') AND length(w) > 16 "
    "THEN epoch_us(TRY_CAST(w AS TIMESTAMPTZ)) END"
)


def _when(file: HistoryFile) -> str:
    """Return the SQL of the text that says when a row happened."""
    if file.kind == "events":
        return "CASE WHEN json_valid(c0) THEN upper(json_extract_string(c0, '$.time')) END"
    return "upper(c1)"


def _cell(file: HistoryFile, name: str) -> str:
    column = "raw" if file.form == "ndjson" else file.column(name)
    return "NULL" if column is None else f"CAST({_quoted(column, chr(34))} AS VARCHAR)"


def _reader(file: HistoryFile, index: int) -> tuple[str, list[str]]:
    """Return the SQL that reads a file as text, without guessing anything from its contents."""
    if file.form == "parquet":
        return "read_parquet(?)", [str(file.path)]
    lines = file.form == "ndjson"
    columns = ("raw",) if lines else file.columns
    types = ", ".join(f"{_quoted(column)}: 'VARCHAR'" for column in columns)
    quote = "" if lines else '"'
    return (
        f"read_csv(?, auto_detect = false, header = {not lines}, columns = {{{types}}}, "
        f"delim = {_quoted(chr(1) if lines else file.delimiter)}, quote = '{quote}', "
        f"escape = '{quote}', compression = '{'gzip' if file.packed else 'none'}', "
        f"max_line_size = {_LINE_LIMIT}, store_rejects = true, rejects_table = 'broken{index}', "
        f"rejects_scan = 'scan{index}')"
    ), [str(file.path)]


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace(mark, mark * 2) + mark
