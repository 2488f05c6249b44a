"""Accepts an input's topic as it is: under its old name, or under a new one if it is another."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec
from aiokafka import TopicPartition

from schemas import topics
from schemas.config import RULES_PREFIX, RuleSetContent, RuleSetRecord
from services.commands.config import newest_rules
from services.commands.input_lives import base, lives, named
from services.commands.input_state import InputState, configured, states
from services.commands.kafka_facts import Asking, asking
from services.commands.ledgers import counted, ledgers
from services.commands.offset_deletion import StillRead, delete_offsets
from services.config_log import ConfigLog
from services.ingest.markers import PREFIX as MARKS
from services.settings import ServiceSettings

LOOK_SECONDS: Final = 60.0
LEFT_SECONDS: Final = 15.0
"""Ingest sees within two seconds that a topic was created anew; then its group shares out."""
AGAIN_SECONDS: Final = 0.5

Kind = Literal["anew", "same"]


class NotReset(Exception):
    """Nothing was done; the message says why, and what to say if it shall be."""


class Evidence(NamedTuple):
    """What is known of an input before it is reset.

    Attributes:
        state: How it stands.
        counted: The newest offset that the detector has counted, by partition of its topic.
        next_name: The name of its next life.
    """

    state: InputState
    counted: Mapping[int, int]
    next_name: str

    @property
    def beyond(self) -> tuple[int, int, int] | None:
        """A partition that ends before what was counted of it: number, counted offset, end."""
        for number, offset in sorted(self.counted.items()):
            end = self.state.parts[number].end if number in self.state.parts else 0
            if end <= offset:
                return number, offset, end
        return None


class Decision(NamedTuple):
    """What a reset is going to do.

    Attributes:
        kind: Whether the topic is another one.
        plan: For the question before.
        done: For the answer after.
    """

    kind: Kind
    plan: str
    done: str


def decide(evidence: Evidence, told: Kind | None) -> Decision:
    """Return what to do, from what is known and what the person says.

    Args:
        evidence: What is known.
        told: What the topic is; None leaves it to the evidence.

    Raises:
        NotReset: The input is in order, or the evidence is not enough or says otherwise.
    """
    state, beyond = evidence.state, evidence.beyond
    name, topic = state.name, state.input.topic
    if told is None and not (state.another or any(part.fault for part in state.parts.values())):
        raise NotReset(
            f"nothing was done to {name!r}: {state.fault or 'it is read as it should be'}. If its "
            "topic was created anew all the same, say --created-anew: everything in it counts then"
        )
    if beyond is not None:
        number, offset, end = beyond
        what = f"partition {number} of {topic} was counted up to offset {offset} and ends at {end}"
        if told == "same":
            raise NotReset(f"{what}: it is not the same topic; say --created-anew")
        return _anew(evidence, f"{what}, so it was created anew")
    if told is None and state.another:
        return _anew(evidence, f"{topic} has another id than the topic that was read")
    if told is None:
        held = "; ".join(
            f"partition {number} holds {part.start} to {part.end}, counted up to "
            f"{evidence.counted.get(number, 'nothing')}"
            for number, part in sorted(state.parts.items())
        )
        raise NotReset(
            f"{topic} may be the topic that was read before, or another one ({held}). Say "
            "--same-topic if only Kafka's record of the offsets is gone: what was counted is not "
            "counted again. Say --created-anew if it was deleted and made again: all of it counts"
        )
    return _anew(evidence, "") if told == "anew" else _same(evidence)


def _anew(evidence: Evidence, why: str) -> Decision:
    topic, after = evidence.state.input.topic, evidence.next_name
    plan = f"read {topic} from its beginning as {after!r}, and count everything in it"
    done = f"{topic} is read from its beginning as {after!r}; ingest takes it up by itself"
    return Decision("anew", f"{why}: {plan}" if why else plan, done)


def _same(evidence: Evidence) -> Decision:
    name, topic = evidence.state.name, evidence.state.input.topic
    plan = f"read {topic} from its beginning as {name!r}, and count only what was not counted"
    done = f"{topic} counts as never read: restart ingest, which then reads it from its beginning"
    return Decision("same", plan, done)


class Resetting:
    """Looks at an input, and resets it.

    Args:
        settings: Which deployment.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._log = ConfigLog(settings.kafka, settings.prefix)
        self._found: Mapping[str, bytes] = {}

    async def look(self, name: str) -> Evidence:
        """Return what is known of an input.

        Args:
            name: Its name, in `inputs.toml` or as it is counted.

        Raises:
            NotReset: There is no such input, or its topic does not exist.
            ConfigUnavailable: Kafka does not answer.
            KafkaError: Likewise.
        """
        settings = self._settings
        self._found = await self._log.read()
        full = _full_name(self._found, name)
        async with asyncio.timeout(LOOK_SECONDS), asking(settings.kafka) as kafka:
            # What is counted first: it grows meanwhile, and would lie behind an end of before.
            known = await _counted(kafka, settings, full)
            (state,) = await states(kafka, self._found, settings.prefix, {full})
            if not state.parts:
                raise NotReset(f"nothing was done: {state.fault}; {state.remedy}")
        number = lives(self._found)[base(full)].number
        return Evidence(state, known, named(base(full), number + 1))

    async def write(self, evidence: Evidence, decision: Decision, now: datetime) -> None:
        """Do what was decided: forget offsets and marks, and give the new name.

        Args:
            evidence: What `look` returned.
            decision: What is to be done.
            now: Aware UTC.

        Raises:
            NotReset: Ingest goes on reading the topic; nothing was done.
            ConfigConflict: Another command wrote the configuration meanwhile; run this one again.
            ConfigUnavailable: Kafka does not answer.
        """
        settings, topic = self._settings, evidence.state.input.topic
        group = f"{settings.prefix}ingest"
        try:
            await _once_left(settings.kafka, group, topic, sorted(evidence.state.parts))
        except StillRead as error:
            raise NotReset(
                f"nothing was done: {error}, for it takes it for the topic of before. End every "
                "ingest, run the same command again, and start ingest"
            ) from error
        values: dict[str, bytes | None] = {
            key: None for key in self._found if key.startswith(f"{MARKS}{topic}/")
        }
        if decision.kind == "anew":
            # After the marks: whoever follows the configuration must not see the new name first.
            record = _renamed(self._found, evidence, now)
            values[f"{RULES_PREFIX}{record.n}"] = msgspec.json.encode(record)
        await self._log.write_all(values, {key: self._found.get(key) for key in values})


def _full_name(found: Mapping[str, bytes], name: str) -> str:
    inputs = configured(found)
    for full in inputs:
        if name in (full, base(full)):
            return full
    known = ", ".join(sorted(inputs)) or "none"
    raise NotReset(f"there is no input {name!r}; there are: {known}")


async def _once_left(kafka: str, group: str, topic: str, numbers: Sequence[int]) -> None:
    """Delete offsets as soon as ingest, which looks every few seconds, has left the topic."""
    until = asyncio.get_running_loop().time() + LEFT_SECONDS
    while True:
        try:
            return await delete_offsets(kafka, group, topic, numbers)
        except StillRead:
            if asyncio.get_running_loop().time() > until:
                raise
        await asyncio.sleep(AGAIN_SECONDS)


async def _counted(kafka: Asking, settings: ServiceSettings, name: str) -> dict[int, int]:
    topic = topics.full_name(topics.STATE, settings.prefix)
    parts = [TopicPartition(topic, number) for number in range(settings.partitions)]
    return counted(await ledgers(kafka, parts, await kafka.offsets(parts)), name)


def _renamed(found: Mapping[str, bytes], evidence: Evidence, now: datetime) -> RuleSetRecord:
    """Return the next rule set: the newest one, with the input under its new name."""
    newest = newest_rules(found)
    assert newest is not None, "the input came from it"
    content = msgspec.json.decode(newest.content, type=RuleSetContent)
    inputs = {
        evidence.next_name if name == evidence.state.name else name: each
        for name, each in content.inputs.items()
    }
    text = msgspec.json.encode(msgspec.structs.replace(content, inputs=inputs), order="sorted")
    return RuleSetRecord(n=newest.n + 1, content=text.decode(), applied_at=now)
