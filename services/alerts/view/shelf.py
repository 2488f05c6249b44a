"""What lists are made of, held in this process and kept up with Redis by what moved."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from services.alerts.view import keys
from services.alerts.view.link import Link
from services.alerts.view.script import Command

CHUNK: Final = 500
"""Accounts that are read at once: some milliseconds in which nothing else is done here."""

T = TypeVar("T")


@dataclass(slots=True)
class _Held(Generic[T]):
    """What is held of one partition.

    Attributes:
        life: Of the marker; another one says that all that is held was lost there.
        version: Up to which everything is held.
        items: By account.
    """

    life: bytes = b""
    version: int = 0
    items: dict[str, T] = field(default_factory=dict)


class Shelf(Generic[T]):
    """One shelf of all partitions: cases that are open, cases that are resolved, or accounts.

    The first reading takes everything, a later one what moved since then: nobody reads 10,000
    cases because one has changed. Reading that is broken off goes on where it was.

    Args:
        link: The connection.
        names: Names of the keys.
        shelf: Which one.
        partitions: Partition count.
        decode: Reads what stands in Redis.

    Attributes:
        changes: Grows with every reading that found something moved.
    """

    def __init__(
        self,
        link: Link,
        names: keys.Keys,
        shelf: keys.Shelf,
        partitions: int,
        decode: Callable[[bytes], T],
    ) -> None:
        self.changes = 0
        self._link = link
        self._parts = [names.part(number) for number in range(partitions)]
        self._shelf = shelf
        self._decode = decode
        self._held: list[_Held[T]] = [_Held() for _ in range(partitions)]
        self._lock = asyncio.Lock()

    def items(self) -> Iterator[T]:
        """Yield what was held after the last reading."""
        for held in self._held:
            yield from held.items.values()

    def get(self, partition: int, account: str) -> T | None:
        """Return what was held of one account after the last reading."""
        return self._held[partition].items.get(account)

    async def read(self) -> None:
        """Read what moved since the last time."""
        async with self._lock:
            behind = await self._behind()
            while behind:
                moved = await self._moved(list(behind))
                await self._take(moved)
                for number, some in moved.items():
                    if len(some) < CHUNK:
                        # Whatever moved in this version or before has been read by now.
                        held = self._held[number]
                        held.version = max(held.version, behind.pop(number))

    async def _moved(self, numbers: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
        """Return accounts that moved, and in which version, the oldest first, by partition."""
        most = ("WITHSCORES", "LIMIT", 0, CHUNK)
        asked: list[Command] = []
        for number in numbers:
            after = f"({self._held[number].version}"
            key = self._parts[number].moved(self._shelf)
            asked.append(("ZRANGEBYSCORE", key, after, "+inf", *most))
        answers = await self._link.ask_all(asked)
        return {
            number: [(member.decode(), int(score)) for member, score in _pairs(answer)]
            for number, answer in zip(numbers, answers, strict=True)
        }

    async def _behind(self) -> dict[int, int]:
        """Return partitions in which something may have moved, and their versions."""
        asked = [("HMGET", part.marker, "life", "complete", "version") for part in self._parts]
        behind: dict[int, int] = {}
        for number, (life, complete, version) in enumerate(await self._link.ask_all(asked)):
            held = self._held[number]
            if life is None:
                continue
            if life != held.life:
                if held.items and complete != b"1":
                    # What was known stays, until what takes its place is whole.
                    continue
                self._held[number] = held = _Held(life)
                self.changes += 1
            if int(version) > held.version:
                behind[number] = int(version)
        return behind

    async def _take(self, moved: dict[int, list[tuple[str, int]]]) -> None:
        """Read the accounts that moved."""
        for number, some in moved.items():
            if not some:
                continue
            key, held = self._parts[number].shelf(self._shelf), self._held[number]
            values = await self._link.ask("HMGET", key, *[account for account, _ in some])
            for (account, version), value in zip(some, values, strict=True):
                if value is None:
                    held.items.pop(account, None)
                else:
                    held.items[account] = self._decode(value)
                held.version = version
            self.changes += 1


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
