"""Keeps one partition's part of the view written, and writes it anew when it is lost.

Nothing here holds up the fold, or a delivery: what cannot be written is written later, or all of
it is written anew (design.md §6).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from aiokafka.errors import KafkaError

from schemas.accounts import AccountDays, AccountSummary
from services import lifetime
from services.alerts.accounts import Accounts
from services.alerts.backlog import Backlog, Display
from services.alerts.cases.case import Answer
from services.alerts.cases.partition import Partition
from services.alerts.cases.timeline import Entry
from services.alerts.view import Superseded, View, ViewAway, ViewLost
from services.runtime import die, get_logger

BEAT_SECONDS: Final = 1.0
"""Between two signs of life, and between two tries while Redis is away."""
FRESH_SECONDS: Final = 5.0
"""Who has read the log to its end so lately takes the view back from another; who has not may have
lost the partition without knowing, and would take it from its owner again and again."""
BACKLOG_LIMIT: Final = 20_000
"""Things that wait to be written; of more, all is forgotten and the view written anew."""

_NOTHING: Final = (-1, -1)
"""To claim the view at no stamp asks for all of it to be written anew."""

_IN_LINE: Final = ("name", "owner", "segment", "country", "arr", "currency", "renewal_on")
"""What a case's line in lists takes from the account's summary."""

_log = get_logger(__name__)


class Watch(Protocol):
    """What is told how it goes: metrics and health."""

    def view_written(self, seconds: Sequence[float]) -> None:
        """Note how old the records of alerts are that can be read in the view now."""

    def view_away(self, partition: int, reason: str) -> None:
        """Note why a partition of the view is not up to date.

        Args:
            partition: The partition.
            reason: For a person; empty if it is up to date, or not ours to write any more.
        """


class Projection:
    """Writes what is folded into the view, in a task of its own.

    Args:
        view: The view.
        partition: What is folded.
        accounts: The summaries of its accounts.
        epoch: Names this ownership; nobody else has it.
        read_accounts: Yields everything of the partition of `accounts.v1`, to rebuild from.
        watch: Told how it goes.
        now: The wall clock, seconds since 1970-01-01 UTC.

    Attributes:
        as_of: Up to when the partition is known, seconds since 1970-01-01 UTC.
        accounts_written: Offset in `accounts.v1` up to which the view is written; -1 for nothing.
    """

    def __init__(
        self,
        view: View,
        partition: Partition,
        accounts: Accounts,
        epoch: str,
        read_accounts: Callable[[], AsyncIterable[AccountSummary | AccountDays]],
        watch: Watch,
        now: Callable[[], float],
    ) -> None:
        self.as_of = 0.0
        self.accounts_written = -1
        self._view = view
        self._partition = partition
        self._display = Display(partition, accounts)
        self._epoch = epoch
        self._read_accounts = read_accounts
        self._watch = watch
        self._now = now
        self._claim_at: tuple[int, int] | None = (partition.stamp, partition.appended)
        self._superseded = False
        self._stopping = False
        self._backlog = Backlog()
        self._woken = asyncio.Event()
        self._accounts_read = -1
        self._rebuilding: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self, accounts: int) -> None:
        """Begin to write; the summaries must be known by now, or cases are shown without names.

        Args:
            accounts: Offset up to which `accounts.v1` is read.
        """
        self._backlog.offset = max(self._backlog.offset, accounts)
        if self._running is None:
            self._watch.view_away(self._partition.number, "it is not written yet")
            self._running = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Write no more."""
        self._stopping = True
        if self._running is not None:
            await lifetime.insist(self._running)
            # Told last, or what went wrong meanwhile would be held against us for ever.
            self._watch.view_away(self._partition.number, "")

    def renew(self) -> None:
        """Write all of the partition anew."""
        self._claim_at = _NOTHING

    def note_cases(self, changed: Mapping[str, list[Entry]], answers: Iterable[Answer]) -> None:
        """Take what a fold has changed, as `Partition.take_changed` and `take_answers` say."""
        self._backlog.note_cases(changed, answers)
        self._wake()

    def note_account(
        self,
        key: str,
        found: AccountSummary | AccountDays | None,
        former: AccountSummary | None,
        offset: int,
    ) -> None:
        """Take a record of `accounts.v1`.

        Args:
            key: The record's key.
            found: What it holds; None for a deletion.
            former: The account's summary before it.
            offset: The record's offset.
        """
        self._backlog.note_account(key, found, offset)
        if isinstance(found, AccountSummary) and found.account in self._partition.cases:
            told = [getattr(found, one) != getattr(former, one, None) for one in _IN_LINE]
            self._backlog.note_cases({found.account: []} if any(told) else {}, ())
        self._wake()

    def _wake(self) -> None:
        if len(self._backlog) > BACKLOG_LIMIT:
            # All of it stands in the partition and in accounts.v1: rebuilt from there.
            self._backlog = Backlog()
            self.renew()
        self._woken.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._turn()
        except asyncio.CancelledError:
            if not self._stopping:
                # Nobody would notice that the task is gone.
                where = f"view of partition {self._partition.number}"
                die(where, "it was cancelled by one of its own tasks")
            raise
        finally:
            await self._end_rebuild()

    async def _turn(self) -> None:
        """Write what waits; of what goes wrong wait a while before the next try."""
        try:
            await self._write()
        except Superseded as error:
            self._superseded = True
            await self._lose(error)
            await asyncio.sleep(BEAT_SECONDS / 10 if self._fresh() else BEAT_SECONDS)
        except ViewLost as error:
            await self._lose(error)
            await asyncio.sleep(BEAT_SECONDS / 10)
        except (ViewAway, KafkaError, OSError, TimeoutError) as error:
            if self._rebuilding is not None and self._rebuilding.done():
                await self._lose(error)
            self._tell(error)
            await asyncio.sleep(BEAT_SECONDS)
        except Exception as error:
            die(f"view of partition {self._partition.number}", error)
        else:
            whole = self._rebuilding is None
            self._watch.view_away(self._partition.number, "" if whole else "it is being rebuilt")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._woken.wait()

    async def _lose(self, error: Exception) -> None:
        """Claim the view anew, and rebuild it: whoever had it meanwhile may know less."""
        self.renew()
        self._tell(error)
        await self._end_rebuild()

    def _fresh(self) -> bool:
        return self._now() - self.as_of < FRESH_SECONDS

    def _tell(self, error: Exception) -> None:
        self._watch.view_away(self._partition.number, str(error) or type(error).__name__)

    async def _write(self) -> None:
        """Write what waits, or just that the partition is followed."""
        number, epoch = self._partition.number, self._epoch
        if self._claim_at is not None:
            await self._claim(self._claim_at)
        self._note_rebuilt()
        self._woken.clear()
        written, self._backlog = self._backlog, Backlog()
        if written:
            await self._view.write(number, epoch, self._display.batch(written, self.as_of))
        elif not await self._view.beat(number, epoch, self.as_of):
            raise ViewLost(f"partition {number} of the view is lost")
        self._accounts_read = max(self._accounts_read, written.offset)
        if self._rebuilding is None:
            self.accounts_written = self._accounts_read
        now = self._now()
        self._watch.view_written([now - appended / 1e6 for appended in written.alerts()])

    def _note_rebuilt(self) -> None:
        """Look whether the rebuild has ended, and how."""
        if self._rebuilding is not None and self._rebuilding.done():
            if self._rebuilding.cancelled():
                raise ViewAway("its rebuild was cancelled by one of its own tasks")
            self._rebuilding.result()
            self._rebuilding = None

    async def _claim(self, at: tuple[int, int]) -> None:
        await self._end_rebuild()
        if self._superseded and not self._fresh():
            raise Superseded("another owner writes it, and we have not read the log to its end")
        if not await self._view.claim(self._partition.number, self._epoch, *at):
            # Beside it what is folded meanwhile is written all the same.
            self._rebuilding = asyncio.ensure_future(self._rebuild())
        self._superseded = False
        self._claim_at = None

    async def _rebuild(self) -> None:
        number = self._partition.number
        _log.info("view is rebuilt", partition=number)
        await self._view.rebuild(
            number,
            self._epoch,
            self._display.cases(),
            self._display.answers(),
            self._read_accounts(),
            lambda: (self._partition.stamp, self._partition.appended, self.as_of),
        )
        _log.info("view is whole", partition=number)
        self._woken.set()

    async def _end_rebuild(self) -> None:
        if self._rebuilding is not None:
            rebuilding, self._rebuilding = self._rebuilding, None
            await lifetime.insist(rebuilding)
            if not rebuilding.cancelled():
                # Looked at, or asyncio reports it: whatever went wrong, it is begun anew.
                rebuilding.exception()
