"""What comes in over HTTP and from input topics: CloudEvents in every form, gzip, keys."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from schemas import envelope
from schemas.cloudevents import Incoming, Refused
from schemas.rejects import Reject
from services.ingest import keys
from services.ingest.body import TooLarge, UnknownEncoding, Unreadable, Uploads
from services.ingest.entries import admit
from services.ingest.formats import cloudevents
from services.ingest.rejects import reject
from tests.fuzz.target import Target
from tests.unit.ingest.builders import NOW, event
from tests.unit.schemas.examples import EXAMPLES

LIMIT = 20
PARTITIONS = 4
FIELDS = 120
"""Characters of a field's path, and of a reason, that a person would still read."""

_WORDS = (
    *(b'"specversion":"1.0",', b'"type":"account.merged",', b'"data":', b'"data_base64":"e30="'),
    *(b'"subject":null', b'"time":"0000-00-00T00:00:00Z"', b'"id":"\\u0000"', b'"quantity":'),
    *(b'"into":"\\u001f"', b'"closures":[', b"}\n{", b"},{", b"1e308", b"-0.0005"),
)


@lru_cache
def events() -> tuple[bytes, ...]:
    """Return every example of an event, the refused ones too."""
    return tuple(one.raw for one in EXAMPLES if b'"specversion"' in one.raw)


def outcomes(headers: Mapping[str, str], body: bytes) -> list[Incoming | Refused]:
    """Read a body; each event of it is an entry that can be read back, or a refusal with bounds."""
    batch = cloudevents.read(headers, body, LIMIT)
    assert len(batch.raws) == len(batch.outcomes) <= max(LIMIT, 1)
    for place, outcome in enumerate(batch.outcomes):
        told = outcome if isinstance(outcome, Refused) else admit(outcome, PARTITIONS, NOW)
        if isinstance(told, Refused):
            assert told.reason
            assert told.detail
            record = reject(told, batch.raws[place], place)
            assert msgspec.json.decode(msgspec.json.encode(record), type=Reject) == record
            assert len(json.dumps(told)) < 6 * (FIELDS + 2 * envelope.ENTRY_LIMIT)
        else:
            message = envelope.join([entry for _, entry in told])
            entries, unreadable = envelope.decode(message)
            assert (len(entries), unreadable) == (len(told), [])
    return batch.outcomes


def _check_structured(body: bytes) -> None:
    outcomes({}, body)
    outcomes({"content-type": "application/cloudevents+json"}, body)


def _check_batch(body: bytes) -> None:
    outcomes({"content-type": "application/cloudevents-batch+json; charset=utf-8"}, body)


def _check_lines(body: bytes) -> None:
    outcomes({"content-type": "application/x-ndjson"}, body)


def _check_binary(told: bytes) -> None:
    """The first lines are headers, as they come over HTTP (latin-1) and from Kafka (UTF-8)."""
    head, _, body = told.partition(b"\n\n")
    for encoding in ("latin-1", "utf-8"):
        lines = (line.partition(b": ") for line in head.split(b"\n"))
        headers = {
            name.decode(encoding, "replace").lower(): value.decode(encoding, "replace")
            for name, _, value in lines
        }
        outcomes(headers, body)


def _binary_seeds() -> Sequence[bytes]:
    found = []
    for raw in events()[:40]:
        told = json.loads(raw)
        if not isinstance(told, dict):
            continue
        data = json.dumps(told.pop("data", {})).encode()
        for mark in ("ce-", "ce_"):
            head = "\n".join(f"{mark}{name}: {value}" for name, value in told.items())
            found.append(head.encode() + b"\ncontent-type: application/json\n\n" + data)
    return found


def good(number: int) -> dict[str, Any]:
    """An event that nobody can refuse."""
    return event(id=f"good-{number}")


def _check_beside(bad: bytes) -> None:
    """Good events stand beside whatever this is, and each of them comes out, in its place."""
    line = bad.replace(b"\n", b" ").replace(b"\r", b" ")
    fine = [json.dumps(good(number)).encode() for number in range(2)]
    _expect(
        outcomes({"content-type": "application/x-ndjson"}, b"\n".join([fine[0], line, fine[1]]))
    )
    try:
        json.loads(bad)
    except (ValueError, RecursionError):
        return
    if len(bad) < 10_000:
        media = {"content-type": "application/cloudevents-batch+json"}
        found = outcomes(media, b"[" + b",".join([fine[0], bad, fine[1]]) + b"]")
        if not (len(found) == 1 and isinstance(found[0], Refused)):
            _expect(found)


def _expect(found: list[Incoming | Refused]) -> None:
    accepted = [one.id for one in found if isinstance(one, Incoming)]
    assert accepted[:1] + accepted[-1:] == ["good-0", "good-1"], found


def _check_gzip(body: bytes) -> None:
    for headers, content in (
        ({"content-encoding": "gzip"}, body),
        ({"content-encoding": "gzip"}, gzip.compress(body)),
        ({"content-encoding": body[:20].decode("latin-1")}, body),
    ):
        try:
            found = asyncio.run(_read(headers, content))
        except (TooLarge, Unreadable, UnknownEncoding):
            continue
        assert len(found) <= 500


async def _read(headers: Mapping[str, str], body: bytes) -> bytes:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 64):
            yield body[at : at + 64]

    uploads = Uploads(200, 500, 10_000, 5)
    try:
        async with uploads.body(headers, chunks()) as found:
            return found
    finally:
        assert uploads.held == 0


def _check_key(told: bytes) -> None:
    found = keys.parse(told.decode("latin-1"))
    if isinstance(found, keys.Presented):
        assert found.secret not in repr(found)
        assert keys.parse(f"Bearer {found.text()}") == found


def _key_seeds() -> Sequence[bytes]:
    return (b"Bearer ebw_live_abc_" + b"s" * 43, b"bearer  ebw_live_abc_" + b"_-" * 21 + b"x")


def _batches() -> Sequence[bytes]:
    some = events()
    return [b"[" + b",".join(some[at : at + 3]) + b"]" for at in range(0, len(some), 3)]


def _lines() -> Sequence[bytes]:
    some = events()
    return [b"\n".join(some[at : at + 3]) for at in range(0, len(some), 3)]


def _gzip_seeds() -> Sequence[bytes]:
    return [gzip.compress(one[:400], mtime=0) for one in events()[:20]]


TARGETS = (
    Target("event", _check_structured, events, _WORDS),
    Target("batch", _check_batch, _batches, _WORDS),
    Target("lines", _check_lines, _lines, _WORDS),
    Target("binary", _check_binary, _binary_seeds, (*_WORDS, b"%00", b"%ff", b"ce_id: ")),
    Target("beside", _check_beside, events, _WORDS),
    Target("gzip", _check_gzip, _gzip_seeds),
    Target("key", _check_key, _key_seeds, (b"ebw_", b"_", b"Bearer ")),
)
