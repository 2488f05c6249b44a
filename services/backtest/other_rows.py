"""Rows that are not plain, in their order: accounts, tickets, events, usage that looks odd."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from schemas.cloudevents import Incoming, Refused
from schemas.envelope import Origin
from schemas.events import AccountMerged
from services.backtest.orders import Key
from services.backtest.outcome import EXAMPLES
from services.backtest.staged import Staged
from services.ingest.entries import admit
from services.ingest.history.files import HistoryFile
from services.ingest.history.play import DAY, INPUT
from services.ingest.history.reading import Refusal, Rows
from services.ingest.history.staging import Row


class Item(NamedTuple):
    """An event that is to be played.

    Attributes:
        key: Time in microseconds, rank, file, number: its place among all rows.
        source: Who sent it.
        entries: Partition and bytes of its entries.
        roams: Whether it, or what follows, may go on to another account.
    """

    key: Key
    source: str
    entries: list[tuple[int, bytes]]
    roams: bool


class Beside:
    """Reads the rows that are not plain, and keeps count of what is refused.

    Args:
        files: The files of the backtest.
        staged: Their rows; the plain ones are out.
        ends: Per account, the last day that it is known for.
        now: Microseconds since 1970-01-01 UTC.
        partitions: How many there are.

    Attributes:
        rows: Rows read.
        refused: Refused rows by reason.
        examples: The first of them.
    """

    def __init__(
        self,
        files: Sequence[HistoryFile],
        staged: Staged,
        ends: Mapping[str, int],
        now: int,
        partitions: int,
    ) -> None:
        self._staged = staged
        self._reader = Rows(files, now)
        self._ends = ends
        self._now = now
        self._partitions = partitions
        self._number = 0
        self.rows = 0
        self.refused: Counter[str] = Counter()
        self.examples: list[str] = []

    def items(self) -> Iterator[Item]:
        """Yield every event in its order."""
        for refusal in self._reader.broken(self._staged.broken()):
            self._refuse(refusal)
        for row in self._staged.rows():
            self.rows += 1
            found = self._reader.read(row)
            if isinstance(found, Refusal):
                self._refuse(found)
                continue
            for incoming in found:
                outcome = self._item(row, incoming)
                if isinstance(outcome, Refused):
                    self._refuse(self._reader.refusal(row, outcome))
                else:
                    yield outcome

    def _item(self, row: Row, incoming: Incoming) -> Item | Refused:
        end = self._ends.get(incoming.account or "")
        if end is not None and (row.at // DAY if row.day is None else row.day) > end:
            return Refused("after_end", "", f"{incoming.account!r} had ended by then")
        origin = Origin(INPUT, 1, 1, self._number)
        outcome = admit(incoming, self._partitions, self._now, origin)
        if isinstance(outcome, Refused):
            return outcome
        self._number += 1
        roams = incoming.person is not None or isinstance(incoming.event, AccountMerged)
        return Item((row.at, row.rank, row.file, row.number), incoming.source, outcome, roams)

    def _refuse(self, refusal: Refusal) -> None:
        self.refused[refusal.why.reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(str(refusal))
