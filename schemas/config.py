"""The records of `config.v1`, by key: rule sets, deployment mode, imports, API keys."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]
Mode = Literal["new", "importing", "live"]

AWAITED: dict[Mode, str] = {
    "new": "there is no history yet; run `ebbwatch import FILE...`, or `ebbwatch live` to skip it",
    "importing": "`ebbwatch import` plays history; wait for it, or repeat it if it was interrupted",
}
"""What is awaited in each mode but `live`."""

MODE_KEY = "mode"
IMPORT_KEY = "import"
RULES_PREFIX = "rules/"
KEYS_PREFIX = "keys/"


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
    """The newest import: key `import`.

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
        inputs: Input topics by name.
        currency: Reporting currency.
    """

    rules: list[dict[str, object]]
    overrides: list[dict[str, object]] = msgspec.field(default_factory=list)
    metrics: dict[str, MetricFlags] = msgspec.field(default_factory=dict)
    inputs: dict[str, Input] = msgspec.field(default_factory=dict)
    currency: str = "EUR"
