"""Plays files of past events through `events.v1`, once."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from schemas.cloudevents import Refused
from schemas.config import IMPORT_KEY, MODE_KEY, RuleSetRecord
from schemas.rejects import Reject
from services.config_log import ConfigLog
from services.ingest.history.files import HistoryError, HistoryFile, digest
from services.ingest.history.plan import Plan, Refusal, plan
from services.ingest.history.play import Item, Play
from services.ingest.history.reading import Refusal as RefusedRow
from services.ingest.history.reading import Rows
from services.ingest.history.staging import Row, Span, Staging

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH: Final = 4_000
"""Entries per call of the publisher: eight full envelopes."""
_AHEAD: Final = 6
"""Batches on their way at once: enough that Kafka never waits for the next one."""
_STALLED_SECONDS: Final = 60.0
_SHOWN: Final = 20


class Publishes(Protocol):
    """What an import needs of the publisher."""

    async def publish(self, items: Sequence[Item]) -> object:
        """Append entries, in order per partition, and return when all are acknowledged."""


@dataclass(slots=True)
class Progress:
    """How far an import is.

    Attributes:
        total: Rows to play.
        rows: Rows played or refused.
        entries: Entries on their way or acknowledged, ticks of each partition included.
        events: Events among them.
        at: Time of the row that was played last, None before the first.
        refused: Refused rows by reason.
        examples: The first of them.
    """

    total: int = 0
    rows: int = 0
    entries: int = 0
    events: int = 0
    at: datetime | None = None
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[RefusedRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outside:
    """What an import needs from outside.

    Args:
        config: The records of `config.v1`.
        publisher: Appends entries.
        partitions: Partition count of `events.v1`.
        refuse: Writes records into `rejects.v1`.
        ensure_rules: Returns the newest rule set, and applies the first where there is none.
        now: The wall clock, aware UTC.
        tell: Takes a line for the user.
        show: Is shown the progress now and then.
        stalled: Seconds without an acknowledgement after which Kafka counts as away, > 0.
    """

    config: ConfigLog
    publisher: Publishes
    partitions: int
    refuse: Callable[[Sequence[Reject]], Awaitable[None]]
    ensure_rules: Callable[[], Awaitable[RuleSetRecord]]
    now: Callable[[], datetime]
    tell: Callable[[str], None]
    show: Callable[[Progress], None]
    stalled: float = _STALLED_SECONDS


async def run_import(
    files: Sequence[HistoryFile], outside: Outside, *, again: bool = False
) -> Progress:
    """Import files; nothing is written if they are refused.

    Interrupted at any moment, the same call may be repeated: every entry bears its number, and
    the detector drops those it knows.

    Args:
        files: What `files.find` returned.
        outside: The rest of the world.
        again: True to count files once more that were imported already.

    Raises:
        HistoryError: The files are refused as a whole, or Kafka does not answer any more.
        ConfigConflict: Another command changed the deployment's mode meanwhile.
        ConfigUnavailable: Kafka does not answer.
    """
    now = outside.now()
    with Staging(files) as staging:
        outside.tell(f"reading {', '.join(file.path.name for file in files)}")
        span = await asyncio.to_thread(staging.load, _micros(now))
        found = await outside.config.read()
        decided = plan(found, await asyncio.to_thread(digest, files), now, again=again)
        if isinstance(decided, Refusal):
            raise HistoryError(decided.detail)
        rules = await outside.ensure_rules() if decided.history else None
        expect = {key: found.get(key) for key in (IMPORT_KEY, MODE_KEY)}
        await outside.config.write_all(decided.begin, expect)
        outside.tell(_describe(span, decided))
        run = _Run(files, staging, outside, decided, _micros(now))
        progress = await run.play(span, rules)
    await outside.config.write_all(decided.done, decided.begin)
    return progress


class _Run:
    """One run: rows in, batches of entries out, a few of them on their way at once."""

    def __init__(
        self,
        files: Sequence[HistoryFile],
        staging: Staging,
        outside: Outside,
        decided: Plan,
        now: int,
    ) -> None:
        self._rows = Rows(files, now)
        self._staging = staging
        self._outside = outside
        self._play = Play(outside.partitions, decided.run, now, ticking=decided.history)
        self._batch: list[Item] = []
        self._refused: list[Reject] = []
        self._under_way: deque[asyncio.Task[object]] = deque()
        self._progress = Progress()

    async def play(self, span: Span, rules: RuleSetRecord | None) -> Progress:
        """Play everything, after the rules, and return when the last entry is acknowledged."""
        try:
            broken = self._rows.broken(self._staging.broken())
            self._progress.total = span.rows
            if rules is not None:
                self._batch += self._play.rules(rules)
            for refusal in broken:
                self._refuse(refusal)
            for row in self._staging.rows():
                self._take(row)
                if len(self._batch) >= _BATCH or len(self._refused) >= _BATCH:
                    await self._send()
            self._batch += self._play.end(_micros(self._outside.now()))
            await self._send()
            await self._acknowledged(0)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
        return self._progress

    def _take(self, row: Row) -> None:
        found = self._rows.read(row)
        self._progress.rows += 1
        if isinstance(found, RefusedRow):
            self._refuse(found)
            return
        for incoming in found:
            self._progress.at = _instant(row.at)
            self._batch += self._play.ticks(row.at)
            outcome = self._play.event(incoming)
            if isinstance(outcome, Refused):
                self._refuse(self._rows.refusal(row, outcome))
            else:
                self._batch += outcome
                self._progress.events += 1

    def _refuse(self, refusal: RefusedRow) -> None:
        self._refused.append(refusal.reject())
        self._progress.refused[refusal.why.reason] += 1
        if len(self._progress.examples) < _SHOWN:
            self._progress.examples.append(refusal)

    async def _send(self) -> None:
        refused, self._refused = self._refused, []
        await self._outside.refuse(refused)
        batch, self._batch = self._batch, []
        # Tasks begin in the order of their making, so the entries stay in order.
        self._under_way.append(asyncio.create_task(_publish(self._outside.publisher, batch)))
        self._progress.entries += len(batch)
        await self._acknowledged(_AHEAD)
        self._outside.show(self._progress)

    async def _acknowledged(self, left: int) -> None:
        """Wait until at most so many batches are on their way."""
        await asyncio.sleep(0)
        while len(self._under_way) > left:
            done, _ = await asyncio.wait({self._under_way[0]}, timeout=self._outside.stalled)
            if not done:
                raise HistoryError(
                    f"Kafka has acknowledged nothing for {self._outside.stalled:g} s; once it is "
                    "back, run the same command again: nothing counts twice"
                )
            self._under_way.popleft().result()


async def _publish(publisher: Publishes, batch: list[Item]) -> object:
    return await publisher.publish(batch)


def _describe(span: Span, decided: Plan) -> str:
    what = "history" if decided.history else "back-fill"
    begun = "repeats" if decided.resumed else "begins"
    return (
        f"run {decided.run} {begun}: {what} of {span.rows:,} rows from "
        f"{_instant(span.first or 0):%Y-%m-%d} to {_instant(span.last or 0):%Y-%m-%d}"
    )


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
