"""An outbox with all that it needs, in one process: its log is folded as it is written."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from schemas import cases
from schemas.cases import (
    Action,
    LogRecord,
    NoticeDelivered,
    NoticeFailed,
    NoticeIntended,
)
from schemas.config import PersonRecord, RoutingRecord
from services.alerts.accounts import Accounts
from services.alerts.cases.partition import Partition
from services.alerts.channels import Channel, Delivered, Outcome
from services.alerts.directory import Directory, DirectorySnapshot
from services.alerts.dispatch import Dispatch
from services.alerts.outbox import Outbox
from services.config_follower import ConfigFollower
from tests.platform import eventually
from tests.unit.alerts.builders import case_of

Answer = Callable[[str, int], Outcome]
"""From a channel and the number of its attempt, from 1 on."""


def channel(name: str = "crm", **more: object) -> Channel:
    return Channel(name=name, kind="webhook", url="https://crm.example.com", **more)  # type: ignore[arg-type]


@dataclass
class Held:
    """An owned partition, known to be read to its end."""

    partition: Partition = field(default_factory=lambda: Partition.begin(0, 1))
    accounts: Accounts = field(default_factory=Accounts)
    known: bool = True
    revoked: bool = False
    stale: bool = False
    looks: int = 0

    @property
    def current_at(self) -> float:
        self.looks += 1
        return time.monotonic() - (60.0 if self.stale else 0.0)


GONE = 0.3
"""Seconds after which a channel that nobody knows counts as gone."""


class NoHealth:
    """A `config.v1` that takes what channels do and tells nobody."""

    def __init__(self) -> None:
        self.written: dict[str, bytes | None] = {}

    async def read(self) -> dict[str, bytes]:
        return {}

    async def write(self, key: str, value: bytes | None, expect: bytes | None) -> None:
        self.written[key] = value


@dataclass
class Tally:
    """Counts."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def notified(self, channel: str, outcome: str) -> None:
        self.outcomes[channel, outcome] += 1

    def attempted(self, channel: str, seconds: float) -> None:
        pass

    def delivered(self, seconds: float) -> None:
        pass


class World:
    """An outbox with a log of its own, which is folded as soon as it is written."""

    def __init__(
        self, *channels: Channel, answer: Answer | None = None, patience: float = 600.0
    ) -> None:
        self.patience = patience
        self.held = Held()
        self.log: list[LogRecord] = []
        self.sent: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.health = NoHealth()
        self.tally = Tally()
        self.gate = asyncio.Event()
        self.gate.set()
        self._answer = answer or (lambda _channel, _attempt: Delivered(204))
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._follower: ConfigFollower[DirectorySnapshot] = ConfigFollower(
            "", "", DirectorySnapshot(), lambda known, _key, _value: known
        )
        self.directory = Directory(self._follower, self.health)
        self.configure(*channels)
        self.outbox = self.make_outbox()

    def __iter__(self) -> Iterator[Held]:
        """What is owned, whenever the outbox asks."""
        return iter([self.held])

    def make_outbox(self) -> Outbox:
        """What a process begins with: nothing but the fold."""
        dispatch = Dispatch(
            self.directory,
            self,
            self,
            self.tally,
            "http://desk",
            scale=1e-6,
            now=lambda: datetime.now(UTC),
            jitter=lambda: 0.5,
        )
        return Outbox(
            self,
            self.directory,
            dispatch,
            self,
            width=2,
            gone_after=GONE,
            patience=self.patience,
        )

    def configure(self, *channels: Channel, people: tuple[str, ...] = ()) -> None:
        named = {one: PersonRecord(id=one, name=one.title()) for one in people}
        self._follower._show(
            DirectorySnapshot(
                people=MappingProxyType(named),
                routing=RoutingRecord(signal_manager="kim"),
                channels=MappingProxyType({one.name: one for one in channels}),
            )
        )

    async def insist(self, record: Action | cases.Notice) -> None:
        self.append(record)

    async def send(self, channel: Channel, notice_id: str, body: bytes, now: datetime) -> Outcome:
        self.sent.append((channel.name, notice_id))
        self.bodies.append(body)
        await self.gate.wait()
        self._attempts[channel.name, notice_id] += 1
        return self._answer(channel.name, self._attempts[channel.name, notice_id])

    def append(self, *records: LogRecord) -> None:
        """Append and fold, as the consumer does."""
        partition = self.held.partition
        for record in records:
            self.log.append(record)
            now = time.time_ns() // 1000
            partition.apply(len(self.log), now, case_of(record), cases.encode(record))
        changed = partition.take_changed()
        self.outbox.folded(self.held, [partition.cases[id] for id in changed])

    @property
    def notes(self) -> list[cases.Notice]:
        """What was appended of deliveries."""
        return [one for one in self.log if isinstance(one, cases.Notice)]

    async def closed(self) -> None:
        """Wait until no notice is open."""
        await eventually(
            lambda: not list(self.held.partition.open_notices()), what="every notice to be closed"
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.outbox.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self.outbox.close(0.0)


def told(note: cases.Notice) -> tuple[object, ...]:
    """What matters of a note."""
    match note:
        case NoticeIntended(targets=targets):
            return ("intended", [(one.channel, one.person, one.why) for one in targets])
        case NoticeDelivered(channel=channel, attempt=attempt, answer=answer):
            return ("delivered", channel, attempt, answer)
        case NoticeFailed(channel=channel, attempt=attempt, reason=reason, retry_at=retry_at):
            return ("failed", channel, attempt, reason, retry_at is not None)
    raise AssertionError(note)
