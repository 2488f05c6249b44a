from datetime import date

import msgspec
import pytest

from schemas import envelope
from schemas.cloudevents import Incoming, Refused
from schemas.envelope import Entry, Origin, encode_entry
from schemas.events import (
    ArrMoved,
    ClockTicked,
    ClosureDeclared,
    DealClosed,
    EmployeeLeft,
    Event,
    OpportunityUpdated,
    PersonJoined,
    SentimentSet,
    SpendRecorded,
    TargetSet,
    TouchRecorded,
    UsageRecorded,
)
from services.ingest.entries import EVENT_BYTES, admit, broadcast
from services.partitioning import home_of, partition_of
from services.publishing.lanes import ENTRY_BYTES
from tests.unit.ingest.builders import NOW

MINUTE = 60_000_000
USAGE = UsageRecorded(metric="m")


def incoming(
    event: Event = USAGE,
    account: str | None = "a",
    time: int | None = NOW,
    person: str | None = None,
) -> Incoming:
    return Incoming("e", "/api", time, account, event, person=person)


def usage_of(length: int) -> UsageRecorded:
    """Longer than any that a decoder lets in."""
    return UsageRecorded(metric="m" * length)


def entries(admitted: list[tuple[int, bytes]] | Refused) -> list[tuple[int, Entry]]:
    assert isinstance(admitted, list)
    return [
        (partition, envelope.decode(envelope.join([raw]))[0][0][1]) for partition, raw in admitted
    ]


def test_an_account_s_event_goes_to_its_partition_with_its_origin() -> None:
    origin = Origin("usage", 1, 2, 3)

    admitted = admit(incoming(), 8, NOW, origin)

    expected = Entry("e", "/api", NOW, ("account:a",), USAGE, origin)
    assert entries(admitted) == [(partition_of("a", 8), expected)]


def test_what_concerns_everybody_goes_into_every_partition_for_its_ledger() -> None:
    closure = ClosureDeclared(from_=date(2026, 1, 1), to=date(2026, 1, 2))

    everybody = entries(admit(incoming(closure, None), 3, NOW))
    one = entries(admit(incoming(closure, "a"), 3, NOW))

    assert everybody == [(p, Entry("e", "/api", NOW, (), closure)) for p in range(3)]
    assert one == [(partition_of("a", 3), Entry("e", "/api", NOW, ("account:a",), closure))]


def test_what_concerns_the_company_goes_to_the_company_s_partition() -> None:
    moved = ArrMoved(kind="new", amount=1, effective_on=date(2026, 1, 1))

    expected = Entry("e", "/api", NOW, ("company",), moved)
    assert entries(admit(incoming(moved, None), 8, NOW)) == [(partition_of("company", 8), expected)]


SUBJECTS: dict[str, tuple[Incoming, tuple[str, ...]]] = {
    "usage of an account": (incoming(), ("account:a",)),
    "usage of a person": (incoming(USAGE, None, person="p"), ("person:p",)),
    "a person who joins": (
        incoming(PersonJoined(person="p", account="a")),
        ("account:a", "person:p"),
    ),
    "a touch": (
        incoming(TouchRecorded(person="p", colleague="ana")),
        ("account:a", "colleague:ana"),
    ),
    "a touch of a person": (
        incoming(TouchRecorded(person="p", colleague="ana"), None, person="p"),
        ("person:p", "colleague:ana"),
    ),
    "a touch by nobody in particular": (incoming(TouchRecorded()), ("account:a",)),
    "a rating": (
        incoming(SentimentSet(rating=3, author="ana")),
        ("account:a", "colleague:ana"),
    ),
    "a deal": (incoming(DealClosed(list=2, net=1)), ("account:a", "company")),
    "an opportunity": (
        incoming(OpportunityUpdated(opportunity="o", kind="new", stage="s")),
        ("account:a", "company"),
    ),
    "spend": (incoming(SpendRecorded(amount=1, month="2026-01"), None), ("company",)),
    "a target": (incoming(TargetSet(amount=1, period="2026-Q1"), None), ("company",)),
    "one of ours who left": (
        incoming(EmployeeLeft(colleague="ana"), None),
        ("company", "colleague:ana"),
    ),
    "one of ours who left an account": (
        incoming(EmployeeLeft(colleague="ana")),
        ("account:a", "company", "colleague:ana"),
    ),
}


@pytest.mark.parametrize("event, subjects", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_an_event_is_one_entry_in_each_partition_that_is_home_to_a_subject_of_it(
    event: Incoming, subjects: tuple[str, ...]
) -> None:
    # In one partition all subjects stand in one entry, in their order.
    assert entries(admit(event, 1, NOW)) == [
        (0, Entry("e", "/api", NOW, subjects, event.event)),
    ]
    homes = [home_of(subject, 1000) for subject in subjects]
    assert len(set(homes)) == len(subjects), "of a thousand partitions each has another"
    assert entries(admit(event, 1000, NOW)) == [
        (home, Entry("e", "/api", NOW, (subject,), event.event))
        for home, subject in zip(homes, subjects, strict=True)
    ]


def test_an_account_is_at_home_where_its_bare_id_is() -> None:
    assert home_of("account:a", 8) == partition_of("a", 8)
    assert home_of("person:a", 1000) == partition_of("person:a", 1000)


@pytest.mark.parametrize(
    "time, missing_time, kept", [(NOW, -5, NOW), (None, None, 0), (None, NOW - 1, NOW - 1)]
)
def test_a_missing_time_is_the_append_time_or_the_record_s(
    time: int | None, missing_time: int | None, kept: int
) -> None:
    admitted = admit(incoming(time=time), 8, NOW, None, missing_time)

    assert entries(admitted)[0][1].time == kept


@pytest.mark.parametrize(
    "time, reason",
    [
        (NOW + 10 * MINUTE, None),  # 10 min ahead, the most that is let in
        (NOW + 10 * MINUTE + 1, "future"),
        (0, "invalid"),  # would be read as the append time
        (-1, "invalid"),
        (1, None),
    ],
)
def test_a_time_ahead_of_the_clock_or_before_1970_is_refused(time: int, reason: str | None) -> None:
    admitted = admit(incoming(time=time), 8, NOW)

    assert (admitted.reason if isinstance(admitted, Refused) else None) == reason


@pytest.mark.parametrize(
    "stamp, reason",
    [
        (NOW + 10 * MINUTE, None),
        (NOW + 10 * MINUTE + 1, "future"),
        (1000 * NOW, "future"),  # the producer stamps in microseconds or nanoseconds
        (1_000_000 * NOW, "future"),
        (0, "invalid"),
        (-1000, "invalid"),  # the record has no time at all: -1 ms
    ],
)
def test_a_record_s_time_is_taken_within_the_same_bounds(stamp: int, reason: str | None) -> None:
    admitted = admit(incoming(time=None), 8, NOW, None, stamp)

    assert (admitted.reason if isinstance(admitted, Refused) else None) == reason
    if isinstance(admitted, Refused):
        assert (admitted.field, "of its record" in admitted.detail) == ("time", True)


def test_what_is_admitted_still_fits_an_envelope_once_it_is_forwarded_or_repaired() -> None:
    """The longest ids that there are: 200 characters of 4 bytes."""
    origin, room = Origin("i", 0, 0, 0), EVENT_BYTES - 100
    short = encode_entry(Entry("e", "/api", NOW, ("account:a",), usage_of(room), origin))
    event = usage_of(room + EVENT_BYTES - len(short))
    entry = Entry("e", "/api", NOW, ("account:a",), event, origin)

    assert admit(incoming(event), 1, NOW, origin) == [(0, encode_entry(entry))]
    one_more = admit(incoming(usage_of(len(event.metric) + 1)), 1, NOW, origin)
    assert isinstance(one_more, Refused)

    whom = "account:" + "\N{GRINNING FACE}" * 200
    most = Origin(f"repair:{whom}", 2**31 - 1, 2**63 - 1, 2**63 - 1)
    after = msgspec.structs.replace(entry, subjects=(whom,), origin=most)
    assert len(encode_entry(after)) <= ENTRY_BYTES


def test_an_event_that_fits_no_envelope_is_refused() -> None:
    # No external event can be so long today; the bound must hold for the next type too.
    admitted = admit(incoming(account="a" * 530_000), 8, NOW)

    assert isinstance(admitted, Refused)
    assert (admitted.reason, admitted.field) == ("too_large", "data")


def test_ours_go_into_every_partition() -> None:
    tick = ClockTicked(at=NOW, mode="live")

    assert entries(broadcast(tick, "tick-1", NOW, 3)) == [
        (partition, Entry("tick-1", "ebbwatch", NOW, (), tick)) for partition in range(3)
    ]
