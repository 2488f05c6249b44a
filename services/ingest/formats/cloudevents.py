"""CloudEvents 1.0: structured, batch and binary mode, and one event a line.

Source: CloudEvents 1.0.2, JSON event format, HTTP protocol binding, Kafka protocol binding.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from schemas.cloudevents import (
    DEPTH_LIMIT,
    Incoming,
    Refused,
    decode,
    decode_binary,
    too_deep,
)
from services.ingest.formats.batch import Batch

NAME: Final = "cloudevents"

VALUE_LIMIT: Final = 500_000
"""More commas than this and a body is refused before it is taken apart: 10 MB of `0,0,0` would
become 400 MB of values."""

_array = msgspec.json.Decoder(list[msgspec.Raw])
_DATA: Final = frozenset({"data", "data_base64"})


def read(headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
    """Read an HTTP body or the value of a Kafka record.

    Args:
        headers: By lower-case name; in binary mode they hold the attributes, as `ce-id` (HTTP,
            percent-encoded) or `ce_id` (Kafka). Without a content type JSON is assumed.
        body: The raw bytes.
        limit: How many events there may be, >= 1.

    Returns:
        Each event or its refusal. A body that cannot be told apart into events is one refusal.

    >>> read({}, b"[1]", 10).outcomes[0].reason
    'invalid'
    """
    if not headers:
        return _forgiving(body, limit)
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media.startswith("application/cloudevents"):
        attributes = _attributes(headers)
        if attributes:
            return _binary(attributes, body)
    reader = _READERS.get(media)
    return _unsupported(media, body) if reader is None else reader(body, limit)


def _structured(body: bytes, limit: int) -> Batch:
    del limit
    return Batch((body,), [_decode(body)])


def _forgiving(body: bytes, limit: int) -> Batch:
    """Read an object or an array: which one, the first character tells."""
    return (_batch if body.lstrip()[:1] == b"[" else _structured)(body, limit)


def _batch(body: bytes, limit: int) -> Batch:
    if body.count(b",") > VALUE_LIMIT:
        return _one(body, _too_many(limit))
    try:
        raws: Sequence[msgspec.Raw] = _array.decode(body)
    except RecursionError:
        return _one(body, _TOO_DEEP)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _one(body, Refused("broken_json", "", f"the batch is no JSON array: {error}"))
    if len(raws) > limit:
        return _one(body, _too_many(limit))
    return Batch(raws, [_decode(raw) for raw in raws])


def _lines(body: bytes, limit: int) -> Batch:
    if body.count(b"\n") + body.count(b"\r") > VALUE_LIMIT:
        return _one(body, _too_many(limit))
    raws = [line for line in body.splitlines() if line and not line.isspace()]
    if len(raws) > limit:
        return _one(body, _too_many(limit))
    return Batch(raws, [_decode(raw) for raw in raws])


def _binary(attributes: dict[str, str], body: bytes) -> Batch:
    if too_deep(body):
        return _one(body, _TOO_DEEP)
    return Batch((body,), [decode_binary(attributes, body)])


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Collect the attributes; data never come from a header."""
    found = {}
    for name, value in headers.items():
        if name[:3] in ("ce-", "ce_") and name[3:] not in _DATA:
            found[name[3:]] = unquote(value) if name[2] == "-" else value
    return found


def _decode(raw: bytes | msgspec.Raw) -> Incoming | Refused:
    return _TOO_DEEP if too_deep(raw) else decode(raw)


def _one(body: bytes, refused: Refused) -> Batch:
    return Batch((body,), [refused])


def _too_many(limit: int) -> Refused:
    return Refused("too_many", "", f"more than {limit} events in one body; send several")


def _unsupported(media: str, body: bytes) -> Batch:
    known = ", ".join(name for name in _READERS if name)
    detail = f"content type {media!r} is not supported; send one of {known}, or binary mode"
    return _one(body, Refused("unsupported_media", "content-type", detail))


_TOO_DEEP: Final = Refused("too_deep", "", f"nested deeper than {DEPTH_LIMIT}; send flatter data")

_READERS: Final[Mapping[str, Callable[[bytes, int], Batch]]] = {
    "application/cloudevents+json": _forgiving,
    "application/cloudevents-batch+json": _batch,
    "application/x-ndjson": _lines,
    "application/ndjson": _lines,
    "application/json": _forgiving,
    "": _forgiving,
}
