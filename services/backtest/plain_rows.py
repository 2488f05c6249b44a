"""Plain rows of usage, as a worker reads them back: in their order, as entries of the log."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from schemas.envelope import Entry, Origin, account
from schemas.events import UsageRecorded
from services.backtest.orders import Key
from services.ingest.history.play import DAY, INPUT

CHUNK: Final = 400_000
"""Rows that are held at a time: some 20 MB."""

FOREVER: Final = 1 << 40
_CACHED: Final = 100_000


class Keyed(NamedTuple):
    """An entry, and where it stands among others.

    Attributes:
        key: Its place.
        entry: The entry.
    """

    key: Key
    entry: Entry


class Rows(NamedTuple):
    """Some plain rows in their order: their entries, and where each stands."""

    entries: list[Entry]
    files: list[int]
    numbers: list[int]

    def keyed(self) -> list[Keyed]:
        """Return them with their keys, for who merges them with others."""
        places = zip(self.entries, self.files, self.numbers, strict=True)
        return [Keyed((entry.time, 1, file, number), entry) for entry, file, number in places]


class Plain:
    """The plain rows of one partition.

    Args:
        folder: Where `Staged.prepare` wrote them.
        number: The partition.
        stems: Of each file of the backtest, its name without extension.
        sources: Of each file, the source of its rows.
        ends: Per account, the last day that it is known for.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        stems: list[str],
        sources: list[str],
        ends: Mapping[str, int],
    ) -> None:
        self._base = duckdb.connect(config={"threads": 1})
        self._rows = f"{folder}/rows{number}.parquet"
        self._stems = stems
        self._sources = sources
        names = self._all(f"SELECT account FROM read_parquet('{folder}/names{number}.parquet')")
        self._names = [name for (name,) in names]
        self._subjects = [(account(name),) for name in self._names]
        self._ends = np.array([ends.get(name, FOREVER) for name in self._names], dtype=np.int64)
        self._kinds = self._all(
            f"SELECT metric, person, feature FROM read_parquet('{folder}/kinds.parquet')"
        )
        self._events: dict[tuple[int, int], UsageRecorded] = {}
        self._number = 0
        self._place = 0
        self._chunk = self._read()
        self.beyond: list[str] = []
        """Rows of days after the last one of their account."""

    def until(self, at: int) -> Iterator["Rows"]:
        """Yield the rows before an instant that were not yet, in their order.

        Args:
            at: Microseconds since 1970-01-01 UTC, never earlier than in the call before.
        """
        while len(self._chunk["micros"]):
            count = int(np.searchsorted(self._chunk["micros"], at))
            if count:
                yield self._rows_of({name: one[:count] for name, one in self._chunk.items()})
            if count < len(self._chunk["micros"]):
                self._chunk = {name: column[count:] for name, column in self._chunk.items()}
                return
            self._chunk = self._read()

    def _rows_of(self, head: dict[str, NDArray[np.int64]]) -> "Rows":
        days = np.where(head["day"] < 0, head["micros"] // DAY, head["day"])
        kept = days <= self._ends[head["account"]]
        if not kept.all():
            self._refuse({name: column[~kept].tolist() for name, column in head.items()})
            head = {name: column[kept] for name, column in head.items()}
        columns = [head[name].tolist() for name in _COLUMNS]
        stems, sources, subjects, event = self._stems, self._sources, self._subjects, self._event
        first, self._number = self._number, self._number + len(columns[0])
        # Whoever plays years of a fleet makes millions of these: no call for each.
        entries = [
            Entry(
                f"{stems[file]}:{number}",
                sources[file],
                at,
                subjects[account],
                event(kind, amount),
                Origin(INPUT, 0, 1, place),
                None if day < 0 else day,
            )
            for place, (at, file, number, day, account, kind, amount) in enumerate(
                zip(*columns, strict=True), first + 1
            )
        ]
        return Rows(entries, columns[1], columns[2])

    def _event(self, kind: int, amount: int) -> UsageRecorded:
        known = self._events.get((kind, amount))
        if known is None:
            metric, person, feature = self._kinds[kind]
            quantity = amount // 1000 if amount % 1000 == 0 else amount / 1000
            known = UsageRecorded(metric=metric, quantity=quantity, person=person, feature=feature)
            if len(self._events) < _CACHED:
                self._events[kind, amount] = known
        return known

    def _refuse(self, gone: dict[str, list[int]]) -> None:
        for file, number, who in zip(gone["file"], gone["number"], gone["account"], strict=True):
            self.beyond.append(f"{self._stems[file]} row {number}: {self._names[who]!r}")

    def _read(self) -> dict[str, NDArray[np.int64]]:
        """Return the next rows, none at the end; a row without a day has day -1."""
        first, self._place = self._place, self._place + CHUNK
        found = self._base.execute(
            f"SELECT micros, file, number, coalesce(day, -1) AS day, account, kind, amount "
            f"FROM read_parquet('{self._rows}', file_row_number = true) "
            f"WHERE file_row_number BETWEEN {first} AND {self._place - 1}"
        ).fetchnumpy()
        return {name: np.asarray(found[name], dtype=np.int64) for name in _COLUMNS}

    def _all(self, query: str) -> list[tuple[str, ...]]:
        return self._base.execute(query).fetchall()


_COLUMNS: Final = ("micros", "file", "number", "day", "account", "kind", "amount")
