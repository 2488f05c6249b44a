"""Compares the broker's topics with `schemas/topics.py`, and creates or mends them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from schemas.topics import CONFIG, EVENTS, REJECTS, TOPICS, Topic, full_name
from services.kafka_clients import close
from services.settings import ConfigurationError, Fault

OWN_SETTING: Final = 1
"""Where a setting comes from: the topic itself. Source: Kafka's protocol, DescribeConfigs."""
PRODUCTION_REPLICATION: Final = 3
SETTLE_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.1
INGEST_TOPICS: Final = (EVENTS, CONFIG, REJECTS)


@dataclass(frozen=True, slots=True)
class Found:
    """A topic on the broker.

    Attributes:
        partitions: Its partition count.
        settings: All its settings, defaults included.
        own: Those that were set for it.
    """

    partitions: int
    settings: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the broker differs from what is declared.

    Attributes:
        topic: Full name.
        kind: Only `partitions` cannot be mended by `apply`.
        setting: Name of the setting, for `setting`.
        has: What the broker has.
        wants: What is declared.
    """

    topic: str
    kind: Literal["missing", "setting", "partitions"]
    setting: str
    has: str
    wants: str

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"{self.topic} is missing; run `ebbwatch topics apply`"
        if self.kind == "setting":
            return f"{self.topic}: {self.setting} is {self.has!r}, declared is {self.wants!r}"
        return (
            f"{self.topic} has {self.has} partitions, EBBWATCH_PARTITIONS is {self.wants}; set "
            f"EBBWATCH_PARTITIONS={self.has}, or import into new topics under another "
            "EBBWATCH_PREFIX: accounts stay on the partition where their history is"
        )

    def as_json(self) -> dict[str, str]:
        """Return the difference with its text, plain JSON."""
        return {**asdict(self), "text": str(self)}


def compare(
    found: Mapping[str, Found], prefix: str, partitions: int, topics: Iterable[Topic] = TOPICS
) -> list[Difference]:
    """Return what differs, in the order of the declaration.

    Args:
        found: The broker's topics by full name.
        prefix: The deployment's prefix.
        partitions: The deployment's partition count, >= 1.
        topics: Which declarations to compare.
    """
    differences = []
    for topic in topics:
        name, count = full_name(topic, prefix), partitions if topic.partitioned else 1
        has = found.get(name)
        if has is None:
            differences.append(Difference(name, "missing", "", "", ""))
            continue
        if has.partitions != count:
            differences.append(Difference(name, "partitions", "", str(has.partitions), str(count)))
        differences += [
            Difference(name, "setting", setting, has.settings.get(setting, ""), value)
            for setting, value in topic.config.items()
            if has.settings.get(setting) != value
        ]
    return differences


async def describe(kafka: str, prefix: str) -> dict[str, Found]:
    """Return the broker's topics of one deployment, by full name.

    Args:
        kafka: Bootstrap servers.
        prefix: The deployment's prefix.

    Raises:
        KafkaError: Kafka does not answer or refuses.
    """
    async with _admin(kafka) as admin:
        return await _describe(admin, [full_name(topic, prefix) for topic in TOPICS])


async def partition_counts(kafka: str) -> dict[str, int]:
    """Return the partition count of every topic on the broker, whosever it is.

    Raises:
        KafkaError: Kafka does not answer or refuses.
    """
    async with _admin(kafka) as admin:
        return {
            each["topic"]: len(each["partitions"])
            for each in await admin.describe_topics()
            if not each["error_code"]
        }


async def apply(kafka: str, prefix: str, partitions: int) -> list[Difference]:
    """Create missing topics and set differing settings; partition counts are never touched.

    Args:
        kafka: Bootstrap servers.
        prefix: The deployment's prefix.
        partitions: The deployment's partition count, >= 1.

    Returns:
        What differed before; a difference of kind `partitions` still does.

    Raises:
        KafkaError: Kafka does not answer or refuses.
        TimeoutError: It confirmed, and yet does not show it.
    """
    async with _admin(kafka) as admin:
        found = await _describe(admin, [full_name(topic, prefix) for topic in TOPICS])
        differences = compare(found, prefix, partitions)
        missing = {each.topic for each in differences if each.kind == "missing"}
        wrong = {each.topic for each in differences if each.kind == "setting"}
        by_name = {full_name(topic, prefix): topic for topic in TOPICS}
        await _create(admin, {name: by_name[name] for name in missing}, partitions)
        await _mend(admin, {name: {**found[name].own, **by_name[name].config} for name in wrong})
        if missing or wrong:
            await _settle(admin, prefix, partitions, by_name)
        return differences


async def require(
    kafka: str, prefix: str, partitions: int, topics: Iterable[Topic] = INGEST_TOPICS
) -> None:
    """Refuse to run on topics that are missing or partitioned otherwise.

    Args:
        kafka: Bootstrap servers.
        prefix: The deployment's prefix.
        partitions: The deployment's partition count.
        topics: The topics that a service needs.

    Raises:
        ConfigurationError: Names each of them with the remedy.
        KafkaError: Kafka does not answer or refuses.
    """
    different = compare(await describe(kafka, prefix), prefix, partitions, topics)
    faults: list[Fault | str] = [str(each) for each in different if each.kind != "setting"]
    if faults:
        raise ConfigurationError(faults)


@contextlib.asynccontextmanager
async def _admin(kafka: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=10_000)
    try:
        await admin.start()
        yield admin
    finally:
        await close(admin.close)


async def _describe(admin: Any, names: Sequence[str]) -> dict[str, Found]:
    counts = {
        each["topic"]: len(each["partitions"])
        for each in await admin.describe_topics()
        if each["topic"] in names and not each["error_code"]
    }
    if not counts:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in counts]
    found = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _, name, entries in answer.resources:
            if code:
                raise for_code(code)(f"settings of {name}: {message}")
            settings = {entry[0]: entry[1] or "" for entry in entries}
            own = {entry[0]: entry[1] or "" for entry in entries if entry[3] == OWN_SETTING}
            found[name] = Found(counts[name], settings, own)
    return found


async def _settle(admin: Any, prefix: str, partitions: int, by_name: Mapping[str, Topic]) -> None:
    """Wait until the broker shows what it has confirmed: whoever looks next must see it."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            found = await _describe(admin, list(by_name))
            left = compare(found, prefix, partitions, by_name.values())
            if all(each.kind == "partitions" for each in left):
                return
            await asyncio.sleep(POLL_SECONDS)


async def _create(admin: Any, topics: Mapping[str, Topic], partitions: int) -> None:
    if not topics:
        return
    brokers = len((await admin.describe_cluster())["brokers"])
    safe = {"min.insync.replicas": "2"} if brokers >= PRODUCTION_REPLICATION else {}
    new = [
        NewTopic(
            name,
            partitions if topic.partitioned else 1,
            PRODUCTION_REPLICATION if brokers >= PRODUCTION_REPLICATION else 1,
            topic_configs={**safe, **topic.config},
        )
        for name, topic in topics.items()
    ]
    for name, code, *message in (await admin.create_topics(new)).topic_errors:
        if code:
            raise for_code(code)(f"topic {name} cannot be created: {message}")


async def _mend(admin: Any, settings: Mapping[str, Mapping[str, str]]) -> None:
    """Set a topic's settings; the protocol replaces them all, so its own ones are repeated."""
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(values))
        for name, values in settings.items()
    ]
    if not resources:
        return
    for answer in await admin.alter_configs(resources):
        for code, message, _, name in answer.resources:
            if code:
                raise for_code(code)(f"settings of {name} cannot be changed: {message}")
