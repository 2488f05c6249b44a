"""One process of the alerts service: the real consumer, ownership, outbox, dispatch and appender on
a simulated Kafka, with an event loop of its own, so that it can be frozen, or end anywhere."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aiokafka.errors import KafkaError

from schemas import cases
from schemas.rejects import Reject
from services.alerts.appender import Appender, LogAway
from services.alerts.cases.partition import Partition
from services.alerts.channels import Channel, Delivered, Outcome, Refused
from services.alerts.consumer import Consumer
from services.alerts.directory import Directory, DirectorySnapshot
from services.alerts.dispatch import Dispatch
from services.alerts.outbox import Outbox
from services.alerts.ownership import Ownership
from services.alerts.settings import AlertsSettings
from services.config_follower import ConfigFollower
from services.runtime import Health
from services.settings import load_settings
from services.snapshots import Fenced
from tests.unit.alerts.outbox_world import Tally
from tests.unit.alerts.simulation.clock import HandLoop
from tests.unit.alerts.simulation.kafka import ACCOUNTS, LOG, Fencing, Reader

if TYPE_CHECKING:
    from tests.unit.alerts.simulation.world import Fate, World

SETTINGS: Final = load_settings(
    AlertsSettings,
    {
        "EBBWATCH_SECRET_KEY": "k",
        "EBBWATCH_PARTITIONS": "1",
        "EBBWATCH_ALERTS_FLUSH_SECONDS": "2",
    },
)
TRAVEL_SECONDS: Final = 0.01
LATE_SECONDS: Final = 20.0
LAND_SECONDS: Final = 3.0


class Dead(BaseException):
    """The process has ended: nothing of it reaches anybody any more."""


class Replica:
    """One process.

    Args:
        world: What it lives in.
        place: Which of the replicas it is; a new process takes the place of one that has ended.

    Attributes:
        frozen: It stands still, and does not know.
        dead: It has ended.
        holds: It believes that it owns the partition.
    """

    def __init__(self, world: "World", place: int) -> None:
        self.place = place
        self.frozen = self.dead = self.holds = False
        self.code: int | None = None
        self.world = world
        self.loop = HandLoop(world.clock)
        self.loop.process = self
        self.loop.set_exception_handler(self._unexpected)
        self.reader = Reader(world.topics, world.clock, lambda: world.away)
        self._rebalance = asyncio.Lock()
        self._noted: set[tuple[object, ...]] = set()
        self._follower: ConfigFollower[DirectorySnapshot] = ConfigFollower(
            "", "", DirectorySnapshot(), lambda known, _key, _value: known
        )
        health = Health()
        directory = Directory(self._follower, _Config(self))
        self.appender = _Appender(self, health)
        clock = world.clock
        dispatch = Dispatch(
            directory, self.appender, self, Tally(), "http://desk", 1.0, clock.now, lambda: 0.5
        )
        unseen: Any = _Unseen
        self.ownership = Ownership(SETTINGS, health, unseen, self._seek, self._return)
        self.outbox = Outbox(self.ownership, directory, dispatch, self.appender, 2)
        self.consumer = _Consumer(self, health)

    def begin(self) -> None:
        """Do what the service does when it starts; the group tells it soon what it owns."""
        self._do(self.outbox.run)
        self._do(self.consumer.run)
        self.world.at(0.1, self.learn)
        self.wake()
        self.world.at(0.2, self.join)

    def learn(self) -> None:
        """Read the company's files as they are now."""
        if not self.dead:
            self.loop.call_soon(self._follower._show, self.world.company.snapshot)

    def wake(self) -> None:
        """Let its consumer look for records."""
        if not self.dead:
            self.loop.call_soon(self.reader.news.set)

    def join(self) -> None:
        """Learn from the group what is ours; what was held so far is given up first."""
        self._do(lambda: self._assigned(self.world.owner == self.place))

    def leave(self, then: Callable[[], None]) -> None:
        """Give the partition up, as in a rebalance."""
        self._do(lambda: self._revoked(then))

    def flush(self) -> None:
        """Write what is folded, however short a while ago that was done."""
        for owned in self.ownership:
            self._do(partial(self.ownership.flush, owned))

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self.dead:
            self.loop.call_soon(lambda: self.loop.create_task(self._edge(work)))

    async def _edge(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:
            self.world.require(False, f"{error!r} reached the edge of a process")
            raise

    async def _assigned(self, owns: bool) -> None:
        async with self._rebalance:
            if self.holds:
                await self._give_up()
            parts = (LOG, ACCOUNTS) if owns else ()
            self.holds = owns
            self.reader.assign(parts)
            await self.consumer.on_partitions_assigned(parts)

    async def _revoked(self, then: Callable[[], None]) -> None:
        async with self._rebalance:
            await self._give_up()
        then()

    async def _give_up(self) -> None:
        await self.consumer.on_partitions_revoked(self.reader.assignment())
        self.holds = False
        self.reader.assign(())

    async def _seek(self, owned: Any) -> None:
        await self.consumer.begin(owned)

    async def _return(self, items: Sequence[tuple[int, bytes]]) -> None:
        """Let entries stand in `events.v1`, however often that must be tried."""
        while self.fate(self.world.fates) == "is lost":
            await asyncio.sleep(LATE_SECONDS)
        await self.travel(TRAVEL_SECONDS, lambda: self.world.give_back(items))

    async def land(self) -> None:
        """Do what the service does before partitions are given up."""
        await self.outbox.land(LAND_SECONDS)

    def end(self, code: int) -> NoReturn:
        """End here and now: what stands in the place of `os._exit`."""
        self.dead, self.code = True, code
        raise Dead

    def crash(self) -> None:
        """End from outside, as by a signal that nobody can catch."""
        self.dead = True
        self.world.happened["crashed"] += 1

    def bury(self) -> None:
        """Let nothing of it be left; what its tasks do meanwhile reaches nobody."""
        self.loop.set_exception_handler(lambda *_: None)
        while tasks := asyncio.all_tasks(self.loop):
            # What never ran at all would be missed by those who count coroutines.
            self.loop.turn()
            for task in tasks:
                task.cancel()
            self.loop.turn()
        self.loop.close()

    def _unexpected(self, _: object, told: dict[str, Any]) -> None:
        if not isinstance(told.get("exception"), Dead):
            self.world.require(False, f"asyncio: {told}")

    async def travel(self, seconds: float, arrive: Callable[[], Any] | None) -> Any:
        """Let something arrive after a while, whether or not we live then; returns what it said."""
        self.require_alive()
        answered = self.loop.create_future()

        def arrived() -> None:
            found = arrive() if arrive is not None else None
            self.world.at(TRAVEL_SECONDS, lambda: self._answer(answered, found))

        self.world.at(seconds, arrived)
        return await answered

    def _answer(self, answered: "asyncio.Future[Any]", found: Any) -> None:
        if not self.dead and not answered.done():
            answered.set_result(found)

    async def send(self, channel: Channel, notice_id: str, body: bytes, now: datetime) -> Outcome:
        """Make an attempt, as `channels.Sender` does."""
        if channel.disabled:
            return Refused("channel_disabled", "")
        behind = self.world.clock.monotonic() - self.reader.at_end_at
        self.world.look_at_send(channel.name, notice_id, behind)
        receive = self.world.endpoints.receive
        seconds, outcome = await self.travel(
            TRAVEL_SECONDS, lambda: receive(channel.name, notice_id, body)
        )
        await self.travel(seconds, None)
        self.world.happened["taken" if isinstance(outcome, Delivered) else "refused"] += 1
        return outcome  # type: ignore[no-any-return]

    def note(self, record: cases.Action | cases.Notice) -> None:
        """Require that one process tells the log of one step once, however often it must insist."""
        attempt = getattr(record, "attempt", 0)
        step = (type(record), record.id, getattr(record, "channel", ""), attempt)
        if isinstance(record, cases.Note):
            self.world.require(step not in self._noted, f"one process noted {record} twice")
            self._noted.add(step)

    def require_alive(self) -> None:
        """Let nothing leave a process that has ended."""
        if self.dead:
            raise Dead

    def fate(self, planned: "deque[Fate]") -> "Fate":
        """Return what becomes of the next thing that goes to Kafka."""
        self.require_alive()
        found: Fate = planned.popleft() if planned else "arrives"
        return "is lost" if self.world.away else found


class _Appender(Appender):
    """The alert log; only the way to it is simulated."""

    def __init__(self, replica: Replica, health: Health) -> None:
        super().__init__("nowhere:1", "alerts", 1, "test", health)
        self._replica = replica

    async def insist(self, record: cases.Action | cases.Notice) -> None:
        self._replica.note(record)
        await super().insist(record)

    async def append(self, record: cases.Action | cases.Notice, within: float) -> None:
        replica, fate = self._replica, self._replica.fate(self._replica.world.fates)
        arrive = None if fate == "is lost" else lambda: replica.world.append(record)
        seconds = LATE_SECONDS if fate == "comes late" else TRAVEL_SECONDS
        if fate == "arrives":
            await replica.travel(seconds, arrive)
            return
        # Nobody tells: it goes its way, and the wait ends without an answer.
        if arrive is not None:
            replica.world.at(seconds, arrive)
        await asyncio.sleep(within)
        raise LogAway(f"a record that {fate}")


class _Config:
    """What writes `config.v1`; the company's files are the world's."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    async def read(self) -> dict[str, bytes]:
        self._replica.require_alive()
        return await self._replica.world.company.read()

    async def write(self, key: str, value: bytes | None, expect: bytes | None) -> None:
        self._replica.require_alive()
        await self._replica.world.company.write(key, value, expect)


class _Consumer(Consumer):
    """The consumer; only what it reads from is simulated."""

    def __init__(self, replica: Replica, health: Health) -> None:
        self._reads = replica.reader
        ownership, folded = replica.ownership, replica.outbox.folded
        super().__init__(SETTINGS, str(replica.place), ownership, health, folded, replica.land)

    def _make(self, replica: str) -> Any:
        return self._reads


class Store:
    """What stands in the place of `store.Store`: the snapshots of a world.

    Args:
        replica: Whose it is.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._epoch = 0

    async def take_over(self) -> Partition:
        world = self._replica.world
        self._epoch = await self._replica.travel(TRAVEL_SECONDS, world.snapshots.begin)
        world.happened["taken over"] += 1
        found: Partition = await self._replica.travel(TRAVEL_SECONDS, world.look_at_snapshot)
        return found

    async def write(
        self, records: Iterable[tuple[str, bytes | None]], rejects: Iterable[Reject]
    ) -> None:
        replica, written = self._replica, list(records)
        fate = replica.fate(replica.world.endings)
        refused = [one.offset or 0 for one in rejects]
        arrive = None if fate == "is lost" else lambda: self._commit(written, refused)
        done = await replica.travel(TRAVEL_SECONDS, arrive)
        if fate in ("is lost", "is not answered"):
            raise KafkaError(f"a transaction that {fate}")
        if not done:
            raise Fenced("another worker owns the partition")

    def _commit(self, written: Iterable[tuple[str, bytes | None]], refused: list[int]) -> bool:
        world = self._replica.world
        try:
            world.snapshots.commit(self._epoch, written)
        except Fencing:
            world.happened["fenced"] += 1
            return False
        world.happened["committed"] += 1
        world.rejected += refused
        world.look_at_snapshot()
        return True

    async def close(self) -> None:
        pass


class _Unseen:
    """A view that nobody reads."""

    def __init__(self, *_: object) -> None:
        self.as_of = 0.0
        self.accounts_written = -1

    def start(self, accounts: int) -> None:
        pass

    def renew(self) -> None:
        pass

    def note_cases(self, *_: object) -> None:
        pass

    def note_account(self, *_: object) -> None:
        pass

    async def stop(self) -> None:
        pass
