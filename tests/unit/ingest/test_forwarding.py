import json
from collections.abc import Mapping

from schemas import envelope
from schemas.envelope import Origin
from schemas.rejects import Reject
from services.ingest.formats import Batch, cloudevents
from services.ingest.forwarding import Forwarded, Source
from services.ingest.seen import HOUR_MICROS
from tests.unit.ingest.builders import NOW, NOW_TEXT, body, event, record

SOURCE = Source("usage", cloudevents, "gateway", 8, 10)
HOUR = NOW // HOUR_MICROS


def forwarded(*records: object, source: Source = SOURCE, now: int = NOW) -> Forwarded:
    found = Forwarded()
    for each in records:
        found.add(each, source, now)  # type: ignore[arg-type]
    return found


def origins(found: Forwarded) -> list[tuple[Origin | None, int]]:
    entries = [envelope.decode(envelope.join([raw]))[0][0][1] for _, raw in found.items]
    return [(entry.origin, entry.time) for entry in entries]


def test_every_event_carries_the_place_it_came_from() -> None:
    found = forwarded(record(body(event()), 7), record(body(event(), event(source="/b")), 8))

    assert origins(found) == [
        (Origin("usage", 2, 7, 0), NOW),
        (Origin("usage", 2, 8, 0), NOW),
        (Origin("usage", 2, 8, 1), NOW),
    ]
    assert (found.seen, found.accepted) == ({("/api", HOUR), ("/b", HOUR)}, {"/api": 2, "/b": 1})


def test_binary_mode_is_read_from_the_record_s_headers() -> None:
    headers = [(f"ce_{k}", v.encode()) for k, v in event(data=None).items()]
    data = json.dumps(event()["data"]).encode()

    assert origins(forwarded(record(data, headers=headers))) == [(Origin("usage", 2, 7, 0), NOW)]


def test_an_event_without_a_time_has_the_record_s() -> None:
    stamped = record(body(event(time=None)), timestamp=NOW // 1000 - 5)

    assert origins(forwarded(stamped)) == [(Origin("usage", 2, 7, 0), NOW - 5000)]


def test_a_poison_record_is_refused_with_its_place_and_the_next_one_is_carried() -> None:
    found = forwarded(record(b"\x00poison", 7), record(None, 8), record(body(event()), 9))

    def refused(offset: int, raw: bytes, detail: str) -> Reject:
        return Reject(
            stage="ingest",
            reason="broken_json",
            detail=detail,
            raw=raw,
            source="gateway",
            topic="usage",
            partition=2,
            offset=offset,
            index=0,
        )

    assert found.rejects == [
        refused(7, b"\x00poison", "JSON is malformed: invalid character (byte 0)"),
        refused(8, b"", "Input data was truncated"),
    ]
    assert origins(found) == [(Origin("usage", 2, 9, 0), NOW)]


def test_a_future_event_is_judged_by_the_later_of_clock_and_record() -> None:
    day_later = record(body(event(time=NOW_TEXT)), timestamp=(NOW // 1000) - 86_400_000)

    by_clock = forwarded(day_later, now=NOW - 599_000_000)
    refused = forwarded(day_later, now=NOW - 601_000_000)
    by_record = forwarded(record(body(event())), now=NOW - 601_000_000)

    assert [len(each.items) for each in (by_clock, refused, by_record)] == [1, 0, 1]
    assert [each.reason for each in refused.rejects] == ["future"]


def test_a_format_that_raises_costs_one_record_only() -> None:
    class Broken:
        NAME = "broken"

        def read(self, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
            raise RuntimeError("bug")

    found = forwarded(record(b"x"), source=SOURCE._replace(format=Broken()))

    assert [(each.reason, each.raw) for each in found.rejects] == [("format_failed", b"x")]
