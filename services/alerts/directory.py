"""The company's people, how alerts find them, and the channels: all of it follows `config.v1`."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from schemas import topics
from schemas.config import (
    CHANNEL_PREFIX,
    HEALTH_PREFIX,
    PERSON_PREFIX,
    ROUTING_KEY,
    ChannelHealth,
    ChannelRecord,
    PersonRecord,
    RoutingRecord,
)
from services.alerts.channel_health import (
    HEALTHY,
    Change,
    HealthLog,
    HealthWriter,
    Why,
    after_failure,
    after_success,
    switched_off,
)
from services.alerts.channels import Channel
from services.config_follower import ConfigFollower
from services.config_log import ConfigLog
from services.sealing import Sealer, Unopened

_NOBODY: Final[Mapping[str, PersonRecord]] = MappingProxyType({})
_NO_CHANNELS: Final[Mapping[str, Channel]] = MappingProxyType({})
_ALL_WELL: Final[Mapping[str, ChannelHealth]] = MappingProxyType({})
_NO_ROUTING: Final = RoutingRecord()
_KEYLESS: Final = Unopened("EBBWATCH_SECRET_KEY is not set here, so its secret cannot be opened")

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class DirectorySnapshot:
    """What the directory says at one moment; it never changes, a newer one takes its place.

    Attributes:
        people: By id, in order of id; empty where the company has named nobody.
        routing: How alerts find people.
        channels: By name, in order of name, each with its health.
        healths: Health by name, also of channels that are not there (yet, or any more).
    """

    people: Mapping[str, PersonRecord] = field(default_factory=lambda: _NOBODY)
    routing: RoutingRecord = field(default_factory=lambda: _NO_ROUTING)
    channels: Mapping[str, Channel] = field(default_factory=lambda: _NO_CHANNELS)
    healths: Mapping[str, ChannelHealth] = field(default_factory=lambda: _ALL_WELL)


def fold(
    sealer: Sealer | None, known: DirectorySnapshot, key: str, value: bytes | None
) -> DirectorySnapshot:
    """Return the directory after one record of `config.v1`.

    Args:
        sealer: Opens the secrets of channels; without one none of them can be used.
        known: The directory before it.
        key: The record's key; one that does not concern the directory changes nothing.
        value: The record's value; None deletes it.

    Raises:
        msgspec.MsgspecError: The value is not what its key promises.
    """
    if key.startswith(PERSON_PREFIX):
        person = None if value is None else msgspec.json.decode(value, type=PersonRecord)
        return replace(known, people=_with(known.people, key.removeprefix(PERSON_PREFIX), person))
    if key.startswith(CHANNEL_PREFIX):
        name = key.removeprefix(CHANNEL_PREFIX)
        channel = None if value is None else _channel(sealer, key, value, known.healths.get(name))
        return replace(known, channels=_with(known.channels, name, channel))
    if key.startswith(HEALTH_PREFIX):
        health = None if value is None else msgspec.json.decode(value, type=ChannelHealth)
        return _with_health(known, key.removeprefix(HEALTH_PREFIX), health)
    if key == ROUTING_KEY:
        routing = _NO_ROUTING if value is None else msgspec.json.decode(value, type=RoutingRecord)
        return replace(known, routing=routing)
    return known


def read(sealer: Sealer | None, records: Mapping[str, bytes]) -> DirectorySnapshot:
    """Return the directory that `config.v1` holds; what cannot be read is passed over.

    Args:
        sealer: Opens the secrets of channels; without one none of them can be used.
        records: The newest value of every key.
    """
    known = DirectorySnapshot()
    for key, value in records.items():
        with contextlib.suppress(msgspec.MsgspecError):
            known = fold(sealer, known, key, value)
    return known


class Directory:
    """The directory as it is now, and what the health of its channels is told.

    None of its methods raises what Kafka does; the one that tells of a success or a failure may
    take as long as Kafka takes to answer, so no delivery should wait for it.

    Args:
        follower: Folds `config.v1`.
        log: Writes `config.v1`.
    """

    def __init__(self, follower: ConfigFollower[DirectorySnapshot], log: HealthLog) -> None:
        self.ready = follower.ready
        self._follower = follower
        self._writer = HealthWriter(log)

    @property
    def snapshot(self) -> DirectorySnapshot:
        """What the directory says now; empty until `ready`."""
        return self._follower.state

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._follower.run()

    def subscribe(self, callback: Callable[[DirectorySnapshot], None]) -> None:
        """Call back now, if the directory is ready, and after every change in the log."""
        self._follower.subscribe(callback)

    async def succeeded(self, name: str) -> None:
        """Note that an attempt by a channel succeeded: it does not fail any more."""
        await self._change(name, after_success)

    async def failed(self, name: str, now: datetime) -> None:
        """Note that an attempt by a channel failed; after five days of that it is switched off.

        Args:
            name: The channel.
            now: Aware UTC.
        """
        await self._change(name, partial(after_failure, now=now))

    async def disable(self, name: str, reason: Why, now: datetime) -> None:
        """Switch a channel off until a person switches it on again.

        Args:
            name: The channel.
            reason: `gone` for an endpoint that answered 410.
            now: Aware UTC.
        """
        await self._change(name, partial(switched_off, reason=reason, now=now))

    async def _change(self, name: str, then: Change) -> None:
        if name not in self._follower.state.channels:
            # Of a channel that is gone, health would stay for ever.
            return
        await self._writer.change(name, partial(self._health, name), then)

    def _health(self, name: str) -> ChannelHealth:
        return self._follower.state.healths.get(name, HEALTHY)


def following(kafka: str, prefix: str, secret_key: str) -> Directory:
    """Return the directory of a deployment; `run` follows it, `ready` says when it is whole.

    Args:
        kafka: Bootstrap servers.
        prefix: The deployment's topic prefix.
        secret_key: What the secrets of channels are sealed with.
    """
    topic = topics.full_name(topics.CONFIG, prefix)
    then = partial(fold, Sealer(secret_key))
    follower = ConfigFollower(kafka, topic, DirectorySnapshot(), then)
    return Directory(follower, ConfigLog(kafka, prefix))


def _channel(
    sealer: Sealer | None, key: str, value: bytes, health: ChannelHealth | None
) -> Channel:
    record = msgspec.json.decode(value, type=ChannelRecord)
    opened = _KEYLESS if sealer is None else sealer.open(record.secret, key)
    channel = Channel(
        name=record.name,
        kind=record.kind,
        url=record.url,
        secrets=() if isinstance(opened, Unopened) else tuple(opened.splitlines()),
        allow_http=record.allow_http,
        health=health or HEALTHY,
        fault=opened.reason if isinstance(opened, Unopened) else "",
    )
    try:
        return replace(channel, allow=tuple(ip_network(one) for one in record.allow))
    except ValueError as error:
        return replace(channel, fault=f"allow: {error}; mend channels.toml and apply it")


def _with(known: Mapping[str, V], name: str, value: V | None) -> Mapping[str, V]:
    found = {key: one for key, one in known.items() if key != name}
    if value is not None:
        found[name] = value
    return MappingProxyType(dict(sorted(found.items())))


def _with_health(
    known: DirectorySnapshot, name: str, health: ChannelHealth | None
) -> DirectorySnapshot:
    channel, kept = known.channels.get(name), None if health == HEALTHY else health
    healths = _with(known.healths, name, kept)
    if channel is None:
        return replace(known, healths=healths)
    changed = replace(channel, health=kept or HEALTHY)
    return replace(known, healths=healths, channels=_with(known.channels, name, changed))
