"""Two replicas of the alerts service and everything around them, with what may go wrong.

Nothing happens by itself: `step` runs one turn of one process, or lets the clock move to when the
next thing is due. So a process can be ended between any two things that it waits for.
"""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Literal

from schemas import cases
from schemas.cases import LogRecord, NoticeDelivered, NoticeFailed, NoticeIntended
from schemas.envelope import Entry, decode_entry
from services.alerts.cases.partition import Partition
from tests.unit.alerts import oracle
from tests.unit.alerts.builders import case_of
from tests.unit.alerts.pictures import differences, pictures
from tests.unit.alerts.simulation.clock import Clock
from tests.unit.alerts.simulation.kafka import ACCOUNTS, LOG, Snapshots, Topic
from tests.unit.alerts.simulation.outside import Company, Endpoints
from tests.unit.alerts.simulation.replica import Replica

TURNS_AT_ONCE = 5_000
"""So many turns without the clock moving never end."""
LAST_ATTEMPT = 10
CURRENT_SECONDS = 5.01
"""Who read the log to its end so lately may send; Kafka tells times in milliseconds."""

Fate = Literal["arrives", "is lost", "comes late", "is not answered"]
"""What becomes of a record on its way to Kafka, or of a transaction."""


class World:
    """Two replicas, of which one owns the partition, and all that they talk to.

    Args:
        clock: What everybody goes by.

    Attributes:
        fates: What becomes of the next records that replicas append; then all arrive.
        endings: What becomes of their next transactions.
        lag: Seconds after which replicas know what has changed in the company's files.
        away_until: Kafka answers nobody until then, monotonic seconds.
        unsent: What was given up because its channel was off, or gone.
        rejected: Offsets of the records that `rejects.v1` holds.
        returned: What the detector has taken of `events.v1`: what is new by its origin.
        faults: What must never happen, and did.
        happened: How often what happened, so that a test can tell that it was not idle.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log = Topic(self.clock, self._wake)
        self.accounts = Topic(self.clock, self._wake)
        self.topics = {LOG: self.log, ACCOUNTS: self.accounts}
        self.snapshots = Snapshots()
        self.endpoints = Endpoints()
        self.company = Company(clock, self._tell)
        self.fates: deque[Fate] = deque()
        self.endings: deque[Fate] = deque()
        self.lag = 0.1
        self.away_until = 0.0
        self.unsent: list[NoticeFailed] = []
        self.rejected: list[int] = []
        self.returned: list[Entry] = []
        self.faults: list[str] = []
        self.happened: Counter[str] = Counter()
        self.owner: int | None = 0
        self._intents: dict[str, set[str]] = {}
        self._coming: int | None = None
        self._leaving: int | None = None
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._turns = 0
        self.replicas: list[Replica] = []
        self.replicas += [self._start(0), self._start(1)]

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Let something happen after so many seconds, whoever lives then."""
        due = self.clock.monotonic() + seconds
        heapq.heappush(self._due, (due, next(self._numbers), do))

    def step(self, until: float) -> bool:
        """Let one thing happen; False if the clock has come to a moment before anything is due."""
        self._bury()
        if self._due and self._due[0][0] <= self.clock.monotonic():
            heapq.heappop(self._due)[2]()
            return True
        running = [one for one in self.replicas if not one.frozen]
        busy = [one for one in running if one.loop.busy]
        if busy:
            self._turns += 1
            busy[self._turns % len(busy)].loop.turn()
            return True
        dues = [one.loop.due for one in running] + [self._due[0][0] if self._due else None]
        due = min((one for one in dues if one is not None), default=None)
        if due is None or due > until:
            self.clock.move_to(until)
            return False
        self.clock.move_to(due)
        return True

    def passes(self, seconds: float) -> None:
        """Let so much time pass, in which everything is done that is due."""
        until = self.clock.monotonic() + seconds
        turns, before = 0, self.clock.micros
        while self.step(until):
            turns = turns + 1 if self.clock.micros == before else 0
            before = self.clock.micros
            assert turns < TURNS_AT_ONCE, "something is done again and again"

    def jump(self, seconds: float) -> None:
        """Let it be later at once: everybody stood still meanwhile."""
        self.clock.move_to(self.clock.monotonic() + seconds)

    @property
    def away(self) -> bool:
        """Whether Kafka answers nobody."""
        return self.clock.monotonic() < self.away_until

    @property
    def owning(self) -> Replica | None:
        """The replica that owns the partition, whether it knows or not; None in between."""
        return None if self.owner is None else self.replicas[self.owner]

    def hand_over(self, to: int, told: bool) -> None:
        """Let the group give the partition away; its owner may not hear of it."""
        former = self.owner
        if former is None or (former == to and not told):
            return
        self.happened["handed over" if told else "taken away"] += 1
        if told and not self.replicas[former].frozen:
            self.owner, self._coming, self._leaving = None, to, former
            self.replicas[former].leave(lambda: self._parted(former))
        elif former != to:
            self._give(to)

    def _parted(self, place: int) -> None:
        """Note that a replica has given the partition up, or has ended."""
        if self._coming is not None and place == self._leaving:
            to, self._coming = self._coming, None
            self._give(to)

    def _give(self, to: int) -> None:
        self.owner = to
        self.replicas[to].join()

    def _start(self, place: int) -> Replica:
        made = Replica(self, place)
        self.at(0.5, lambda: self._begin(made))
        return made

    def _begin(self, one: Replica) -> None:
        if not one.dead:
            one.begin()

    def _bury(self) -> None:
        """Begin a new process in the place of each that has ended, as the supervisor does."""
        for place, one in enumerate(self.replicas):
            if one.dead:
                one.bury()
                self.replicas[place] = self._start(place)
                self._parted(place)

    def _wake(self) -> None:
        for one in self.replicas:
            one.wake()

    def _tell(self) -> None:
        for one in self.replicas:
            self.at(self.lag, one.learn)

    def append(self, record: cases.Action | cases.Notice) -> None:
        """Let a replica's record stand in the log, if it may."""
        if isinstance(record, NoticeIntended):
            self._intents.setdefault(record.id, {one.channel for one in record.targets})
        elif isinstance(record, NoticeDelivered):
            taken = self.endpoints.took(record.channel, record.id)
            self.require(taken, f"nobody took {record}")
        elif isinstance(record, NoticeFailed):
            self._look_at(record)
        self.happened[type(record).__name__] += 1
        self.log.write(case_of(record), cases.encode(record))

    def _look_at(self, record: NoticeFailed) -> None:
        if record.reason == "channel_disabled":
            self.unsent.append(record)
            self.require(record.retry_at is None, f"given up, and tried again: {record}")
        else:
            tried = len(self.endpoints.received[record.channel, record.id])
            self.require(tried >= record.attempt, f"it was not tried so often: {record}")
            last = record.attempt == LAST_ATTEMPT
            self.require(last == (record.retry_at is None), f"given up at another time: {record}")

    def look_at_send(self, channel: str, notice: str, behind: float) -> None:
        """Require that what is sent is intended, by somebody who knows the log to its end."""
        intended = channel in self._intents.get(notice, ())
        self.require(intended, f"{notice} is sent by {channel}, and no intent says so")
        said = f"{notice} is sent by who read the log to its end {behind} s ago"
        self.require(behind < CURRENT_SECONDS, said)

    def give_back(self, items: Sequence[tuple[int, bytes]]) -> None:
        """Take entries as the detector does: one whose origin is not newer is known."""
        for _, raw in items:
            entry = decode_entry(raw)
            newest = self.returned[-1].origin if self.returned else None
            if newest is None or (entry.origin is not None and entry.origin > newest):
                self.returned.append(entry)
                self.happened["returned"] += 1
            else:
                self.happened["returned again"] += 1

    def look_at_snapshot(self) -> Partition:
        """Return what is stored, which must be what the log says up to its stamp."""
        restored = Partition.restore(0, 1, dict(self.snapshots.kept))
        prefix = [one for one in self.log.committed if one.offset <= restored.stamp]
        left = [one for one in self.log.committed if restored.stamp < one.offset]
        passed = [one.offset for one in left if one.offset < restored.position]
        self.require(not passed, f"{passed} are passed over at {restored.position}")
        self.faults += differences(pictures(restored), oracle.recount(prefix).pictures())
        folded = Partition.begin(0, 1)
        for one in prefix:
            folded.apply(*one)
        returned = [one for one in self.returned if one.origin and one.origin[2] <= restored.stamp]
        self.require(returned == folded.returned, f"of {folded.returned} {returned} came back")
        return restored

    def require(self, holds: bool, otherwise: str) -> None:
        """Note what must never happen, where an error would only end a process."""
        if not holds:
            self.faults.append(otherwise)


def records(log: Topic) -> list[LogRecord]:
    """Return what can be read of a log."""
    found: list[LogRecord] = []
    for one in log.committed:
        try:
            found.append(cases.decode(one.value or b""))
        except ValueError:
            continue
    return found
