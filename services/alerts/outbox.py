"""The outbox: every open notice is intended, sent, and its outcome appended (design.md §6).

What is open stands in the fold alone. Here is only what runs just now: after a crash, or by another
owner, everything is begun again from the fold, and a send that was under way is repeated under the
same id. At least once, never silently never.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from schemas.cases import CaseReopened
from services.alerts.accounts import Accounts
from services.alerts.cases.case import Case
from services.alerts.cases.notices import Delivery, Notice
from services.alerts.cases.partition import Partition
from services.alerts.directory import Directory
from services.alerts.dispatch import Dispatch, Log
from services.alerts.lane import Lane
from services.runtime import die

CURRENT_SECONDS: Final = 5.0
"""Nothing is sent unless the log was read to its end so recently. Source: design.md §6."""
GONE_SECONDS: Final = 30.0
"""A channel that the directory has not known for so long is gone; until then the directory may only
be behind whoever named the channel as a target."""
PATIENCE_SECONDS: Final = 3 * 86_400.0
"""What is to go by a channel that is off waits so long to be sent: about as long as the retries."""
TICK_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 60.0
INTENTS_AT_ONCE: Final = 32

INTENT: Final = ""
"""The lane of intents, beside those of channels, whose names are not empty."""


class Owned(Protocol):
    """A partition whose notices are ours: `ownership.Owned`."""

    @property
    def partition(self) -> Partition:
        """What is folded."""

    @property
    def accounts(self) -> Accounts:
        """The summaries of its accounts."""

    @property
    def known(self) -> bool:
        """Whether they have been read to their end once."""

    @property
    def revoked(self) -> bool:
        """Whether it is being given up."""

    @property
    def current_at(self) -> float:
        """When its log was last known to be read to its end, monotonic seconds."""


class _Step(NamedTuple):
    """One step of a notice: its intent, or the next attempt by one channel."""

    case: str
    notice: str
    channel: str


@dataclass(slots=True, eq=False)
class _Job:
    """A step as it was begun: it counts as long as no other job has taken its place.

    Attributes:
        owned: The partition as it was owned then.
        step: The step.
        attempts: After how many attempts; an intent comes after -1.
        taken: Whether it was due, and its record goes into the log, whoever owns the partition.
    """

    owned: Owned
    step: _Step
    attempts: int
    taken: bool = False


class Outbox:
    """Begins each step when it is due, and never one twice.

    Args:
        ownership: The partitions whose notices are ours, whenever it is asked.
        directory: Channels.
        dispatch: Takes the steps.
        log: Takes the ends of snoozes.
        width: Attempts of one channel at once, >= 1.
        gone_after: Seconds after which a channel that is not known counts as gone.
        patience: Seconds for which a notice waits for a channel that is off.
    """

    def __init__(
        self,
        ownership: Iterable[Owned],
        directory: Directory,
        dispatch: Dispatch,
        log: Log,
        width: int,
        gone_after: float = GONE_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._ownership = ownership
        self._directory = directory
        self._dispatch = dispatch
        self._log = log
        self._width = width
        self._gone_after = gone_after
        self._patience = patience
        # Since when the directory has not known a channel that is needed, monotonic seconds.
        self._absent: dict[str, float] = {}
        self._off: set[str] = set()
        # Just switched on: what waited is sent at once, and not when its next attempt was due.
        self._woken: set[str] = set()
        # By partition, what came due while its log was not known to be read to its end.
        self._held: dict[int, list[_Job]] = {}
        self._lanes: dict[str, Lane] = {}
        self._running: set[asyncio.Task[None]] = set()
        # How each step was begun last.
        self._begun: dict[_Step, _Job] = {}
        self._working: set[_Step] = set()
        self._waking: set[str] = set()
        self._closed = False

    async def run(self) -> None:
        """Wake snoozed cases in time, until cancelled."""
        self._directory.subscribe(lambda _: self._on_directory())
        forget_at = 0.0
        while True:
            for owned in self._ownership:
                if _is_current(owned):
                    self._release(owned)
                    self._wake_cases(owned)
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_SECONDS
                self._forget_closed()
            await asyncio.sleep(TICK_SECONDS)

    def folded(self, owned: Owned, cases: Iterable[Case]) -> None:
        """Begin what is open in some cases, unless it has begun.

        Args:
            owned: Their partition.
            cases: All of its cases once it is loaded, then those that a fold has changed; none
                when its log was read to its end once more.
        """
        if self._held and _is_current(owned):
            self._release(owned)
        waits = owned.revoked or not owned.known or not self._directory.ready.is_set()
        if self._closed or waits:
            # All of it is looked at again once that is so.
            return
        for case in cases:
            for notice in case.notices.values():
                self._begin(owned, notice)

    async def land(self, within: float) -> None:
        """Forget what has not begun, and wait a while for what is under way.

        To be called when all partitions are being given up, so that nothing is begun meanwhile.
        What does not end in time goes on, and its outcome is appended all the same.

        Args:
            within: Seconds, >= 0.
        """
        for lane in self._lanes.values():
            lane.clear()
        self._begun = {step: self._begun[step] for step in self._working}
        self._waking.clear()
        self._held.clear()
        working = {task for lane in self._lanes.values() for task in lane.working}
        if working:
            await asyncio.wait(working, timeout=within)

    async def close(self, within: float) -> None:
        """Begin nothing more, and end what is under way; it is repeated by the next owner.

        Args:
            within: Seconds until what is under way is ended, >= 0.
        """
        self._closed = True
        await self.land(within)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._dispatch.close()

    def _on_directory(self) -> None:
        """Begin anew what waits for a channel that came or went, or was switched on or off."""
        known = self._directory.snapshot.channels
        off = {name for name, channel in known.items() if channel.disabled}
        for channel in self._lanes.keys() - {INTENT}:
            if channel not in known or channel in self._absent or channel in off ^ self._off:
                self._begin_anew(channel)
        self._off, self._woken = off, self._off - off
        self._absent = {name: at for name, at in self._absent.items() if name not in known}
        for owned in self._ownership:
            self.folded(owned, owned.partition.cases.values())
        self._woken = set()

    def _begin_anew(self, channel: str) -> None:
        """Forget what waits for a channel: how long it has to wait is another now."""
        self._lanes[channel].clear()
        self._lanes[channel].resume()
        for number, held in self._held.items():
            self._held[number] = [one for one in held if one.step.channel != channel]
        for step in [one for one in self._begun if one.channel == channel]:
            if step not in self._working:
                del self._begun[step]

    def _absence(self, channel: str) -> float | None:
        """Return for how long a channel may still turn up, seconds; None where it is known."""
        if channel == INTENT or channel in self._directory.snapshot.channels:
            return None
        since = self._absent.setdefault(channel, time.monotonic())
        return max(0.0, since + self._gone_after - time.monotonic())

    def _closed_for(self, notice: Notice, channel: str) -> float | None:
        """Return for how long a notice waits for its channel to be there, and on; None if it is."""
        absence = self._absence(channel)
        if absence is not None or not self._directory.snapshot.channels[channel].disabled:
            return absence
        return max(0.0, notice.caused_at / 1e6 + self._patience - time.time())

    def _wait(self, notice: Notice, delivery: Delivery) -> float:
        closed = self._closed_for(notice, delivery.channel)
        if closed is not None:
            return closed
        return 0.0 if delivery.channel in self._woken else _until(delivery.retry_at)

    def _begin(self, owned: Owned, notice: Notice) -> None:
        if notice.deliveries is None:
            self._put(owned, _Step(notice.case, notice.id, INTENT), -1, 0.0)
            return
        for delivery in notice.deliveries.values():
            if delivery.done is None:
                step = _Step(notice.case, notice.id, delivery.channel)
                self._put(owned, step, delivery.attempts, self._wait(notice, delivery))

    def _put(self, owned: Owned, step: _Step, attempts: int, wait: float) -> None:
        known = self._begun.get(step)
        if step in self._working or (known is not None and _covers(known, owned, attempts)):
            return
        self._begun[step] = _Job(owned, step, attempts)
        self._queue(self._begun[step], wait)

    def _queue(self, job: _Job, wait: float) -> None:
        self._lane(job.step.channel).put(wait, partial(self._take, job))

    def _lane(self, channel: str) -> Lane:
        lane = self._lanes.get(channel)
        if lane is None:
            width = INTENTS_AT_ONCE if channel == INTENT else self._width
            lane = self._lanes[channel] = Lane(width, time.monotonic)
            self._in_background(lane.run())
        return lane

    async def _take(self, job: _Job) -> None:
        """Take a step, if the fold still says so and this is known to be its newest state."""
        owned, step = job.owned, job.step
        if owned.revoked or self._begun.get(step) is not job:
            return
        if not _is_current(owned):
            self._held.setdefault(owned.partition.number, []).append(job)
            return
        case = owned.partition.cases.get(step.case)
        notice = case.notices.get(step.notice) if case is not None else None
        if case is None or notice is None:
            return
        if step.channel != INTENT and (closed := self._closed_for(notice, step.channel)):
            # It has vanished or was switched off since.
            self._queue(job, closed)
            return
        job.taken = True
        self._working.add(step)
        try:
            await self._do(job, case, notice)
        except asyncio.CancelledError:
            self._require_ours(owned)
            raise
        except Exception as error:
            die("outbox", error)
        finally:
            self._working.discard(step)
            self._look_again(step)

    async def _do(self, job: _Job, case: Case, notice: Notice) -> None:
        channel = job.step.channel
        if channel != INTENT:
            delivery = (notice.deliveries or {}).get(channel)
            if delivery is not None and not delivery.done and delivery.attempts == job.attempts:
                await self._dispatch.deliver(notice, delivery, self._lane(channel).pause)
        elif notice.deliveries is None:
            await self._dispatch.intend(case, notice, job.owned.accounts)

    def _require_ours(self, owned: Owned | None = None) -> None:
        """End the process for a cancellation that is not ours: a step would be lost by it."""
        if not self._closed and (owned is None or not owned.revoked):
            die("outbox", "a task was cancelled that nobody here had cancelled")

    def _release(self, owned: Owned) -> None:
        """Take up again what was held until the log was known to be read to its end."""
        for job in self._held.pop(owned.partition.number, ()):
            self._queue(job, 0.0)

    def _look_again(self, step: _Step) -> None:
        """Begin what was folded while the step was under way, and was passed over for that."""
        for owned in self._ownership:
            case = owned.partition.cases.get(step.case)
            notice = case.notices.get(step.notice) if case is not None else None
            if notice is not None and not self._closed:
                self._begin(owned, notice)

    def _wake_cases(self, owned: Owned) -> None:
        for record in owned.partition.due(time.time_ns() // 1000):
            if record.id not in self._waking:
                self._waking.add(record.id)
                self._in_background(self._wake(record))

    async def _wake(self, record: CaseReopened) -> None:
        await self._log.insist(record)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._edge(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _edge(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            self._require_ours()
            raise
        except Exception as error:
            die("outbox", error)

    def _forget_closed(self) -> None:
        open_now = {
            notice.id for owned in self._ownership for _, notice in owned.partition.open_notices()
        }
        self._begun = {
            step: job
            for step, job in self._begun.items()
            if step.notice in open_now or step in self._working
        }
        needed = {step.channel for step in self._begun}
        self._absent = {name: at for name, at in self._absent.items() if name in needed}


def _covers(job: _Job, owned: Owned, attempts: int) -> bool:
    """Tell whether a step needs no other job: this one is done, or will be."""
    return job.attempts == attempts and (job.taken or job.owned is owned)


def _is_current(owned: Owned) -> bool:
    return time.monotonic() - owned.current_at < CURRENT_SECONDS


def _until(due: datetime | None) -> float:
    return 0.0 if due is None else max(0.0, due.timestamp() - time.time())
