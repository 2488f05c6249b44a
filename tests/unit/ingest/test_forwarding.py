import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from schemas import envelope
from schemas.cloudevents import Incoming
from schemas.envelope import Origin
from schemas.rejects import RAW_LIMIT, Reject
from services.ingest.formats import Batch, cloudevents
from services.ingest.forwarding import SLICE_BYTES, Forwarded, Source, slices
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


def test_a_future_event_is_judged_by_the_clock_whatever_its_record_says() -> None:
    behind, ahead = (
        record(body(event(time=NOW_TEXT)), timestamp=NOW // 1000 + days * 86_400_000)
        for days in (-1, 1)
    )

    taken = [forwarded(each, now=NOW - 599_000_000) for each in (behind, ahead)]
    refused = [forwarded(each, now=NOW - 601_000_000) for each in (behind, ahead)]

    assert [origins(each) for each in taken] == [[(Origin("usage", 2, 7, 0), NOW)]] * 2
    assert [[one.reason for one in each.rejects] for each in refused] == [["future"]] * 2


@pytest.mark.parametrize(
    "timestamp, reason",
    [(-1, "invalid"), (0, "invalid"), (NOW, "future"), (2**62, "future")],
    ids=["none", "zero", "microseconds", "beyond all bounds"],
)
def test_a_record_s_wrong_time_costs_only_the_events_that_have_none(
    timestamp: int, reason: str
) -> None:
    """Nothing of it reaches a tick, whose hours every partition takes."""
    found = forwarded(record(body(event(time=None), event()), timestamp=timestamp))

    assert [(each.reason, each.index) for each in found.rejects] == [(reason, 0)]
    assert origins(found) == [(Origin("usage", 2, 7, 1), NOW)]
    assert found.seen == {("/api", HOUR)}


def test_what_an_input_has_carried_of_which_source_is_told_of_what_was_accepted() -> None:
    """A source of nothing but refusals reaches no account by it."""
    sent = body(event(), event(source="/web"), event(source="/app", specversion="0.3"))
    assert forwarded(record(sent)).fed == {("usage", "/api"), ("usage", "/web")}


def test_a_header_without_a_value_says_nothing() -> None:
    headers = [("Content-Type", None), ("ce_id", None), ("traceparent", None)]

    assert origins(forwarded(record(body(event()), headers=headers))) == [
        (Origin("usage", 2, 7, 0), NOW)
    ]


def test_an_event_that_cannot_be_encoded_costs_itself_only() -> None:
    class Broken:
        NAME = "broken"

        def read(self, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
            read = cloudevents.read(headers, body, limit)
            first = read.outcomes[0]
            assert isinstance(first, Incoming)
            return Batch(read.raws, [first._replace(id="\udc80"), *read.outcomes[1:]])

    found = forwarded(record(body(event(), event())), source=SOURCE._replace(format=Broken()))

    assert [(each.reason, each.index) for each in found.rejects] == [("format_failed", 0)]
    assert origins(found) == [(Origin("usage", 2, 7, 1), NOW)]


def test_what_a_refusal_quotes_is_cut() -> None:
    """Its detail names the wrong value, which may be as long as the record."""
    found = forwarded(record(body(event(specversion="x" * 900_000))))

    (refused,) = found.rejects
    assert (refused.reason, len(refused.detail), len(refused.raw)) == ("invalid", 2_000, RAW_LIMIT)


def test_a_poll_is_read_a_slice_at_a_time_by_its_events() -> None:
    """3,000 events in each of five records: a slice ends with the record that fills it."""
    batch = b"[" + b",".join([b"0"] * 3_000) + b"]"
    source, read = SOURCE._replace(limit=3_000), []

    def polled() -> Iterator[tuple[str, Source, list[Any]]]:
        for name, offsets in (("a", (1, 2, 3)), ("b", (7, 8))):
            read.append(name)
            yield name, source, [record(batch, offset) for offset in offsets]

    told: list[object] = []
    for part, last in slices(polled(), lambda: NOW):
        told.append((len(part.rejects), {name: each.offset for name, each in last.items()}))
        told.append(read.copy())

    assert told == [
        *((6_000, {"a": 2}), ["a"]),
        *((6_000, {"a": 3, "b": 7}), ["a", "b"]),
        *((3_000, {"b": 8}), ["a", "b"]),
    ]


def test_a_poll_is_read_a_slice_at_a_time_by_its_bytes() -> None:
    records = [record(b" " * (SLICE_BYTES // 2), offset) for offset in range(5)]

    found = [
        [each.offset for each in last.values()]
        for _, last in slices([("a", SOURCE, records)], lambda: NOW)
    ]

    assert found == [[1], [3], [4]]


def test_a_format_that_raises_costs_one_record_only() -> None:
    class Broken:
        NAME = "broken"

        def read(self, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
            raise RuntimeError("bug")

    found = forwarded(record(b"x"), source=SOURCE._replace(format=Broken()))

    assert [(each.reason, each.raw) for each in found.rejects] == [("format_failed", b"x")]


def test_a_record_for_which_there_is_no_room_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not refused: the process ends, and nothing of it is committed."""

    class Full:
        NAME = "full"

        def read(self, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
            raise MemoryError

    def full(*_: Any) -> Any:
        raise MemoryError

    with pytest.raises(MemoryError):
        forwarded(record(b"x"), source=SOURCE._replace(format=Full()))
    monkeypatch.setattr("services.ingest.forwarding.admit", full)
    with pytest.raises(MemoryError):
        forwarded(record(body(event())))
