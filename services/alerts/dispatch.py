"""One step of a notice: its intent, or an attempt of one of its deliveries, into the log."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from schemas import cases
from schemas.cases import Action, NoticeDelivered, NoticeFailed, NoticeIntended, Target
from services import failpoints
from services.alerts.accounts import Accounts
from services.alerts.cases.case import Case
from services.alerts.cases.notices import Delivery, Notice
from services.alerts.channels import Channel, Delivered, Outcome, Refused
from services.alerts.channels.message import Addressee, compose
from services.alerts.delivery import next_attempt
from services.alerts.directory import Directory
from services.alerts.routing import Recipient, route
from services.runtime import SELDOM_SECONDS, get_logger

SWITCHED_OFF: Final = Refused("channel_disabled", "it is switched off, or there is none any more")

PAUSE_SECONDS: Final = 3600.0
"""The longest that one answer keeps all notices of a channel waiting; the one that it was an answer
to waits as long as `delivery.next_attempt` says."""

SWITCHING_SECONDS: Final = 60.0
"""After 410 nothing is sent for so long, in which every replica learns that the channel is off."""

_log = get_logger("alerts.dispatch")


class Log(Protocol):
    """Where records go: `appender.Appender`."""

    async def insist(self, record: Action | cases.Notice) -> None:
        """Append a record, as often as it takes."""


class Sends(Protocol):
    """What makes attempts: `channels.Sender`."""

    async def send(self, channel: Channel, notice_id: str, body: bytes, now: datetime) -> Outcome:
        """Make one attempt; whatever goes wrong is an outcome."""


class Tally(Protocol):
    """What counts attempts."""

    def notified(self, channel: str, outcome: str) -> None:
        """Count what became of an attempt, or of a notice without a channel."""

    def attempted(self, channel: str, seconds: float) -> None:
        """Note how long an endpoint took."""

    def delivered(self, seconds: float) -> None:
        """Note how long after its cause a notice was delivered."""


class Dispatch:
    """Decides who is told, sends, and appends what became of it.

    Args:
        directory: People and channels.
        log: Takes intents and outcomes.
        sender: Makes attempts.
        tally: Counts them.
        console: Address of the console without a slash at its end; empty for none.
        scale: Factor on the retry schedule, 0 < scale <= 1.
        now: The wall clock, aware UTC.
        jitter: Chance, 0 <= jitter < 1.
    """

    def __init__(
        self,
        directory: Directory,
        log: Log,
        sender: Sends,
        tally: Tally,
        console: str,
        scale: float,
        now: Callable[[], datetime],
        jitter: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._log = log
        self._sender = sender
        self._tally = tally
        self._console = console
        self._scale = scale
        self._now = now
        self._jitter = jitter
        self._quiet_until: dict[tuple[str, str], float] = {}
        self._hidden: Counter[tuple[str, str]] = Counter()
        self._noting: set[asyncio.Task[None]] = set()

    async def intend(self, case: Case, notice: Notice, accounts: Accounts) -> None:
        """Append to whom a notice goes: to the person it is routed to, by every channel.

        Args:
            case: Its case.
            notice: One without targets.
            accounts: The summaries of its partition.
        """
        known = self._directory.snapshot
        to = self._recipient(case, accounts)
        targets = [
            Target(channel=channel.name, person=to.person, why=to.why)
            for channel in known.channels.values()
        ]
        if not targets:
            # Closed by that: the page of the case and this count say that nobody was told.
            self._tally.notified("none", "no_channel")
        await self._log.insist(
            NoticeIntended(id=notice.id, case=case.id, at=self._now(), targets=targets)
        )
        failpoints.reach("outbox.intended")

    def _recipient(self, case: Case, accounts: Accounts) -> Recipient:
        known = self._directory.snapshot
        try:
            return route(case, accounts.summary(case.id), known.people, known.routing)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            # A notice to nobody in particular is better than none, and than none for all others.
            _log.error("not routed", case=case.id, error=repr(error))
            return Recipient(None, "nobody")

    async def deliver(
        self, notice: Notice, delivery: Delivery, asked: Callable[[float], None]
    ) -> None:
        """Make the next attempt of a delivery, and append its outcome.

        Args:
            notice: The notice.
            delivery: One of its targets, which is not done.
            asked: Told for how many seconds the endpoint asked not to be sent anything.
        """
        channel = self._directory.snapshot.channels.get(delivery.channel)
        if channel is None or channel.disabled:
            await self._append_failed(notice, delivery, SWITCHED_OFF)
            return
        clock = asyncio.get_running_loop().time
        begun = clock()
        outcome = await self._send(channel, notice, delivery)
        failpoints.reach("outbox.sent")
        took = clock() - begun
        self._tally.attempted(channel.name, took)
        if isinstance(outcome, Delivered):
            await self._append_delivered(notice, delivery, outcome, took)
            return
        if outcome.retry_after is not None and outcome.retry_after > 0:
            asked(min(outcome.retry_after, PAUSE_SECONDS))
        await self._append_failed(notice, delivery, outcome)

    async def _send(self, channel: Channel, notice: Notice, delivery: Delivery) -> Outcome:
        try:
            body = self._compose(notice, delivery)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            # One notice that cannot be written must not keep all others from being sent.
            return Refused("unsendable", f"{notice.step} of {notice.case}: {error!r}")
        return await self._sender.send(channel, notice.id, body, self._now())

    def _compose(self, notice: Notice, delivery: Delivery) -> bytes:
        person = self._directory.snapshot.people.get(delivery.person or "")
        return compose(
            notice.id,
            notice.step,
            datetime.fromtimestamp(notice.caused_at / 1e6, UTC),
            notice.alert,
            Addressee(delivery.person, delivery.why, person),
            self._console,
        )

    async def _append_delivered(
        self, notice: Notice, delivery: Delivery, outcome: Delivered, took: float
    ) -> None:
        now = self._now()
        record = NoticeDelivered(
            id=notice.id,
            case=notice.case,
            at=now,
            channel=delivery.channel,
            attempt=delivery.attempts + 1,
            answer=str(outcome.status),
            took_ms=round(1000 * took),
        )
        await self._log.insist(record)
        failpoints.reach("outbox.noted")
        self._tally.notified(delivery.channel, "delivered")
        self._tally.delivered(max(0.0, now.timestamp() - notice.caused_at / 1e6))
        self._note(self._directory.succeeded(delivery.channel))

    async def _append_failed(self, notice: Notice, delivery: Delivery, outcome: Refused) -> None:
        now, attempt = self._now(), delivery.attempts + 1
        sent = outcome != SWITCHED_OFF
        pause = SWITCHING_SECONDS if outcome.gone else outcome.retry_after
        retry_at = next_attempt(attempt, now, self._jitter(), self._scale, pause) if sent else None
        record = NoticeFailed(
            id=notice.id,
            case=notice.case,
            at=now,
            channel=delivery.channel,
            attempt=attempt,
            reason=outcome.reason,
            retry_at=retry_at,
        )
        await self._log.insist(record)
        self._tally.notified(delivery.channel, _counted(sent, retry_at))
        if sent:
            self._tell(record, outcome)
            self._note(self._noted(delivery.channel, outcome, now))

    def _tell(self, record: NoticeFailed, outcome: Refused) -> None:
        """Log a failure; of many of one kind the first, and how many there were."""
        kind, now = (record.channel, record.reason), asyncio.get_running_loop().time()
        if now < self._quiet_until.get(kind, 0.0):
            self._hidden[kind] += 1
            return
        self._quiet_until[kind] = now + SELDOM_SECONDS
        _log.warning(
            "delivery failed",
            channel=record.channel,
            notice=record.id,
            attempt=record.attempt,
            reason=record.reason,
            detail=outcome.detail,
            retry_at=record.retry_at,
            hidden=self._hidden.pop(kind, 0),
        )

    async def _noted(self, channel: str, outcome: Refused, now: datetime) -> None:
        if outcome.gone:
            await self._directory.disable(channel, "gone", now)
        else:
            await self._directory.failed(channel, now)

    def _note(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the directory learn of it; no delivery waits for that."""
        task = asyncio.ensure_future(work)
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def close(self) -> None:
        """Give up what the directory has not learnt yet; the next attempt tells it again."""
        for task in self._noting:
            task.cancel()
        if self._noting:
            await asyncio.wait(self._noting)


def _counted(sent: bool, retry_at: datetime | None) -> str:
    if not sent:
        return "closed"
    return "failed" if retry_at is not None else "given_up"
