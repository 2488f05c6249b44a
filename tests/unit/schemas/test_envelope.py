"""The envelope codec: what is written is read back, and what is broken takes nothing with it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import envelope
from schemas.envelope import Entry, Origin, Unreadable
from schemas.events import EVENT_TYPES, Event, TicketOpened, UsageRecorded
from tests.unit.schemas.strategies import INT64, values

OFFSET = st.integers(0, INT64 - 1)
ORIGIN = st.builds(Origin, st.text(max_size=30), st.integers(0, 2**31), OFFSET, OFFSET)
ENTRY: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1, max_size=256),
        "source": st.text(min_size=1, max_size=256),
        "time": OFFSET,
        "subjects": st.lists(st.text(min_size=1, max_size=210), max_size=3).map(tuple),
        "origin": st.none() | ORIGIN,
        "day": st.none() | st.integers(-(2**20), 2**20),
    }
)


def entry(n: int = 1, event: Event | None = None) -> Entry:
    usage = UsageRecorded(metric="api_calls", quantity=n)
    return Entry(f"e-{n}", "/api-gateway", 1_778_751_067_000_000, ("account:a",), event or usage)


def pack(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


@pytest.mark.parametrize("name", EVENT_TYPES)
@settings(max_examples=25)
@given(draw=st.data())
def test_an_event_of_every_type_is_read_back_as_it_was_written(
    name: str, draw: st.DataObject
) -> None:
    written = Entry(event=draw.draw(values(EVENT_TYPES[name])), **draw.draw(ENTRY))
    assert envelope.decode(envelope.encode([written])) == ([(0, written)], [])


def test_entries_encoded_singly_join_to_the_same_bytes() -> None:
    entries = [entry(n) for n in range(envelope.ENTRY_LIMIT)]
    message = envelope.join([envelope.encode_entry(one) for one in entries])
    assert message == envelope.encode(entries)
    assert envelope.decode(message) == (list(enumerate(entries)), [])


def test_a_message_over_the_limits_is_still_read_whole_for_the_limits_bind_its_writer() -> None:
    opened = TicketOpened(ticket="t" * 200)
    entries = [entry(n, opened) for n in range(4 * envelope.ENTRY_LIMIT)]
    message = envelope.encode(entries)
    assert len(message) > envelope.BYTE_LIMIT
    assert envelope.decode(message) == (list(enumerate(entries)), [])


def test_an_envelope_without_entries_holds_nothing() -> None:
    assert envelope.decode(envelope.encode([])) == ([], [])


BROKEN = {
    "no event": ["e-2", "/s", 1, ["account:a"]],
    "unknown type": ["e-2", "/s", 1, ["account:a"], {"~type": "usage.counted", "metric": "m"}],
    "no type": ["e-2", "/s", 1, ["account:a"], {"metric": "m"}],
    "event out of bounds": ["e-2", "/s", 1, [], {"~type": "ticket.opened", "ticket": ""}],
    "four decimals": [
        "e-2",
        "/s",
        1,
        [],
        {"~type": "usage.recorded", "metric": "m", "quantity": 0.1234},
    ],
    "not an entry": 7,
    "text that is not UTF-8": msgspec.Raw(b"\x95\xa1\xff\xa1s\x01\x90\x80"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_entry_is_told_apart_and_the_good_ones_beside_it_are_read(broken: Any) -> None:
    message = pack([envelope.VERSION, [entry(1), broken, entry(3)]])
    good, bad = envelope.decode(message)
    assert good == [(0, entry(1)), (2, entry(3))]
    assert [(one.place, one.raw, bool(one.reason)) for one in bad] == [(1, pack(broken), True)]


def test_a_message_of_an_unknown_version_is_refused_whole() -> None:
    message = pack([2, [entry()]])
    assert envelope.decode(message) == ([], [Unreadable(None, "version 2 is unknown", message)])


def test_fields_that_a_newer_writer_added_are_ignored() -> None:
    event = {"~type": "usage.recorded", "metric": "m", "quantity": 3, "colour": {"deep": [1]}}
    newer = ["e-1", "/s", 1, ["account:a"], event, None, None, "added", 9]
    expected = Entry("e-1", "/s", 1, ("account:a",), UsageRecorded(metric="m", quantity=3))
    assert envelope.decode(pack([1, [newer], "added"])) == ([(0, expected)], [])


@pytest.mark.parametrize("message", [None, b"", b"no", b"{}", b"\xc1", pack([1]), pack({"a": 1})])
def test_what_is_no_envelope_is_unreadable_as_a_whole(message: bytes | None) -> None:
    good, bad = envelope.decode(message)
    assert good == []
    assert [(one.place, one.raw) for one in bad] == [(None, message or b"")]


@given(st.binary(max_size=300))
def test_no_bytes_raise(message: bytes) -> None:
    good, bad = envelope.decode(message)
    assert good or bad or msgspec.msgpack.decode(message)[:2] == [1, []]


@given(st.integers(0, len(envelope.encode([entry(1), entry(2)])) - 1))
def test_a_message_that_was_cut_off_is_unreadable_as_a_whole(length: int) -> None:
    message = envelope.encode([entry(1), entry(2)])[:length]
    good, bad = envelope.decode(message)
    assert (good, [(one.place, one.raw) for one in bad]) == ([], [(None, message)])


@given(st.integers(0, len(envelope.encode([entry(1), entry(2)])) - 1), st.integers(0, 255))
def test_one_altered_byte_raises_nothing(place: int, byte: int) -> None:
    message = bytearray(envelope.encode([entry(1), entry(2)]))
    message[place] = byte
    good, bad = envelope.decode(bytes(message))
    assert good or bad or message[1:3] == b"\x01\x90"


@pytest.mark.parametrize("depth, place", [(500, 1), (100_000, None)])
def test_nesting_is_told_apart_as_far_as_it_can_be_skipped(depth: int, place: int | None) -> None:
    deep = msgspec.Raw(b"\x91" * depth + b"\x01")
    good, bad = envelope.decode(pack([envelope.VERSION, [entry(1), deep]]))
    assert good == ([] if place is None else [(0, entry(1))])
    assert [one.place for one in bad] == [place]
