"""One partition of the view, as its owner writes it: only the owner, and nothing half."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from services.alerts.view import commands
from services.alerts.view.batch import Batch
from services.alerts.view.commands import Unit
from services.alerts.view.keys import Keys
from services.alerts.view.link import STEPS_SECONDS, Link, Superseded, ViewLost
from services.alerts.view.script import Command

WAITING_LIMIT: Final = 20_000
"""Things that wait for a Redis that is away; of more, the partition is rebuilt instead."""


class Part:
    """One partition, owned.

    Args:
        link: The connection.
        keys: Names of the keys.
        number: The partition.
        epoch: Its owner.
        now: Seconds since 1970.
        sent: Calls that were sent before for this partition; they may still arrive.

    Attributes:
        sent: Number of the newest call.
        keys: Names of the partition's keys.
        names: Names of the deployment's keys.
        lock: One write at a time, in the order in which they were folded.
        broken: Too much could not be written: the partition must be rebuilt.
        waiting: What could not be written yet.
        noted: What was written since a rebuild began otherwise than by it; None without one.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        number: int,
        epoch: str,
        now: Callable[[], float],
        sent: int = 0,
    ) -> None:
        self.sent = sent
        self.names = keys
        self.keys = keys.part(number)
        self.epoch = epoch
        self.lock = asyncio.Lock()
        self.broken = False
        self.waiting: Batch | None = None
        self.noted: Noted | None = None
        self._acked = sent
        self._link = link
        self._now = now

    async def claim(self, made: str, stamp: int, appended: int) -> bool:
        """Take the marker; see `Writer.claim`.

        Args:
            made: Partition count and shape of what is written; another one is rebuilt.
            stamp: What the caller has folded.
            appended: The append time of that.
        """
        async with self.lock, self._link.bounded():
            self.sent += 1
            words = (self.epoch, made, stamp, appended, self.sent)
            complete = await self._link.claim((self.keys.marker, self.names.stream), *words)
            self._acked = self.sent
        return complete

    async def write(self, batch: Batch) -> None:
        """Write what waits and a batch; see `Writer.write`."""
        async with self.lock:
            await self._write(batch)

    async def beat(self, as_of: float) -> bool:
        """Write what waits, and tell that the partition is followed; see `Writer.beat`."""
        async with self.lock:
            try:
                await self.write_waiting()
                complete = await self.put([[self.mark(as_of=as_of)]])
            except ViewLost:
                return False
        return (complete or self.noted is not None) and not self.broken

    async def write_waiting(self) -> None:
        """Write what could not be written before; the caller holds the lock."""
        if self.waiting is not None:
            await self._write(Batch())

    async def put(self, units: Iterable[Unit]) -> bool:
        """Write units, each whole; the caller holds the lock.

        Returns:
            Whether nothing is missing in the partition.
        """
        complete = False
        async with self._link.bounded(STEPS_SECONDS):
            for call in commands.calls(units):
                self.sent += 1
                caller = (self.epoch, self._acked, self.sent)
                keys = (self.keys.marker, self.names.stream)
                complete = await self._link.guarded(keys, caller, call)
                self._acked = self.sent
        return complete

    async def members(self, key: str, cursor: int) -> tuple[int, list[str]]:
        """Return some members of a set, and where the next ones begin; 0 after the last ones."""
        async with self._link.bounded():
            following, found = await self._link.ask("SSCAN", key, cursor, "COUNT", 1000)
        return int(following), [one.decode() for one in found]

    def mark(self, stamp: int = -1, appended: int = -1, as_of: float = 0.0) -> Command:
        """Return what writes into the marker how far the partition is written."""
        written = ("written", f"{self._now():.3f}")
        known = ("as_of", f"{as_of:.3f}") if as_of else ()
        folded = ("stamp", stamp, "appended", appended) if stamp >= 0 else ()
        return ("HSET", self.keys.marker, *written, *known, *folded)

    def today(self) -> datetime:
        """Return what day it is, for what is too old to be shown."""
        return datetime.fromtimestamp(self._now(), UTC)

    async def _write(self, batch: Batch) -> None:
        if self.broken:
            raise ViewLost(f"partition {self.keys.root} misses what could not wait any longer")
        if self.waiting is not None:
            self.waiting.add(batch)
            batch, self.waiting = self.waiting, None
        if self.noted is not None:
            self.noted.note(batch)
        try:
            await self.put(self._units(batch))
        except (Superseded, ViewLost):
            raise
        except BaseException:
            # Also when cancelled: nobody else has it any more.
            self.broken = len(batch) > WAITING_LIMIT
            self.waiting = None if self.broken else batch
            raise

    def _units(self, batch: Batch) -> Iterable[Unit]:
        keys, today = self.keys, self.today()
        yield from (commands.take_record(keys, key) for key in batch.gone)
        yield from (commands.put_case(keys, one) for one in batch.cases)
        yield from (commands.put_account(keys, one, today) for one in batch.summaries)
        yield from (commands.put_account(keys, one, today) for one in batch.days)
        # Who hears of a verdict or a change then reads the case: it is there by now.
        yield from (commands.put_answer(self.names, one) for one in batch.answers)
        yield from (commands.put_change(self.names, one) for one in batch.changes)
        yield [self.mark(batch.stamp, batch.appended, batch.as_of)]


class Noted:
    """What was written while a rebuild was under way: it is newer than what that one reads.

    Attributes:
        cases: Accounts whose cases were written, by either.
        records: Keys of `accounts.v1` that were written or removed: account, month or None.
        accounts: Accounts of which a summary or a month was written.
    """

    def __init__(self) -> None:
        self.cases: set[str] = set()
        self.records: set[tuple[str, str | None]] = set()
        self.accounts: set[str] = set()

    def note(self, batch: Batch) -> None:
        """Note what a batch writes."""
        self.cases.update(one.account for one in batch.cases)
        for summary in batch.summaries:
            self.records.add((summary.account, None))
            self.accounts.add(summary.account)
        for days in batch.days:
            self.records.add((days.account, days.month))
            self.accounts.add(days.account)
        for key in batch.gone:
            self.records.add((key, None))
            if found := commands.days_of(key):
                self.records.add(found)
