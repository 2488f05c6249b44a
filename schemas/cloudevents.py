"""CloudEvents 1.0 in JSON, decoded into typed events or refused with field and reason."""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from .envelope import COMPANY as OUR_COMPANY
from .events import (
    COMPANY,
    DECODERS,
    EVERYBODY,
    NAMED,
    PERSONAL,
    SYSTEM,
    AccountMerged,
    Event,
    FieldError,
    PersonJoined,
)
from .wording import plainly

ID_LIMIT = 256
DEPTH_LIMIT = 32
_ID_BYTES = 16 * ID_LIMIT
TIME_LIMIT = 253_370_764_800_000_000
"""9999-01-01, microseconds: any zone's local day of an earlier instant can be reckoned with."""

_Bounded = Annotated[str, Meta(min_length=1, max_length=ID_LIMIT)]


class Incoming(NamedTuple):
    """An accepted event.

    Attributes:
        id: Unique per source.
        source: Who sent it.
        time: Microseconds since 1970-01-01 UTC, or None where the event has none.
        account: The account it concerns, or None.
        event: The typed event.
        day: The local day of a row that has only a date, days since 1970-01-01, or None.
        person: The person through whom it is attributed where it has no account, or None.
    """

    id: str
    source: str
    time: int | None
    account: str | None
    event: Event
    day: int | None = None
    person: str | None = None


class Refused(NamedTuple):
    """A refused event.

    Attributes:
        reason: A code for metrics, such as `invalid` or `unattributed`.
        field: The field at fault, such as `data.quantity`; empty for the whole event.
        detail: What is wrong, its bound, and the remedy.
        id: The event's id as far as it could be read.
        source: The event's source as far as it could be read.
    """

    reason: str
    field: str
    detail: str
    id: str = ""
    source: str = ""


def _nothing() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class CloudEvent(msgspec.Struct, frozen=True, gc=False):
    """The attributes of a CloudEvent that Ebbwatch reads; others are ignored.

    Attributes:
        specversion: The version of the CloudEvents specification.
        id: Unique per source: a second event of the same id and source is a duplicate.
        source: Who sent it, such as `/api-gateway`.
        type: The event's type.
        subject: The account's id; where it is missing, the account is that of `data.person`.
        time: RFC 3339 with an offset; when absent, the time at which it was received.
        data: The event's own fields.
        data_base64: The same fields, as base64 of their JSON; used instead of `data`.
    """

    specversion: Literal["1.0"]
    id: _Bounded
    source: _Bounded
    type: _Bounded
    subject: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    time: Annotated[datetime, Meta(tz=True)] | None = None
    data: msgspec.Raw = msgspec.field(default_factory=_nothing)
    data_base64: bytes | None = None


class _Identity(msgspec.Struct, gc=False):
    # Not taken apart: whatever it is, it may be as long as the body.
    id: msgspec.Raw = msgspec.Raw(b'""')
    source: msgspec.Raw = msgspec.Raw(b'""')


SUBJECT_FIELDS: dict[type, tuple[str, ...]] = {
    **{kind: (named.field,) for kind, named in NAMED.items()},
    PersonJoined: ("person", "account"),
    AccountMerged: ("into",),
}
"""Fields of `data` of which subjects are made: printable text, as the subject itself."""

_outer = msgspec.json.Decoder(CloudEvent)
_identity = msgspec.json.Decoder(_Identity)
_any = msgspec.json.Decoder()
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def decode(raw: bytes | msgspec.Raw) -> Incoming | Refused:
    """Decode one event in structured JSON.

    Args:
        raw: The bytes of one JSON object.

    Returns:
        The event, or why it is refused. Nothing is raised for any input.
    """
    try:
        outer = _outer.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refused(error, "", *_identify(raw))
    return _typed(outer)


def decode_binary(attributes: dict[str, str], data: bytes | None) -> Incoming | Refused:
    """Decode one event in binary mode, its attributes given by name without a prefix.

    Args:
        attributes: Such as `{"id": "e-1", "type": "usage.recorded", ...}`, all text.
        data: The body, JSON; empty counts as an empty object.
    """
    try:
        outer = msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        who = (attributes.get(name, "")[:ID_LIMIT] for name in ("id", "source"))
        return _refused(error, "", *who)
    outer = msgspec.structs.replace(outer, data=msgspec.Raw(data or b"{}"), data_base64=None)
    return _typed(outer)


_BRACKETS = bytes.maketrans(b"{}[]", b"()()")
_OTHERS = bytes(set(range(256)) - set(b'"{}[]'))
_PIECE = 65_536


def too_deep(raw: bytes | msgspec.Raw) -> bool:
    """Tell whether JSON is nested deeper than `DEPTH_LIMIT`.

    >>> too_deep(b"[" * 33), too_deep(b'{"a": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}')
    (True, False)
    """
    text = bytes(raw)
    if text.count(b"{") + text.count(b"[") <= DEPTH_LIMIT:
        return False
    nested = _outside_strings(text)
    for _ in range(DEPTH_LIMIT):
        # Each round takes the innermost level away, so that a body of 10 MB takes no memory of
        # note, and no more time however it is made.
        before, nested = nested, nested.replace(b"()", b"")
        if len(nested) == len(before):
            break
    return b"()" in nested or nested.count(b"(") > DEPTH_LIMIT


def _outside_strings(text: bytes) -> bytes:
    """Return the brackets of JSON, all of them round, without those that stand in strings."""
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_BRACKETS, _OTHERS)
    found, inside = bytearray(), False
    for at in range(0, len(bare), _PIECE):
        parts = bare[at : at + _PIECE].split(b'"')
        found += b"".join(parts[inside::2])
        inside ^= len(parts) % 2 == 0
    return bytes(found)


def locate(error: Exception) -> tuple[str, str]:
    """Tell what a decoder of a Struct found wrong, and where.

    Args:
        error: What msgspec raised.

    Returns:
        What is wrong, and the path of the field at fault, such as `lines[0].amount`; empty for the
        whole value.
    """
    detail, at, path = str(error).rpartition(" - at `")
    if not at:
        detail, path = path, ""
    parts = [path.rpartition("$")[2].rstrip("`").lstrip(".")]
    if detail.startswith("Object missing required field `"):
        parts.append(detail.split("`")[1])
    elif isinstance(error.__cause__, FieldError):
        parts.append(error.__cause__.field)
    return detail, ".".join(part for part in parts if part)


def _typed(outer: CloudEvent) -> Incoming | Refused:
    decoder = DECODERS.get(outer.type)
    if decoder is None:
        return _unknown_type(outer)
    data = outer.data if outer.data_base64 is None else outer.data_base64
    try:
        event = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refused(error, "data", outer.id, outer.source)
    return _attributed(outer, event)


def _unknown_type(outer: CloudEvent) -> Refused:
    if outer.type in SYSTEM:
        detail = f"type {outer.type!r} is written by ebbwatch itself; send another type"
    else:
        detail = f"type {outer.type!r} is unknown; the known ones are listed in schemas/json"
    return Refused("unknown_type", "type", detail, outer.id, outer.source)


def _attributed(outer: CloudEvent, event: Event) -> Incoming | Refused:
    account, person = outer.subject, None
    if account is None and not isinstance(event, EVERYBODY + COMPANY):
        account = getattr(event, "account", None)
        if account is None:
            person = getattr(event, "person", None)
            if not isinstance(person, str):
                return _unattributed(outer, event)
    wrong = _unprintable(account, person, event)
    if wrong is not None:
        field, id = wrong
        detail = f"{field} {id!r} must be printable text, without control characters"
        return Refused("invalid", field, detail, outer.id, outer.source)
    reserved = _reserved(account, event)
    if reserved is not None:
        detail = f"{OUR_COMPANY!r} stands for your own company; give the account another id"
        return Refused("invalid", reserved, detail, outer.id, outer.source)
    time = _micros(outer.time)
    if time is not None and not 0 < time < TIME_LIMIT:
        detail = f"time {outer.time} must lie after 1970-01-01 and before 9999-01-01, in UTC"
        return Refused("invalid", "time", detail, outer.id, outer.source)
    return Incoming(outer.id, outer.source, time, account, event, None, person)


def _unattributed(outer: CloudEvent, event: Event) -> Refused:
    detail = "the account is missing; send it as `subject`"
    if isinstance(event, PERSONAL):
        detail += ", or the person, once `person.joined` named their account, as `data.person`"
    return Refused("unattributed", "subject", detail, outer.id, outer.source)


def _unprintable(account: str | None, person: str | None, event: Event) -> tuple[str, str] | None:
    """Return the field and id of a subject that a terminal or a key would not bear."""
    if account is not None and not account.isprintable():
        return "subject", account
    if person is not None and not person.isprintable():
        return "data.person", person
    for field in SUBJECT_FIELDS.get(type(event), ()):
        id = getattr(event, field)
        if isinstance(id, str) and not id.isprintable():
            return f"data.{field}", id
    return None


def _reserved(account: str | None, event: Event) -> str | None:
    """Return the field of an account that would share its case with our own company."""
    if isinstance(event, PersonJoined) and event.account == OUR_COMPANY:
        return "data.account"
    if isinstance(event, AccountMerged) and event.into == OUR_COMPANY:
        return "data.into"
    return "subject" if account == OUR_COMPANY else None


def _micros(time: datetime | None) -> int | None:
    if time is None:
        return None
    gap = time - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def _refused(error: Exception, prefix: str, id: str, source: str) -> Refused:
    detail, field = locate(error)
    detail = plainly(detail)
    field = ".".join(part for part in (prefix, field) if part)
    typed = isinstance(error, msgspec.ValidationError | RecursionError)
    return Refused("invalid" if typed else "broken_json", field, detail, id, source)


def _identify(raw: bytes | msgspec.Raw) -> tuple[str, str]:
    try:
        found = _identity.decode(raw)
        return _told(found.id), _told(found.source)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", ""


def _told(raw: msgspec.Raw) -> str:
    """Return what is there in place of an id, as far as it is worth telling."""
    text = bytes(raw)
    if len(text) > _ID_BYTES:
        return text[:ID_LIMIT].decode(errors="replace")
    return str(_any.decode(text))[:ID_LIMIT]
