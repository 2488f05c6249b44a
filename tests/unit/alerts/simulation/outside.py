"""What the alerts service meets beside Kafka: endpoints, which answer as they like, and the files
that say what channels there are."""

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from schemas.config import HEALTH_PREFIX, ChannelHealth, PersonRecord, RoutingRecord
from services.alerts.channels import Channel, Delivered, Outcome, Refused
from services.alerts.directory import DirectorySnapshot
from services.config_log import ConfigConflict, ConfigUnavailable
from tests.unit.alerts.simulation.clock import Clock

Manner = Literal["takes", "slow", "late", "deaf", "busy", "asks for time", "gone"]
"""What an endpoint does with one attempt; `late` takes it when nobody waits for that any more."""

MANNERS: Final[dict[Manner, tuple[bool, float, Outcome]]] = {
    # Whether it has it then, seconds until there is an answer, and the answer.
    "takes": (True, 0.05, Delivered(204)),
    "slow": (True, 12.0, Delivered(200)),
    "late": (True, 15.0, Refused("timeout", "no answer")),
    "deaf": (False, 15.0, Refused("timeout", "no answer")),
    "busy": (False, 0.05, Refused("status 503", "")),
    "asks for time": (False, 0.05, Refused("status 429", "", 120.0)),
    "gone": (False, 0.05, Refused("gone", "", gone=True)),
}


class Endpoints:
    """Takes messages, and remembers all of them.

    Attributes:
        planned: By channel, how the next attempts are met; then it takes them.
        broken: Channels whose endpoint is out of order until it is mended.
        received: Bodies by channel and notice, each with whether it was taken.
    """

    def __init__(self) -> None:
        self.planned: dict[str, deque[Manner]] = defaultdict(deque)
        self.broken: set[str] = set()
        self.received: dict[tuple[str, str], list[tuple[bytes, bool]]] = defaultdict(list)

    def receive(self, channel: str, notice: str, body: bytes) -> tuple[float, Outcome]:
        """Meet an attempt; returns the answer, and seconds until it is there."""
        planned = self.planned[channel]
        manner: Manner = planned.popleft() if planned else "takes"
        taken, seconds, outcome = MANNERS["busy" if channel in self.broken else manner]
        self.received[channel, notice].append((body, taken))
        return seconds, outcome

    def took(self, channel: str, notice: str) -> bool:
        """Tell whether a message was taken at least once."""
        return any(taken for _, taken in self.received[channel, notice])


class Company:
    """`config.v1`: channels with their health, and people.

    Args:
        clock: For since when a channel is not there.
        told: Called after every change.

    Attributes:
        away: Whether it can neither be read nor written just now.
        gone: Since when a channel was not there for the first time, by its name.
        off: Channels that once were switched off.
    """

    def __init__(self, clock: Clock, told: Callable[[], None]) -> None:
        self.away = False
        self.gone: dict[str, datetime] = {}
        self.off: set[str] = set()
        self._channels = {"crm", "log"}
        self._healths: dict[str, bytes] = {}
        self._people: tuple[str, ...] = ()
        self._clock = clock
        self._told = told

    @property
    def snapshot(self) -> DirectorySnapshot:
        """What a replica that has read all of it knows."""
        return DirectorySnapshot(
            people=MappingProxyType({who: _person(who) for who in self._people}),
            routing=RoutingRecord(signal_manager="kim"),
            channels=MappingProxyType(
                {name: self._channel(name) for name in sorted(self._channels)}
            ),
            healths=MappingProxyType({name: self._health(name) for name in sorted(self._healths)}),
        )

    def _channel(self, name: str) -> Channel:
        url = f"https://{name}.example.com"
        return Channel(name=name, kind="webhook", url=url, health=self._health(name))

    def _health(self, name: str) -> ChannelHealth:
        return msgspec.json.decode(self._healths.get(name, b"{}"), type=ChannelHealth)

    def set_channel(self, name: str, there: bool) -> None:
        """Let a channel stand in the files, or not."""
        (self._channels.add if there else self._channels.discard)(name)
        self._changed()

    def switch_on(self, name: str) -> None:
        """Do what `ebbwatch channels enable` does."""
        self._healths.pop(name, None)
        self._changed()

    def name(self, people: tuple[str, ...]) -> None:
        """Let these be the people whom the company names; nobody is to know nothing of anybody."""
        self._people = people
        self._changed()

    async def read(self) -> dict[str, bytes]:
        if self.away:
            raise ConfigUnavailable("config.v1 is away")
        return {f"{HEALTH_PREFIX}{name}": raw for name, raw in self._healths.items()}

    async def write(self, key: str, value: bytes | None, expect: bytes | None) -> None:
        name = key.removeprefix(HEALTH_PREFIX)
        if self.away:
            raise ConfigUnavailable("config.v1 is away")
        if self._healths.get(name) != expect:
            raise ConfigConflict("another replica was first")
        self._healths.pop(name, None)
        if value is not None:
            self._healths[name] = value
        self._changed()

    def _changed(self) -> None:
        self.off |= {name for name in self._healths if self._health(name).disabled_at is not None}
        for name in {"crm", "log"} - self._channels:
            self.gone.setdefault(name, self._clock.now())
        self._told()


def _person(who: str) -> PersonRecord:
    return PersonRecord(id=who, name=who.title(), email=f"{who}@example.com")
