"""Rows of past events, in their order of time, as typed events, or why they are refused."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from schemas.cloudevents import Incoming, Refused, decode, too_deep
from schemas.events import PersonJoined
from schemas.rejects import RAW_LIMIT, Reject
from services.ingest.entries import AHEAD_MICROS
from services.ingest.history import tabular
from services.ingest.history.asked import DATES, refused, shown
from services.ingest.history.files import COLUMNS, HistoryFile
from services.ingest.history.staging import UNREADABLE, Broken, Row


class Refusal(NamedTuple):
    """A refused row.

    Attributes:
        file: Its file.
        row: Where it stands: "row 17" without the header, or "line 18" with it.
        why: The column, the reason and what is wrong.
        raw: Its contents.
    """

    file: HistoryFile
    row: str
    why: Refused
    raw: bytes

    def __str__(self) -> str:
        column = f", column {self.why.field}" if self.why.field else ""
        return f"{self.file.path} {self.row}{column}: {self.why.detail}"

    def reject(self) -> Reject:
        """Return the record for `rejects.v1`."""
        return Reject(
            stage="ingest",
            reason=self.why.reason,
            # Its source is that of all files of a kind.
            detail=f"{self.file.path.name} {self.row}: {self.why.detail}",
            raw=self.raw[:RAW_LIMIT],
            field=self.why.field,
            source=self.file.source,
        )


class Rows:
    """Reads rows in their order of time; remembers which account each person has joined.

    Args:
        files: The files of the import.
        now: Microseconds since 1970-01-01 UTC.
    """

    def __init__(self, files: Sequence[HistoryFile], now: int) -> None:
        self._files = files
        self._latest = now + AHEAD_MICROS
        self._accounts: dict[str, str] = {}
        self._lines: dict[int, list[int]] = {}

    def read(self, row: Row) -> Sequence[Incoming] | Refusal:
        """Return the events of a row, none for an empty line, or why it is refused."""
        file = self._files[row.file]
        if file.kind == "events" and row.cells[0] is None:
            return ()
        outcome = self._timed(file, row)
        return self.refusal(row, outcome) if isinstance(outcome, Refused) else outcome

    def refusal(self, row: Row, why: Refused) -> Refusal:
        """Return the refusal of a row."""
        file, number = self._files[row.file], row.number
        for line in self._lines.get(row.file, ()):
            number += line - (file.kind != "events") <= number
        return Refusal(file, f"row {number}", why, _raw(file, row))

    def broken(self, lines: Iterable[Broken]) -> list[Refusal]:
        """Return the refusals of lines that are no rows; rows are counted with them from now on.

        Args:
            lines: In their order.
        """
        found: list[Refusal] = []
        for line in lines:
            self._lines.setdefault(line.file, []).append(line.line)
            why = Refused("broken_row", "", line.detail)
            file = self._files[line.file]
            found.append(Refusal(file, f"line {line.line}", why, line.raw.encode()))
        return found

    def _timed(self, file: HistoryFile, row: Row) -> tabular.Outcome:
        if row.at == UNREADABLE:
            return _untimed(file, row)
        if row.at <= 0:
            detail = f"{_written(file, row)} must lie after 1970-01-01T00:00:00Z"
            return Refused("invalid", _when(file), detail)
        if row.at > self._latest:
            detail = (
                f"{_written(file, row)} lies in the future; leave it out until then (a date "
                "counts as 10:00 UTC)"
            )
            return Refused("future", _when(file), detail)
        return self._event(row) if file.kind == "events" else tabular.read(file, row)

    def _event(self, row: Row) -> tabular.Outcome:
        raw = (row.cells[0] or "").encode()
        if too_deep(raw):
            return Refused("too_deep", "", "it is nested too deeply")
        found = decode(raw)
        if isinstance(found, Refused):
            return found
        if isinstance(found.event, PersonJoined):
            self._accounts[found.event.person] = found.event.account
        return (self._attributed(found)._replace(time=row.at),)

    def _attributed(self, incoming: Incoming) -> Incoming:
        """Name the account that the event's person had joined by then, if that is known here."""
        account = self._accounts.get(incoming.person or "")
        return incoming if account is None else incoming._replace(account=account, person=None)


def _untimed(file: HistoryFile, row: Row) -> Refused:
    if file.kind == "events":
        found = decode((row.cells[0] or "").encode())
        if isinstance(found, Refused) and found.reason != "unattributed":
            return found
        detail = "a past event needs its time, written like 2026-05-14T09:31:07Z"
        return Refused("invalid", "time", detail)
    if row.cells[1] is None:
        return refused(_when(file), None)
    return Refused("invalid", _when(file), f"{shown(row.cells[1])} is no date; {DATES}")


def _written(file: HistoryFile, row: Row) -> str:
    """Return the time of a row as its file writes it."""
    return "it" if file.kind == "events" or row.cells[1] is None else shown(row.cells[1])


def _when(file: HistoryFile) -> str:
    return {"events": "time", "accounts": "start"}.get(file.kind, "date")


def _raw(file: HistoryFile, row: Row) -> bytes:
    if file.kind == "events":
        return (row.cells[0] or "").encode()
    given = zip(COLUMNS[file.kind], row.cells, strict=True)
    return msgspec.json.encode({name: text for name, text in given if text is not None})
