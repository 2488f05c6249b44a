"""Follows `config.v1`: the mode, the newest rule set, the API keys."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.config import (
    KEYS_PREFIX,
    MODE_KEY,
    RULES_PREFIX,
    ApiKey,
    Input,
    Mode,
    ModeRecord,
    RuleSetContent,
    RuleSetRecord,
)
from services.ingest import markers
from services.kafka_clients import Pulse, close
from services.runtime import get_logger

BACK_OFF_SECONDS: Final = 1.0

_log = get_logger(__name__)


@dataclass(frozen=True)
class Configuration:
    """What `config.v1` says up to some offset; a record replaces it as a whole.

    Attributes:
        mode: Of the deployment.
        rules: The newest rule set, or None.
        inputs: The input topics of that rule set, by name.
        keys: All API keys by id, revoked ones too.
        marked: Partitions that were ever read, by input topic.
    """

    mode: Mode = "new"
    rules: RuleSetRecord | None = None
    inputs: dict[str, Input] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    marked: dict[str, frozenset[int]] = field(default_factory=dict)

    @property
    def sources(self) -> frozenset[str]:
        """Sources that a key or an input names: few enough to be labels of metrics."""
        named = {key.source for key in self.keys.values()}
        return frozenset(named | {each.source for each in self.inputs.values()})


def fold(known: Configuration, key: str, value: bytes | None) -> Configuration:
    """Return the configuration after one record.

    Args:
        known: The configuration before it.
        key: The record's key; one that does not concern ingest changes nothing.
        value: The record's value; None deletes it.

    Raises:
        msgspec.MsgspecError: The value is not what its key promises.
    """
    if key == MODE_KEY and value is not None:
        return replace(known, mode=msgspec.json.decode(value, type=ModeRecord).mode)
    if key.startswith(KEYS_PREFIX):
        keys = {k: v for k, v in known.keys.items() if k != key.removeprefix(KEYS_PREFIX)}
        if value is not None:
            api_key = msgspec.json.decode(value, type=ApiKey)
            keys[api_key.id] = api_key
        return replace(known, keys=keys)
    if key.startswith(markers.PREFIX):
        return replace(known, marked=_marked(known.marked, key, value))
    if key.startswith(RULES_PREFIX) and value is not None:
        rules = msgspec.json.decode(value, type=RuleSetRecord)
        if known.rules is None or rules.n > known.rules.n:
            content = msgspec.json.decode(rules.content, type=RuleSetContent)
            return replace(known, rules=rules, inputs=content.inputs)
    return known


def _marked(
    known: dict[str, frozenset[int]], key: str, value: bytes | None
) -> dict[str, frozenset[int]]:
    topic, _, number = key.removeprefix(markers.PREFIX).rpartition("/")
    if value is None:
        left = known.get(topic, frozenset()) - ({int(number)} if number.isdigit() else set())
        return {**known, topic: left}
    marker = msgspec.json.decode(value, type=markers.Marker)
    return {**known, marker.topic: known.get(marker.topic, frozenset()) | {marker.partition}}


class Follower:
    """Keeps a `Configuration` up to date.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `config.v1`.
    """

    def __init__(self, kafka: str, topic: str) -> None:
        self.configuration = Configuration()
        self.ready = asyncio.Event()
        self._kafka = kafka
        self._topic = topic
        self._callbacks: list[Callable[[Configuration], None]] = []

    def subscribe(self, callback: Callable[[Configuration], None]) -> None:
        """Call back now, if the topic has been read to its end, and after every change."""
        self._callbacks.append(callback)
        if self.ready.is_set():
            callback(self.configuration)

    async def run(self) -> None:
        """Follow until cancelled; a broken connection is taken up again from the beginning."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("configuration cannot be read", topic=self._topic, error=repr(error))
            await asyncio.sleep(BACK_OFF_SECONDS)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            # Not seek_to_beginning: aiokafka 0.14 loses it to the reset that runs meanwhile.
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            await self._read(consumer, TopicPartition(self._topic, 0))
        finally:
            await close(consumer.stop)

    async def _read(self, consumer: Any, partition: TopicPartition) -> None:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        # Until the end is reached the old state holds: half a configuration must not show.
        state = Configuration()
        pulse = Pulse(asyncio.get_running_loop().time)
        while True:
            for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, []):
                state = _apply(state, record)
            pulse.check(consumer)
            # Compared with the position, because transaction markers are passed silently.
            if await consumer.position(partition) >= end:
                self._show(state)

    def _show(self, state: Configuration) -> None:
        if state is self.configuration or (self.ready.is_set() and state == self.configuration):
            return
        self.configuration = state
        self.ready.set()
        for callback in self._callbacks:
            callback(state)


def _apply(state: Configuration, record: Any) -> Configuration:
    key = (record.key or b"").decode(errors="replace")
    try:
        return fold(state, key, record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        # The newest readable value stays in force.
        _log.error("configuration record ignored", key=key, offset=record.offset, error=str(error))
        return state
