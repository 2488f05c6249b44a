"""Every topic that Ebbwatch owns, declared once (design.md §2)."""

from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from .accounts import AccountDays, AccountSummary
from .cases import LogRecord
from .config import (
    ApiKey,
    ChannelHealth,
    ChannelRecord,
    ImportRecord,
    ModeRecord,
    PersonRecord,
    RoutingRecord,
    RuleSetRecord,
)
from .envelope import BYTE_LIMIT
from .rejects import Reject

DEFAULT_PREFIX: Final = "ebbwatch."


def _retain(age: timedelta) -> str:
    return str(int(age.total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Args:
        name: Name without the deployment's prefix.
        holds: What a record is, for a person.
        key: What the key is.
        partitioned: True for the deployment's partition count, False for one partition.
        config: Topic settings that `ebbwatch topics apply` sets and `topics diff` compares.
        producers: Services that write it.
        consumers: Services that read it.
        schema: Type of the values, or None where the values are a service's own bytes.
    """

    name: str
    holds: str
    key: str
    partitioned: bool
    config: MappingProxyType[str, str]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    schema: object = field(default=None)


def _config(**settings: str) -> MappingProxyType[str, str]:
    return MappingProxyType({name.replace("_", "."): value for name, value in settings.items()})


MESSAGE_LIMIT: Final = 2 * 1024 * 1024
"""Bytes of one message; the records of a snapshot are meant to stay below 256 kB."""

_BROKERS_CLOCK = {"message_timestamp_type": "LogAppendTime"}
"""Records bear the broker's time, not their writer's: Kafka refuses what is an hour ahead of its
own, so that a worker whose clock is wrong could write no snapshot. It also tells the detector a
record that comes from the future.
"""

_COMPACT = {
    **_BROKERS_CLOCK,
    "max_message_bytes": str(MESSAGE_LIMIT),
    "cleanup_policy": "compact",
    "min_compaction_lag_ms": "0",
    "delete_retention_ms": _retain(timedelta(days=7)),
    "max_compaction_lag_ms": _retain(timedelta(days=7)),
}

EVENTS = Topic(
    name="events.v1",
    holds="envelopes of at most 500 events of one partition",
    key="none; the partition is chosen by ingest",
    partitioned=True,
    config=_config(
        cleanup_policy="delete",
        retention_ms=_retain(timedelta(days=14)),
        max_message_bytes=str(2 * BYTE_LIMIT),
        **_BROKERS_CLOCK,
    ),
    producers=("ingest", "detector", "alerts"),
    consumers=("detector",),
)
STATE = Topic(
    name="state.v1",
    holds="the detector's snapshot",
    key="subject, or `~ledger...`",
    partitioned=True,
    config=_config(**_COMPACT),
    producers=("detector",),
    consumers=("detector",),
)
ACCOUNTS = Topic(
    name="accounts.v1",
    holds="the latest summary of each account, and its daily series by month",
    key="`<account>`, or `<account>/days/<month>`",
    partitioned=True,
    config=_config(**_COMPACT),
    producers=("detector",),
    consumers=("alerts",),
    schema=AccountSummary | AccountDays,
)
ALERTS = Topic(
    name="alerts.v1",
    holds="the alert log: what rules raise, what people do, what channels answer",
    key="account",
    partitioned=True,
    config=_config(
        cleanup_policy="delete", retention_ms=_retain(timedelta(days=400)), **_BROKERS_CLOCK
    ),
    producers=("detector", "alerts"),
    consumers=("alerts",),
    schema=LogRecord,
)
CASES = Topic(
    name="cases.v1",
    holds="the alerts service's snapshot",
    key="`<case>`, `<case>` 0x1f and what part of it, 0x1f `ledger`, 0x1f `held` 0x1f and an "
    "offset",
    partitioned=True,
    config=_config(**_COMPACT),
    producers=("alerts",),
    consumers=("alerts",),
)
CONFIG = Topic(
    name="config.v1",
    holds="rule sets by number, deployment mode, imports, API keys, people, routing, channels",
    key="`rules/<n>`, `mode`, `import`, `import/<digest>`, `keys/<id>`, `person/<id>`, `routing`, "
    "`channel/<name>`, `channel-health/<name>`",
    partitioned=False,
    config=_config(**_COMPACT),
    producers=("cli", "alerts"),
    consumers=("ingest", "alerts", "cli"),
    schema=RuleSetRecord
    | ModeRecord
    | ImportRecord
    | ApiKey
    | PersonRecord
    | RoutingRecord
    | ChannelRecord
    | ChannelHealth,
)
REJECTS = Topic(
    name="rejects.v1",
    holds="every refusal: raw bytes, reason, where from",
    key="source",
    partitioned=True,
    config=_config(
        cleanup_policy="delete", retention_ms=_retain(timedelta(days=14)), **_BROKERS_CLOCK
    ),
    producers=("ingest", "detector", "alerts"),
    consumers=("cli",),
    schema=Reject,
)

TOPICS: tuple[Topic, ...] = (EVENTS, STATE, ACCOUNTS, ALERTS, CASES, CONFIG, REJECTS)


def full_name(topic: Topic, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the topic's name in a deployment.

    >>> full_name(EVENTS)
    'ebbwatch.events.v1'
    """
    return prefix + topic.name
