"""The records of the alert log `alerts.v1` (formats.md)."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
Category = Literal[
    "misalignment", "early_signals", "pricing", "handoff", "relationship", "expansion"
]
ChurnKind = Literal["voluntary", "involuntary"]
ClearReason = Literal["recovered", "new_normal", "accepted", "superseded", "withdrawn"]
Instant = Annotated[datetime, Meta(tz=True)]


class AccountNow(msgspec.Struct, frozen=True, kw_only=True):
    """What routing needs to know of the account, as it was when the alert was judged.

    Attributes:
        owner: The colleague who owns the account.
        name: The account's name.
        arr: Annual recurring revenue, minor units.
        currency: ISO 4217.
        renewal_on: The next renewal.
        stamp: The offset in `events.v1` up to which the account was folded.
    """

    stamp: int
    owner: str | None = None
    name: str | None = None
    arr: int | None = None
    currency: str | None = None
    renewal_on: date | None = None


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every record about an alert carries.

    Attributes:
        alert_id: UUIDv5 of subject, rule, object, raising day and ordinal; kept for the episode.
        account: The account's id.
        rule: The rule's id.
        rule_set: The number of the rule set that judged.
        kind: The alert's kind, such as `usage_drop`.
        object: What it is about: a metric, a person, a payment.
        day: The local day that was judged, or on which the event came.
        fired_at: When the judged day was due, or the partition's clock at the event.
        severity: From `info` to `critical`.
        category: One of the six risk categories.
        churn_kind: Whether the customer chooses, or something just fails.
        historic: True for an alert of imported history.
        shadow: True for a rule that is measured and notifies nobody.
        account_now: The account when it was judged.
        because: The evidence, plain JSON (detection.md §7).
    """

    alert_id: str
    account: str
    rule: str
    rule_set: int
    kind: str
    object: str
    day: date
    fired_at: Instant
    severity: Severity
    category: Category
    churn_kind: ChurnKind
    historic: bool
    account_now: AccountNow
    because: dict[str, Any]
    shadow: bool = False
    v: int = 1


class AlertRaised(AlertRecord, frozen=True, tag="alert.raised"):
    """A rule's condition holds: somebody should act."""


class AlertWorsened(AlertRecord, frozen=True, tag="alert.worsened"):
    """An open alert became more severe."""


class AlertEased(AlertRecord, frozen=True, tag="alert.eased"):
    """An open alert became less severe."""


class AlertCleared(AlertRecord, frozen=True, tag="alert.cleared"):
    """An alert is over, and why."""

    reason: ClearReason


Alert = AlertRaised | AlertWorsened | AlertEased | AlertCleared

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Alert)


def encode(alert: Alert) -> bytes:
    """Return an alert record's JSON."""
    return _encoder.encode(alert)


def decode(raw: bytes) -> Alert:
    """Read an alert record back.

    Raises:
        msgspec.ValidationError: If it is no alert record.
    """
    alert: Alert = _decoder.decode(raw)
    return alert
