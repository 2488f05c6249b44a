"""The rows of files, the plain ones apart: checked all at once, and sorted for each worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from schemas.envelope import COMPANY
from services.ingest.entries import AHEAD_MICROS
from services.ingest.history.files import HistoryFile
from services.ingest.history.play import HOUR
from services.ingest.history.staging import Staging
from services.ingest.history.tabular import DEFAULT_METRIC
from services.partitioning import partition_of

ROW_GROUP: Final = 200_000
NEVER: Final = 1 << 62

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.:/ -]{0,99}"
_PLAIN: Final = rf"""
    micros > 0 AND micros <= $latest AND (day IS NULL OR day >= 0)
    AND regexp_full_match(c0, '[ -~]{{1,200}}') AND c0 <> '{COMPANY}'
    AND regexp_full_match(c2, '(0|[1-9]\d{{0,11}})(\.\d{{1,3}})?')
    AND (c3 IS NULL OR regexp_full_match(c3, '{_NAME}'))
    AND (c4 IS NULL OR regexp_full_match(c4, '[ -~]{{1,200}}'))
    AND (c5 IS NULL OR regexp_full_match(c5, '{_NAME}'))
"""
"""Usage that reads the same whoever reads it; what is not so plain goes the way of an import.

Source: the fields of `schemas.events.UsageRecorded`, only ASCII.
"""


class Prepared(NamedTuple):
    """What plain rows hold, beside the files that the workers read.

    Attributes:
        folder: `rows<n>.parquet`, `names<n>.parquet` and `kinds.parquet` of each partition n.
        rows: How many they are.
        first: Time of the first, microseconds since 1970-01-01 UTC; `NEVER` where there is none.
        last: Time of the last; 0 where there is none.
        seen: Hours, since 1970-01-01 UTC, in which each source sent something, in order.
    """

    folder: Path
    rows: int
    first: int
    last: int
    seen: list[tuple[int, str]]


class Staged(Staging):
    """An import's rows, of which the plain ones can be taken out.

    Args:
        files: What `files.find` returned.
    """

    def __init__(self, files: Sequence[HistoryFile]) -> None:
        super().__init__(files)
        self._all = files

    def __enter__(self) -> "Staged":
        super().__enter__()
        return self

    def prepare(self, now: int, partitions: int) -> Prepared:
        """Take the plain rows out and write them for the workers; `rows` yields the others.

        Args:
            now: Microseconds since 1970-01-01 UTC; later rows are refused by whoever reads them.
            partitions: How many workers there are.
        """
        folder = Path(self._folder.name)
        self._gather(now + AHEAD_MICROS)
        self._name(partitions)
        for number in range(partitions):
            self._write(folder, number)
        self._base.execute(f"COPY (SELECT * FROM kinds ORDER BY id) TO '{folder}/kinds.parquet'")
        seen = self._base.execute(
            f"SELECT DISTINCT micros // {HOUR} AS hour, file FROM plain ORDER BY ALL"
        ).fetchall()
        rows, first, last = self._one("SELECT count(*), min(micros), max(micros) FROM plain")
        for table in ("plain", "names", "kinds"):
            self._base.execute(f"DROP TABLE {table}")
        hours = [(hour, self._all[file].source) for hour, file in seen]
        return Prepared(folder, rows, NEVER if first is None else first, last or 0, hours)

    def _gather(self, latest: int) -> None:
        """Move the plain rows of all files into one table."""
        self._base.execute(
            "CREATE TABLE plain (file INTEGER, number BIGINT, micros BIGINT, day BIGINT, "
            "account VARCHAR, metric VARCHAR, person VARCHAR, feature VARCHAR, amount BIGINT)"
        )
        for index, file in enumerate(self._all):
            if file.kind != "usage":
                continue
            self._base.execute(
                f"INSERT INTO plain SELECT {index}, number, micros, day, c0, "
                f"coalesce(c3, '{DEFAULT_METRIC}'), c4, c5, "
                f"CAST(CAST(c2 AS DECIMAL(18, 3)) * 1000 AS BIGINT) "
                f"FROM rows{index} WHERE {_PLAIN}",
                {"latest": latest},
            )
            self._base.execute(
                f"DELETE FROM rows{index} WHERE coalesce({_PLAIN}, false)", {"latest": latest}
            )

    def _name(self, partitions: int) -> None:
        """Number accounts, and what is counted, so that workers read numbers only."""
        self._base.create_function(
            "home", lambda account: partition_of(account, partitions), ["VARCHAR"], "INTEGER"
        )
        self._base.execute(
            "CREATE TABLE names AS SELECT account, home(account) AS home, "
            "row_number() OVER (PARTITION BY home(account) ORDER BY account) - 1 AS id "
            "FROM (SELECT DISTINCT account FROM plain)"
        )
        self._base.execute(
            "CREATE TABLE kinds AS SELECT *, "
            "row_number() OVER (ORDER BY metric, person, feature) - 1 AS id "
            "FROM (SELECT DISTINCT metric, person, feature FROM plain)"
        )

    def _write(self, folder: Path, number: int) -> None:
        self._base.execute(
            "COPY (SELECT micros, file, number, day, names.id AS account, kinds.id AS kind, amount "
            "FROM plain JOIN names USING (account) JOIN kinds ON plain.metric = kinds.metric "
            "AND plain.person IS NOT DISTINCT FROM kinds.person "
            "AND plain.feature IS NOT DISTINCT FROM kinds.feature "
            f"WHERE home = {number} ORDER BY micros, file, number) "
            f"TO '{folder}/rows{number}.parquet' (ROW_GROUP_SIZE {ROW_GROUP})"
        )
        self._base.execute(
            f"COPY (SELECT account FROM names WHERE home = {number} ORDER BY id) "
            f"TO '{folder}/names{number}.parquet'"
        )
