"""Kafka itself: brokers, topics as declared, and how many copies there are of each."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.topics import TOPICS, full_name
from services.commands.checks.finding import Finding, fail, ok, some, warn
from services.commands.kafka_facts import Asking, Copies
from services.settings import ServiceSettings
from services.topic_admin import PRODUCTION_REPLICATION, Difference, Found, compare, describe

LOOPBACK: Final = ("127.", "localhost", "[::1]")
OLDEST: Final = ("3.8", "3.9", "4.")
"""Releases that are known to do; the local Kafka is 4.1."""
APPLY: Final = "`ebbwatch topics apply` sets it as declared"


class Cluster(NamedTuple):
    """What is known of Kafka.

    Attributes:
        where: Bootstrap servers.
        version: The release.
        brokers: How many there are.
        differences: Between our topics and their declaration.
        found: Our topics with their settings, by full name.
        copies: Where our partitions are kept, by full name and partition.
    """

    where: str
    version: str
    brokers: int
    differences: list[Difference]
    found: Mapping[str, Found]
    copies: Mapping[str, Mapping[int, Copies]]


async def look(kafka: Asking, settings: ServiceSettings) -> Cluster:
    """Ask Kafka about itself.

    Args:
        kafka: The connection.
        settings: Which deployment.
    """
    names = {full_name(topic, settings.prefix) for topic in TOPICS}
    found = await describe(settings.kafka, settings.prefix)
    copies = {name: each for name, each in (await kafka.topics()).items() if name in names}
    return Cluster(
        settings.kafka,
        await kafka.version(),
        await kafka.brokers(),
        compare(found, settings.prefix, settings.partitions),
        found,
        copies,
    )


def judge(cluster: Cluster) -> list[Finding]:
    """Return what is to be said of Kafka."""
    return [_version(cluster), *_topics(cluster), *_copies(cluster)]


def _version(cluster: Cluster) -> Finding:
    brokers = "1 broker" if cluster.brokers == 1 else f"{cluster.brokers} brokers"
    text = f"Kafka {cluster.version} at {cluster.where}, {brokers}"
    if cluster.version.startswith(OLDEST):
        return ok("kafka", text)
    return warn("kafka", text, "ebbwatch is tested with Kafka 4.1; take 3.8 or newer")


def _topics(cluster: Cluster) -> list[Finding]:
    if not cluster.differences:
        return [ok("topics", f"all {len(TOPICS)} are as declared")]
    found = []
    for each in cluster.differences:
        if each.kind == "missing":
            found.append(fail("topics", f"{each.topic} is missing", "run `ebbwatch topics apply`"))
        elif each.kind == "partitions":
            what, _, remedy = str(each).partition("; ")
            found.append(fail("topics", what, remedy))
        else:
            found.append(warn("topics", str(each), APPLY))
    return found


def _copies(cluster: Cluster) -> list[Finding]:
    found, every = [], {name: list(parts.values()) for name, parts in cluster.copies.items()}
    headless = [name for name, parts in every.items() if any(one.leader < 0 for one in parts)]
    if headless:
        remedy = "a broker is down; look at its log, and start it again"
        found.append(fail("copies", f"partitions without a leader in {some(headless)}", remedy))
    lacking = [
        name for name, parts in every.items() if any(one.in_sync < one.replicas for one in parts)
    ]
    if lacking:
        text = f"partitions with fewer copies in sync than there should be in {some(lacking)}"
        found.append(warn("copies", text, "a broker is down or behind; look at its log"))
    fewest = min((one.replicas for parts in every.values() for one in parts), default=0)
    found += _safety(cluster, fewest)
    if not found and every:
        found.append(ok("copies", f"{fewest} of each partition, all in sync"))
    return found


def _safety(cluster: Cluster, fewest: int) -> list[Finding]:
    """Return what an acknowledgement is not worth."""
    if 0 < fewest < PRODUCTION_REPLICATION and not cluster.where.startswith(LOOPBACK):
        text = f"only {fewest} of some partitions: what a disk loses may be lost for good"
        remedy = f"use {PRODUCTION_REPLICATION} brokers, and topics with as many replicas"
        return [warn("copies", text, remedy)]
    unsafe = [
        f"{name}: {setting}={value}"
        for name, each in cluster.found.items()
        for setting, value, wrong in (
            ("min.insync.replicas", each.settings.get("min.insync.replicas", ""), fewest > 2),
            ("unclean.leader.election.enable", *_unclean(each)),
        )
        if wrong and value in ("1", "true")
    ]
    if not unsafe:
        return []
    text = f"an acknowledged event may be lost with one broker: {some(unsafe, 3)}"
    return [warn("copies", text, "set min.insync.replicas=2 and no unclean election")]


def _unclean(found: Found) -> tuple[str, bool]:
    return found.settings.get("unclean.leader.election.enable", ""), True
