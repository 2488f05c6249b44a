"""The records of `config.v1`, by key: rule sets, mode, imports, API keys, people, channels."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .events.fields import Country, Text, Zone

Instant = Annotated[datetime, Meta(tz=True)]
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
"""No control characters: 0x1f parts the keys of a snapshot, a line break those of a header."""

Id = Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
# The longest form of an IPv6 network, with an IPv4 address at its end, has 49 characters.
Network = Annotated[str, Meta(min_length=1, max_length=49, pattern=r"^[0-9A-Fa-f:./]+$(?!\n)")]
Mode = Literal["new", "importing", "live"]

AWAITED: dict[Mode, str] = {
    "new": "there is no history yet; run `ebbwatch import FILE...`, or `ebbwatch live` to skip it",
    "importing": "`ebbwatch import` plays history; wait for it, or repeat it if it was interrupted",
}
"""What is awaited in each mode but `live`."""

MODE_KEY = "mode"
IMPORT_KEY = "import"
IMPORTED_PREFIX = "import/"
RULES_PREFIX = "rules/"
KEYS_PREFIX = "keys/"
PERSON_PREFIX = "person/"
CHANNEL_PREFIX = "channel/"
HEALTH_PREFIX = "channel-health/"
ROUTING_KEY = "routing"


class RuleSetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A numbered rule set, never deleted: key `rules/<n>`."""

    n: int
    content: str
    applied_at: Instant


class ModeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The deployment's mode, which only moves forward: key `mode`."""

    mode: Mode
    at: Instant


class ImportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The newest import: key `import`; one that is done also as `import/<digest>`.

    Attributes:
        run: Its number, from 1.
        digest: SHA-256 over the files' contents, so that a repetition is recognised.
        done: True once every entry was acknowledged.
    """

    run: int
    digest: str
    done: bool
    at: Instant


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key: key `keys/<id>`; only a keyed hash of its secret is stored.

    Attributes:
        id: Public part of the key.
        hash: HMAC-SHA256 of the secret under the deployment's pepper, hex.
        source: The source that it may send for; `*` for any.
        revoked_at: When it was revoked, or None.
    """

    id: str
    hash: str
    source: str
    created_at: Instant
    revoked_at: Instant | None = None


class WorkingHours(msgspec.Struct, frozen=True, kw_only=True):
    """When a person works (`directory.toml`).

    Attributes:
        days: Such as `mon-fri`.
        start: Local time, `09:00`.
        end: Local time, `18:00`.
        timezone: IANA name.
        country: ISO 3166, whose public holidays are free; None for none.
    """

    days: Annotated[str, Meta(min_length=1, max_length=60)]
    start: Annotated[str, Meta(min_length=1, max_length=8)] = msgspec.field(name="from")
    end: Annotated[str, Meta(min_length=1, max_length=8)] = msgspec.field(name="to")
    timezone: Zone
    country: Country | None = None


class PersonRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the company's own people: key `person/<id>`; names live here only.

    Attributes:
        id: As owners are named in events.
        name: For people.
        email: Address.
        slack: Member id.
        manager: Id of the person's manager.
        hours: When the person works.
    """

    id: Id
    name: Text
    email: Annotated[str, Meta(min_length=1, max_length=320, pattern=PRINTABLE)] | None = None
    slack: Id | None = None
    manager: Id | None = None
    hours: WorkingHours | None = None


class RoutingRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How alerts find people: key `routing`.

    Attributes:
        signal_manager: Id of the person who gets what has no other owner.
    """

    signal_manager: Id | None = None


class ChannelRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A channel (`channels.toml`): key `channel/<name>`.

    Attributes:
        name: Its name.
        kind: A file name in `services/alerts/channels`.
        url: Where it sends.
        secret: Its secret, sealed under the deployment's secret key.
        allow: Networks (CIDR) that it may reach although they are not public.
        allow_http: Plain http, and any port.
    """

    name: Id
    kind: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9_]+$(?!\n)")]
    url: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=PRINTABLE)]
    secret: Annotated[str, Meta(max_length=4_000)]
    allow: Annotated[list[Network], Meta(max_length=100)] = msgspec.field(default_factory=list)
    allow_http: bool = False


class ChannelHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a channel's endpoint does: key `channel-health/<name>`; absent while all is well.

    Attributes:
        failing_since: Since when no attempt has succeeded.
        failed_at: When an attempt failed last, to the hour; long ago: `failing_since` counts anew.
        disabled_at: When it was switched off; `ebbwatch channels enable` switches it on again.
        reason: Why: `gone` (the endpoint answered 410) or `failing` (for five days).
    """

    failing_since: Instant | None = None
    failed_at: Instant | None = None
    disabled_at: Instant | None = None
    reason: Text | None = None


class MetricFlags(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a company says of one metric (`metrics.toml`).

    Attributes:
        meaningful: Counts as activity; a metric that no file names is meaningful.
        core: Its loss means that value is lost.
        high_value: A feature whose sudden fall is worth an alert of its own.
    """

    meaningful: bool = True
    core: bool = False
    high_value: bool = False


class FeatureFlags(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A feature whose use is kept day by day (`metrics.toml`).

    Attributes:
        core: An account that gives up two of these is told of.
    """

    core: bool = False


FEATURE_LIMIT = 20
"""Tracked features; each is a series of its own for every account (detection.md §6)."""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One input topic (`inputs.toml`).

    Attributes:
        topic: Full name of the topic, as its producers know it.
        format: A file name in `services/ingest/formats`.
        source: Source of events that name none, and the key of their rejects.
    """

    topic: Annotated[str, Meta(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$(?!\n)")]
    format: str
    source: Annotated[str, Meta(min_length=1, max_length=200)]


class RuleSetContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one numbered rule set holds, complete: packs expanded, company files merged.

    Attributes:
        rules: Rules as in a pack (formats.md), without their cases; checked by the detector.
        overrides: Overrides by segment, as in the company's `rules.toml`.
        metrics: Flags per metric.
        features: The features that are tracked, by name.
        inputs: Input topics by name.
        currency: Reporting currency.
    """

    rules: list[dict[str, object]]
    overrides: list[dict[str, object]] = msgspec.field(default_factory=list)
    metrics: dict[str, MetricFlags] = msgspec.field(default_factory=dict)
    features: Annotated[dict[str, FeatureFlags], Meta(max_length=FEATURE_LIMIT)] = msgspec.field(
        default_factory=dict
    )
    inputs: dict[str, Input] = msgspec.field(default_factory=dict)
    currency: str = "EUR"
