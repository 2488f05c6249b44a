"""What a refusal becomes when it is tried again, by where it came from."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import Refused
from schemas.config import Input
from schemas.envelope import Entry, Origin, decode, encode, encode_entry, join
from schemas.events import EXTERNAL, ClockTicked, Event, UsageRecorded
from schemas.rejects import RAW_LIMIT, Reject
from services.commands.originals import Original, Place
from services.commands.rejected import Refusal
from services.commands.resending import Again, Now, again, place_of
from services.ingest import formats
from services.ingest.formats import Batch
from services.partitioning import partition_of
from services.publishing.lanes import ENTRY_BYTES
from tests.unit.schemas.strategies import values

PARTITIONS = 4
HOUR_US = 3_600_000_000
NOON_MS = 1_778_760_000_000
NOW = Now(
    {"usage": Input(topic="usage", format="cloudevents", source="/api")},
    PARTITIONS,
    "ebbwatch.events.v1",
    NOON_MS * 1000 + HOUR_US,
)
USAGE = UsageRecorded(metric="api_calls", quantity=3)
TIME = "2026-05-14T11:00:00Z"
TIME_US = NOON_MS * 1000 - HOUR_US


def raw(id: str, **changes: Any) -> bytes:
    fields = {
        "specversion": "1.0",
        "id": id,
        "source": "/api",
        "type": "usage.recorded",
        "subject": "acct_1",
        "time": TIME,
        "data": {"metric": "api_calls", "quantity": 3},
    }
    found = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    return msgspec.json.encode(found)


def refusal(**changes: Any) -> Refusal:
    """A refusal at offset 7 of partition 2, of an event over HTTP unless told otherwise."""
    fields = {
        "stage": "ingest",
        "reason": "unknown_type",
        "detail": "",
        "raw": raw("e"),
        "index": 0,
    }
    return Refusal(2, 7, NOON_MS, Reject(**{**fields, **changes}))


def of_input(**changes: Any) -> Refusal:
    return refusal(**{"topic": "usage", "partition": 3, "offset": 11, "source": "/in", **changes})


def of_detector(entry: Entry | bytes, **changes: Any) -> Refusal:
    kept = entry if isinstance(entry, bytes) else msgspec.json.encode(entry)[:RAW_LIMIT]
    place = {"stage": "detector", "topic": "events.v1", "partition": 1, "offset": 11, "index": 1}
    return refusal(**{**place, "raw": kept, "reason": "too_many_metrics", **changes})


def tried(one: Refusal, original: Original | None = None, now: Now = NOW) -> Again:
    return again(one, original, now, 5)


def sent(one: Again) -> list[tuple[int, Entry]]:
    """Return what is sent, decoded again."""
    return [(number, decode(join([entry]))[0][0][1]) for number, entry in one.items]


def entry(id: str, origin: Origin | None, time: int = TIME_US, **changes: Any) -> Entry:
    fields = {"source": "/api", "subjects": ("account:acct_1",), "event": USAGE, **changes}
    return Entry(id=id, time=time, origin=origin, **fields)


HOME = partition_of("acct_1", PARTITIONS)


def test_over_http_it_goes_without_origin_like_every_event_over_http() -> None:
    one = tried(refusal())
    assert (sent(one), one.events, one.refused) == ([(HOME, entry("e", None))], 1, [])


def test_an_event_without_time_counts_when_it_was_refused_and_not_today() -> None:
    one = tried(refusal(raw=raw("e", time=None)))
    assert sent(one) == [(HOME, entry("e", None, NOON_MS * 1000))]


def test_from_an_input_it_gets_an_origin_of_its_own_on_its_track() -> None:
    one = tried(of_input())
    assert sent(one) == [(HOME, entry("e", Origin("replay:5", 2, 7, 0)))]


def test_the_original_brings_headers_and_the_time_of_its_record() -> None:
    data = b'{"metric":"api_calls","quantity":3}'
    headers = {"ce_specversion": "1.0", "ce_id": "b", "ce_source": "/api", "ce_subject": "acct_1"}
    original = Original(data, {**headers, "ce_type": "usage.recorded"}, NOON_MS - 60_000)

    with_it, without = tried(of_input(raw=data), original), tried(of_input(raw=data))

    time = NOON_MS * 1000 - 60_000_000
    assert sent(with_it) == [(HOME, entry("b", Origin("replay:5", 2, 7, 0), time))]
    assert [each.reason for each in without.refused] == ["invalid"]


def test_of_a_batch_only_the_refused_event_is_sent() -> None:
    batch = b"[" + raw("first") + b", " + raw("second") + b"]"
    one = tried(of_input(raw=raw("second"), index=1), Original(batch, {}, NOON_MS))
    assert [found.id for _, found in sent(one)] == ["second"]


def test_a_record_that_was_refused_as_a_whole_is_sent_event_by_event() -> None:
    batch = b"[" + b",".join((raw("first"), raw("bad", type="no.such"), raw("third"))) + b"]"
    one = tried(of_input(raw=batch, reason="format_failed"), Original(batch, {}, NOON_MS))

    assert [(found.id, found.origin) for _, found in sent(one)] == [
        ("first", Origin("replay:5", 2, 7, 0)),
        ("third", Origin("replay:5", 2, 7, 2)),
    ]
    # The one that is still refused is a refusal of its own from now on.
    (anew,) = one.anew
    assert (anew.reason, anew.raw, anew.index) == ("unknown_type", raw("bad", type="no.such"), 1)
    assert (anew.topic, anew.partition, anew.offset, anew.source) == ("usage", 3, 11, "/in")


def test_nothing_is_refused_anew_where_nothing_can_be_sent() -> None:
    one = tried(of_input(raw=raw("e", type="no.such")))
    assert (one.items, one.anew, [each.reason for each in one.refused]) == (
        [],
        [],
        ["unknown_type"],
    )


def test_the_record_of_a_topic_created_anew_is_not_taken_for_the_refused_one() -> None:
    one = tried(of_input(), Original(raw("another"), {}, NOON_MS))
    assert [found.id for _, found in sent(one)] == ["e"]


def test_a_format_that_raises_costs_its_own_refusals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        NAME = "cloudevents"

        def read(self, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
            raise KeyError("bug")

    monkeypatch.setattr(formats, "FORMATS", (Broken(),))
    one = tried(of_input())

    assert (one.items, [each.reason for each in one.refused]) == ([], ["format_failed"])


def test_an_entry_that_is_too_long_for_its_new_origin_is_still_refused() -> None:
    """Entries of versions that kept no room back may fill an envelope to the last byte."""
    origin = Origin("usage", 0, 1, 0)
    pad = ENTRY_BYTES - len(encode_entry(entry("", origin)))
    filling = entry("e" * (pad - 4), origin)
    assert len(encode_entry(filling)) <= ENTRY_BYTES
    envelope = Original(encode([entry("before", None), filling]), {}, NOON_MS)

    one = tried(of_detector(filling, reason="unreadable"), envelope)

    assert (one.items, [each.reason for each in one.refused]) == ([], ["too_large"])


def test_what_was_cut_needs_its_original() -> None:
    long = raw("e", data={"metric": "api_calls", "quantity": 3, "note": "x" * RAW_LIMIT})
    kept = of_input(raw=long[:RAW_LIMIT])

    assert tried(kept).refused == [
        Refused("cut", "", "only its first 65536 bytes are kept, and its record has expired")
    ]
    assert sent(tried(kept, Original(long, {}, NOON_MS))) == [
        (HOME, entry("e", Origin("replay:5", 2, 7, 0)))
    ]


@pytest.mark.parametrize(
    "one, reason, word",
    [
        (of_input(topic="gone"), "no_input", "topic 'gone' is no input any more"),
        (refusal(raw=raw("e", time="2026-05-14T14:00:00Z")), "future", "ahead of the clock"),
        (refusal(reason="forbidden_source"), "forbidden_source", "ebbwatch keys create"),
        (refusal(index=None), "unknown_type", "ebbwatch import"),
        (refusal(stage="alerts", reason="unreadable"), "unreadable", "alerts.v1"),
        (of_detector(b"\xc1", reason="unreadable", index=None), "unreadable", "cannot read"),
        (
            of_detector(entry("t", None, event=ClockTicked(at=1, mode="live"), subjects=())),
            "too_many_metrics",
            "written by ebbwatch itself",
        ),
        (
            of_detector(entry("e", None, subjects=("account:a", "company"))),
            "too_many_metrics",
            "which of account:a, company refused it",
        ),
    ],
)
def test_what_cannot_be_sent_says_why(one: Refusal, reason: str, word: str) -> None:
    found = tried(one)
    assert (found.items, [each.reason for each in found.refused]) == ([], [reason])
    assert word in found.refused[0].detail


def test_over_http_it_brings_no_event_of_another_source_than_it_was_let_in_for() -> None:
    """What was the body of a binary event, say, may be a structured event of somebody else."""
    own, other = (tried(refusal(source=source)) for source in ("/api", "/mine"))
    assert [len(one.items) for one in (own, other)] == [1, 0]
    assert [(each.reason, each.source) for each in other.refused] == [("forbidden_source", "/api")]
    assert other.refused[0].detail.startswith("it came with a key for source '/mine'; send it")
    # of an input the source is its name
    assert len(tried(of_input(source="usage")).items) == 1


def test_what_the_detector_refused_is_folded_again_where_it_stood() -> None:
    known = entry("e", Origin("usage", 0, 4, 0), day=20_000)
    one = tried(of_detector(known))
    assert sent(one) == [(1, entry("e", Origin("repair:rejects/5", 2, 7, 0), day=20_000))]


def test_an_entry_of_the_log_is_taken_whole_and_at_the_time_of_its_message() -> None:
    known = entry("e", None, 0, event=UsageRecorded(metric="m" * 100, quantity=3))
    original = Original(encode([entry("other", None), known]), {}, NOON_MS - 5)
    one = tried(of_detector(msgspec.json.encode(known)[:60], index=1), original)

    ((number, found),) = sent(one)
    assert (number, found.time, found.origin) == (
        1,
        (NOON_MS - 5) * 1000,
        Origin("repair:rejects/5", 2, 7, 1),
    )
    assert found.event == known.event


@given(st.one_of([values(event) for event in EXTERNAL.values()]))
def test_every_event_is_read_back_from_what_is_kept_of_its_entry(event: Event) -> None:
    known = entry("e", None, event=event)
    if len(msgspec.json.encode(known)) < RAW_LIMIT:
        ((_, found),) = sent(tried(of_detector(known)))
        assert found.event == event


def test_only_the_subject_that_refused_an_entry_folds_it_again() -> None:
    both = entry("e", None, subjects=("account:a", "company"))
    told = tried(of_detector(both, field="company"))
    neither = tried(of_detector(both, reason="future"))

    assert [found.subjects for _, found in sent(told)] == [("company",)]
    # The event lay in the future for all of them.
    assert [found.subjects for _, found in sent(neither)] == [("account:a", "company")]


def test_a_message_that_nobody_could_read_is_taken_up_as_a_whole() -> None:
    message = encode([entry("one", None), entry("two", Origin("usage", 0, 3, 0))])
    kept = of_detector(message, reason="unreadable", index=None)
    one = tried(kept, Original(message, {}, NOON_MS))

    assert [(found.id, found.origin) for _, found in sent(one)] == [
        ("one", Origin("repair:rejects/5", 2, 7, 0)),
        ("two", Origin("repair:rejects/5", 2, 7, 1)),
    ]


def test_originals_stand_in_the_log_or_in_the_input_topic() -> None:
    assert place_of(of_input(), NOW) == Place("usage", 3, 11)
    assert place_of(of_detector(b""), NOW) == Place("ebbwatch.events.v1", 1, 11)
    assert place_of(refusal(), NOW) is None
    assert place_of(of_input(stage="alerts"), NOW) is None
