"""What a channel is sent of a notice, as one JSON object; the same bytes whenever it is composed.

Everything about the account is what the alert's own record says, and everything about the time is
when the notice was caused: both stand in the log, so that a repeated attempt says the same.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from schemas.alerts import Alert
from schemas.cases import Step
from schemas.config import PersonRecord

SIZE_LIMIT: Final = 20_000
"""A body is smaller than this, in bytes. Source: Standard Webhooks, payload structure."""

NAME_LIMIT: Final = 120
HEADLINE_LIMIT: Final = 300
TEXT_LIMIT: Final = 4_000
"""Characters of a name, a headline, a paragraph."""

TYPES: Final = MappingProxyType[Step, str](
    {
        "opened": "alert.raised",
        "added": "alert.raised",
        "worsened": "alert.worsened",
        "reopened": "case.reopened",
        "cleared": "case.cleared",
    }
)
"""The message's type by what happened to the case."""

SERIES: Final = ("daily", "weekly", "usual_week", "masked_days")
"""The evidence that goes first where a body is too long, in this order."""

_SHORT_TEXT: Final = 500


class Addressee(NamedTuple):
    """To whom a notice is addressed.

    Attributes:
        id: The person; None if there is nobody.
        why: Why to them.
        record: What the directory knows of them; None if nothing.
    """

    id: str | None
    why: Literal["owner", "assignee", "signal_manager", "nobody"]
    record: PersonRecord | None = None


def message_id(notice_id: str) -> str:
    """Return the id that a message has in every attempt.

    >>> message_id("0b0f1a9e-6f3a-5d0e-9a55-0123456789ab")
    'msg_0b0f1a9e6f3a5d0e9a550123456789ab'
    """
    return f"msg_{notice_id.replace('-', '')}"


def compose(
    notice_id: str, step: Step, caused_at: datetime, alert: Alert, to: Addressee, console: str
) -> bytes:
    """Return the body of a notice, below `SIZE_LIMIT` bytes.

    What is too long is cut: first the evidence's series, then the rest of it, then the paragraph;
    `data.cut` names what is missing.

    Args:
        notice_id: The notice.
        step: What happened to the case.
        caused_at: When the record that caused it entered the log, aware.
        alert: That record.
        to: Who is told.
        console: Address of the console without a slash at its end; empty for none.
    """
    data = {
        "notice": notice_id,
        "step": step,
        "case": _case(alert, console),
        "recipient": _recipient(to),
        "alert": _alert(alert),
    }
    return _fit({"type": TYPES[step], "timestamp": _instant(caused_at), "data": data})


def compose_test(channel: str, now: datetime) -> bytes:
    """Return the body of a message that only tries a channel out.

    Args:
        channel: Its name.
        now: Aware.
    """
    text = "This is a test by `ebbwatch channels test`; nothing has happened."
    data = {"channel": channel, "text": text}
    return msgspec.json.encode({"type": "channel.test", "timestamp": _instant(now), "data": data})


def _case(alert: Alert, console: str) -> dict[str, Any]:
    now = alert.account_now
    place = f"{console}/accounts/{quote(alert.account, safe='')}" if console else None
    return {
        "account": alert.account,
        "name": _cut(now.name, NAME_LIMIT),
        "owner": now.owner,
        "arr": now.arr,
        "currency": now.currency,
        "renewal_on": now.renewal_on,
        "url": place,
    }


def _recipient(to: Addressee) -> dict[str, Any] | None:
    if to.id is None:
        return None
    name, email = (to.record.name, to.record.email) if to.record else (None, None)
    return {"id": to.id, "name": _cut(name, NAME_LIMIT), "email": email, "why": to.why}


def _alert(alert: Alert) -> dict[str, Any]:
    because = dict(alert.because)
    headline, text, play = (str(because.pop(key, "")) for key in ("headline", "text", "play"))
    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "kind": alert.kind,
        "object": alert.object,
        "severity": alert.severity,
        "day": alert.day,
        "fired_at": _instant(alert.fired_at),
        "headline": _cut(headline, HEADLINE_LIMIT),
        "text": _cut(text, TEXT_LIMIT),
        "play": _cut(play, NAME_LIMIT),
        "because": because,
    }


def _fit(body: dict[str, Any]) -> bytes:
    raw = msgspec.json.encode(body)
    cut: list[str] = []
    for name in _shorten(body["data"]["alert"]):
        if len(raw) < SIZE_LIMIT:
            break
        cut.append(name)
        body["data"]["cut"] = cut
        raw = msgspec.json.encode(body)
    return raw


def _shorten(alert: dict[str, Any]) -> Iterator[str]:
    """Cut one thing after the other; yields each one's name when it is gone."""
    for name in SERIES:
        if alert["because"].pop(name, None) is not None:
            yield f"because.{name}"
    alert["because"] = {}
    yield "because"
    alert["text"] = _cut(alert["text"], _SHORT_TEXT)
    yield "text"


def _cut(text: str | None, limit: int) -> str | None:
    return text if text is None or len(text) <= limit else text[: limit - 1] + "…"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
