"""Logs of many entries, and partitions that fold them: what the tests of the detector play."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from schemas.alerts import Alert
from schemas.envelope import Entry, decode_entry, encode
from schemas.events import ClockTicked
from services.detector.partition import Partition
from services.detector.pending import Cut
from tests.builders import MONDAY, at


class Message(NamedTuple):
    """One message of `events.v1`."""

    offset: int
    appended: int
    value: bytes


class Log:
    """One partition of `events.v1`: entries, message by message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.entries: list[list[Entry]] = []
        self._numbered = 0

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def add(self, *entries: Entry, appended: int | None = None) -> "Log":
        """Append one message; its append time is that of its newest entry, or of the one before.

        Args:
            entries: What it holds.
            appended: Append time in microseconds, where it matters.
        """
        named = [self._named(one) for one in entries]
        newest = max([_time(one) for one in named] + [m.appended for m in self.messages[-1:]])
        time = newest if appended is None else appended
        self.entries.append(named)
        self.messages.append(Message(len(self.messages), time, encode(named)))
        return self

    def each(self, *entries: Entry) -> "Log":
        """Append every entry as a message of its own."""
        for one in entries:
            self.add(one)
        return self

    def garbage(self, value: bytes) -> "Log":
        """Append bytes that are no envelope."""
        appended = self.messages[-1].appended if self.messages else at(1)
        self.entries.append([])
        self.messages.append(Message(len(self.messages), appended, value))
        return self

    def _named(self, one: Entry) -> Entry:
        self._numbered += 1
        return one if one.id else msgspec.structs.replace(one, id=f"e{self._numbered:06}")


def _time(one: Entry) -> int:
    return one.event.at if isinstance(one.event, ClockTicked) else one.time


def settle(partition: Partition, batch: int = 250) -> Partition:
    """Judge until no closing is open."""
    while partition.judge(batch):
        pass
    return partition


def apply(partition: Partition, messages: Iterable[Message]) -> Partition:
    """Fold messages, and judge nothing."""
    for message in messages:
        partition.apply(*message)
    return partition


def play(log: Iterable[Message], partition: Partition | None = None) -> Partition:
    """Fold a log, judging after every message to the end."""
    partition = partition or Partition.begin(0, 1)
    for message in log:
        partition.apply(*message)
        settle(partition)
    return partition


def forwards(partition: Partition) -> list[Entry]:
    """Take what a partition has to say to others."""
    return [decode_entry(raw) for _, raw in partition.forwards()]


def store(records: dict[str, bytes], cut: Cut) -> dict[str, bytes]:
    """Return what `state.v1` holds, compacted, after a cut was written over some records."""
    merged: dict[str, bytes | None] = {**records, **dict(cut.records)}
    return {key: value for key, value in merged.items() if value is not None}


def told(alerts: Iterable[Alert]) -> list[tuple[str, str, str, str, int]]:
    """Return alerts as (account, rule, object, what, day)."""
    return [
        (
            one.account,
            one.rule,
            one.object,
            getattr(one, "reason", None) or type(one).__name__.removeprefix("Alert").lower(),
            (one.day - MONDAY).days + 1,
        )
        for one in alerts
    ]
