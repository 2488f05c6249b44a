"""Decoding of CloudEvents: each bad input with its field and reason, and nothing ever raised."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import cloudevents, envelope
from schemas.cloudevents import Incoming, Refused
from schemas.envelope import Entry
from schemas.events import EXTERNAL, PERSONAL, SYSTEM, PersonJoined, UsageRecorded
from tests.unit.schemas.examples import VALID, Example, write
from tests.unit.schemas.strategies import JSON

ABSENT = object()
DATA = {"metric": "api_calls", "quantity": 3}
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/api-gateway",
    "type": "usage.recorded",
    "subject": "acct_42",
    "time": "2026-05-14T09:31:07Z",
    "data": DATA,
}
AT = 1_778_751_067_000_000
USED = UsageRecorded(metric="api_calls", quantity=3)


def event(**changes: Any) -> bytes:
    changed = GOOD | changes
    return write({name: value for name, value in changed.items() if value is not ABSENT})


def usage(**changes: Any) -> bytes:
    return event(data=DATA | changes)


def test_an_event_is_accepted_with_its_time_in_microseconds() -> None:
    assert cloudevents.decode(event()) == Incoming("e-1", "/api-gateway", AT, "acct_42", USED)


@pytest.mark.parametrize(
    "time, expected",
    [
        (ABSENT, None),
        (None, None),
        ("2026-05-14T11:31:07+02:00", AT),
        ("2026-05-14T09:31:07.25Z", AT + 250_000),
        ("2026-05-14T09:31:07.1234567Z", AT + 123_457),
        ("1970-01-01T00:00:00.000001Z", 1),
    ],
)
def test_a_time_is_read_with_its_offset_to_the_microsecond(
    time: object, expected: int | None
) -> None:
    found = cloudevents.decode(event(time=time))
    assert found == Incoming("e-1", "/api-gateway", expected, "acct_42", USED)


def test_data_may_come_as_base64() -> None:
    coded = base64.b64encode(write(DATA)).decode()
    found = cloudevents.decode(event(data=ABSENT, data_base64=coded))
    assert found == Incoming("e-1", "/api-gateway", AT, "acct_42", USED)


def test_the_account_of_a_person_who_joined_is_named_by_the_event_itself() -> None:
    raw = event(type="person.joined", subject=ABSENT, data={"person": "u17", "account": "acct_7"})
    joined = PersonJoined(person="u17", account="acct_7")
    assert cloudevents.decode(raw) == Incoming("e-1", "/api-gateway", AT, "acct_7", joined)


REFUSED = {
    "negative quantity": (usage(quantity=-1), "invalid", "data.quantity"),
    "negative fraction": (usage(quantity=-0.5), "invalid", "data.quantity"),
    "four decimals": (usage(quantity=0.1234), "invalid", "data.quantity"),
    "smallest fraction": (usage(quantity=5e-324), "invalid", "data.quantity"),
    "over the bound": (usage(quantity=10**12 + 1), "invalid", "data.quantity"),
    "fraction over the bound": (usage(quantity=1e12 + 0.5), "invalid", "data.quantity"),
    "huge whole number": (usage(quantity=10**400), "invalid", "data.quantity"),
    "quantity as bool": (usage(quantity=True), "invalid", "data.quantity"),
    "quantity as text": (usage(quantity="3"), "invalid", "data.quantity"),
    "quantity as null": (usage(quantity=None), "invalid", "data.quantity"),
    "no metric": (event(data={"quantity": 3}), "invalid", "data.metric"),
    "metric with line break": (usage(metric="api_calls\n"), "invalid", "data.metric"),
    "metric too long": (usage(metric="m" * 101), "invalid", "data.metric"),
    "data absent": (event(data=ABSENT), "invalid", "data.metric"),
    "data null": (event(data=None), "invalid", "data"),
    "data a list": (event(data=[DATA]), "invalid", "data"),
    "data as text": (event(data='{"metric": "m"}'), "invalid", "data"),
    "naive time": (event(time="2026-05-14T09:31:07"), "invalid", "time"),
    "date only": (event(time="2026-05-14"), "invalid", "time"),
    "time as number": (event(time=1778751067), "invalid", "time"),
    "impossible time": (event(time="2026-02-30T00:00:00Z"), "invalid", "time"),
    "clock never set": (event(time="1970-01-01T00:00:00Z"), "invalid", "time"),
    "year 0 in UTC": (event(time="0001-01-01T00:00:00+14:00"), "invalid", "time"),
    "year 10000 in UTC": (event(time="9999-12-31T23:59:59-14:00"), "invalid", "time"),
    "id empty": (event(id=""), "invalid", "id"),
    "id too long": (event(id="e" * 257), "invalid", "id"),
    "source empty": (event(source=""), "invalid", "source"),
    "subject empty": (event(subject=""), "invalid", "subject"),
    "subject too long": (event(subject="a" * 201), "invalid", "subject"),
    "subject with line break": (event(subject="acct_42\n"), "invalid", "subject"),
    "subject with separator": (event(subject="acct\x1f42"), "invalid", "subject"),
    "subject with line separator": (event(subject="acct\u202842"), "invalid", "subject"),
    "account with a control character": (
        event(type="person.joined", subject=ABSENT, data={"person": "u17", "account": "a\0"}),
        "invalid",
        "subject",
    ),
    "person with a control character": (
        event(subject=ABSENT, data=DATA | {"person": "u\x1f17"}),
        "invalid",
        "data.person",
    ),
    "joining person with a line break": (
        event(type="person.joined", data={"person": "u\n", "account": "a"}),
        "invalid",
        "data.person",
    ),
    "joined account with a line break": (
        event(type="person.joined", data={"person": "u", "account": "a\n"}),
        "invalid",
        "data.account",
    ),
    "merged into a line break": (
        event(type="account.merged", data={"into": "a\n"}),
        "invalid",
        "data.into",
    ),
    "colleague with a control character": (
        event(type="touch.recorded", data={"colleague": "ana\0"}),
        "invalid",
        "data.colleague",
    ),
    "author with a line break": (
        event(type="sentiment.set", data={"rating": 3, "author": "ana\u2028"}),
        "invalid",
        "data.author",
    ),
    "an account that would be our own company": (event(subject="company"), "invalid", "subject"),
    "a person of our own company": (
        event(type="person.joined", subject="a", data={"person": "u", "account": "company"}),
        "invalid",
        "data.account",
    ),
    "merged into our own company": (
        event(type="account.merged", data={"into": "company"}),
        "invalid",
        "data.into",
    ),
    "touch without person and account": (
        event(type="touch.recorded", subject=ABSENT, data={"colleague": "ana"}),
        "unattributed",
        "subject",
    ),
    "person null": (
        event(subject=ABSENT, data=DATA | {"person": None}),
        "unattributed",
        "subject",
    ),
    "subject absent": (event(subject=ABSENT), "unattributed", "subject"),
    "subject null": (event(subject=None), "unattributed", "subject"),
    "older specification": (event(specversion="0.3"), "invalid", "specversion"),
    "no specification": (event(specversion=ABSENT), "invalid", "specversion"),
    "no type": (event(type=ABSENT), "invalid", "type"),
    "unknown type": (event(type="usage.counted"), "unknown_type", "type"),
    "broken base64": (event(data_base64="%"), "invalid", "data_base64"),
    "no JSON in base64": (event(data_base64="bm8="), "broken_json", "data"),
}


@pytest.mark.parametrize("raw, reason, field", REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_event_is_refused_with_its_reason_and_field(
    raw: bytes, reason: str, field: str
) -> None:
    found = cloudevents.decode(raw)
    assert isinstance(found, Refused)
    assert (found.reason, found.field) == (reason, field)
    assert found.detail
    assert found.source[:4] in ("/api", "")


UNREADABLE = {
    "empty": (b"", "broken_json"),
    "no JSON": (b"no", "broken_json"),
    "cut off": (event()[:-1], "broken_json"),
    "NaN": (event().replace(b'"quantity": 3', b'"quantity": NaN'), "broken_json"),
    "infinity": (event().replace(b'"quantity": 3', b'"quantity": -Infinity'), "broken_json"),
    "not UTF-8": (event().replace(b"acct_42", b"acct_\xff"), "broken_json"),
    "half a surrogate": (event().replace(b"acct_42", b"\\ud800"), "broken_json"),
    "a list": (b"[]", "invalid"),
    "null": (b"null", "invalid"),
    "too deep for any reader": (b'{"a":' * 100_000, "invalid"),
}


@pytest.mark.parametrize("raw, reason", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_event_at_all_is_refused_as_a_whole(raw: bytes, reason: str) -> None:
    found = cloudevents.decode(raw)
    assert isinstance(found, Refused)
    assert (found.reason, found.field) == (reason, "")


def test_a_number_too_large_for_any_reader_is_refused_at_its_field() -> None:
    found = cloudevents.decode(event().replace(b'"quantity": 3', b'"quantity": 1e400'))
    expected = ("invalid", "data.quantity", "Number out of range", "e-1", "/api-gateway")
    assert found == Refused(*expected)


def test_a_missing_id_is_refused_under_its_source_so_that_the_sender_can_be_told() -> None:
    detail = "id is missing"
    assert cloudevents.decode(event(id=ABSENT)) == Refused(
        "invalid", "id", detail, "", GOOD["source"]
    )


@pytest.mark.parametrize("name", SYSTEM)
def test_a_system_type_is_refused_from_outside(name: str) -> None:
    detail = f"type {name!r} is written by ebbwatch itself; send another type"
    expected = Refused("unknown_type", "type", detail, "e-1", "/api-gateway")
    assert cloudevents.decode(event(type=name)) == expected


def test_an_event_of_a_person_without_an_account_is_attributed_through_the_person() -> None:
    raw = event(subject=ABSENT, data=DATA | {"person": "u17"})
    used = UsageRecorded(metric="api_calls", quantity=3, person="u17")
    expected = Incoming("e-1", "/api-gateway", AT, None, used, person="u17")
    assert cloudevents.decode(raw) == expected


def test_an_event_of_an_account_is_not_attributed_through_its_person() -> None:
    used = UsageRecorded(metric="api_calls", quantity=3, person="u17")
    assert cloudevents.decode(usage(person="u17")) == Incoming(
        "e-1", "/api-gateway", AT, "acct_42", used
    )


def test_what_is_attributed_through_persons_is_what_names_one_and_no_account() -> None:
    names_one = {struct for struct in EXTERNAL.values() if "person" in struct.__struct_fields__} - {
        PersonJoined
    }
    assert set(PERSONAL) == names_one


def test_an_event_that_nobody_can_be_found_for_is_refused_with_the_remedy() -> None:
    opened = event(type="ticket.opened", subject=ABSENT, data={"ticket": "T-1"})
    alone = "the account is missing; send it as `subject`"
    person = ", or the person, once `person.joined` named their account, as `data.person`"
    assert [cloudevents.decode(raw) for raw in (opened, event(subject=ABSENT))] == [
        Refused("unattributed", "subject", alone, "e-1", "/api-gateway"),
        Refused("unattributed", "subject", alone + person, "e-1", "/api-gateway"),
    ]


def test_a_refusal_names_the_bound() -> None:
    found = cloudevents.decode(usage(quantity=10**12 + 1))
    assert isinstance(found, Refused)
    assert found.detail == "a whole number <= 1000000000000 was expected"


@pytest.mark.parametrize(
    "changes, field, detail",
    [
        ({"data": DATA | {"quantity": "x"}}, "data.quantity", "a number was expected, got text"),
        ({"data": DATA | {"quantity": -1}}, "data.quantity", "a whole number >= 0 was expected"),
        ({"data": {}}, "data.metric", "metric is missing"),
        ({"data": [1]}, "data", "an object was expected, got a list"),
        ({"id": "e" * 300}, "id", "text of at most 256 characters was expected"),
        ({"time": 5}, "time", "a time or null was expected, got a whole number"),
        ({"time": "soon"}, "time", "Invalid RFC3339 encoded datetime"),
    ],
)
def test_a_refusal_says_what_was_expected_in_words(
    changes: dict[str, Any], field: str, detail: str
) -> None:
    found = cloudevents.decode(event(**changes))
    assert isinstance(found, Refused)
    assert (found.field, found.detail) == (field, detail)


def test_an_identity_of_a_wrong_type_or_length_is_reported_within_bounds() -> None:
    found = cloudevents.decode(event(id=["e"] * 1000, source="/api-gateway"))
    assert isinstance(found, Refused)
    assert (found.field, len(found.id), found.source) == ("id", 256, "/api-gateway")


def test_a_field_of_the_producers_own_is_ignored_even_if_it_is_called_type() -> None:
    found = cloudevents.decode(event(data=DATA | {"type": "burst", "plan": {"tier": [1]}}, x=1))
    assert found == Incoming("e-1", "/api-gateway", AT, "acct_42", USED)


ATTRIBUTES = {name: str(value) for name, value in GOOD.items() if name != "data"}


def test_binary_mode_reads_the_same_event() -> None:
    assert cloudevents.decode_binary(ATTRIBUTES, write(DATA)) == cloudevents.decode(event())


@pytest.mark.parametrize("body", [None, b""])
def test_binary_mode_takes_an_empty_body_as_an_empty_object(body: bytes | None) -> None:
    attributes = ATTRIBUTES | {"type": "touch.recorded"}
    expected = cloudevents.decode(event(type="touch.recorded", data=ABSENT))
    assert cloudevents.decode_binary(attributes, body) == expected


@pytest.mark.parametrize(
    "changes, body, reason, field",
    [
        ({"time": "2026-05-14T09:31:07"}, b"{}", "invalid", "time"),
        ({"time": "1778751067"}, b"{}", "invalid", "time"),
        ({"type": "clock.ticked"}, b"{}", "unknown_type", "type"),
        ({"data": "x"}, b"{}", "invalid", "data"),
        ({}, b"no", "broken_json", "data"),
        ({}, b'{"metric": ""}', "invalid", "data.metric"),
    ],
)
def test_binary_mode_refuses_with_reason_and_field(
    changes: dict[str, str], body: bytes, reason: str, field: str
) -> None:
    found = cloudevents.decode_binary(ATTRIBUTES | changes, body)
    assert isinstance(found, Refused)
    assert (found.reason, found.field) == (reason, field)
    assert (found.id, found.source) == ("e-1", "/api-gateway")


def test_an_attribute_cannot_take_the_place_of_the_body_in_binary_mode() -> None:
    coded = base64.b64encode(b'{"metric": "other"}').decode()
    found = cloudevents.decode_binary(ATTRIBUTES | {"data_base64": coded}, write(DATA))
    assert found == cloudevents.decode(event())


@pytest.mark.parametrize(
    "raw, expected",
    [
        (b"[" * 32 + b"]" * 32, False),
        (b"[" * 33 + b"]" * 33, True),
        (b'{"a":' * 33, True),
        (b"[[]," * 20 + b"[]" + b"]" * 20, False),
        (b"[" + b"{}," * 100 + b"{}]", False),
        (b'["' + b"[" * 100 + b'"]', False),
        (b'["\\"' + b"[" * 100 + b'"]', False),
        (b'["\\\\",' + b"[" * 100, True),
    ],
)
def test_depth_counts_open_brackets_outside_of_text(raw: bytes, expected: bool) -> None:
    assert cloudevents.too_deep(raw) is expected


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    assert isinstance(cloudevents.decode(raw), Refused)
    assert isinstance(cloudevents.too_deep(raw), bool)


@given(st.dictionaries(st.sampled_from([*GOOD, "data_base64"]), st.text(max_size=30)), st.binary())
def test_no_attributes_and_no_body_raise(attributes: dict[str, str], body: bytes) -> None:
    assert isinstance(cloudevents.decode_binary(attributes, body), Incoming | Refused)


EVERY_FIELD = sorted(
    {name for struct in EXTERNAL.values() for name in struct.__struct_encode_fields__}
)


@given(
    example=st.sampled_from([example for example in VALID if example.type in EXTERNAL]),
    outer=st.dictionaries(st.sampled_from([*GOOD, "data_base64"]), JSON, max_size=1),
    inner=st.dictionaries(st.sampled_from(EVERY_FIELD), JSON | st.integers(), max_size=2),
)
def test_whatever_is_accepted_can_be_written_into_an_envelope(
    example: Example, outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    whole = json.loads(example.raw)
    whole["data"] = whole.get("data", {}) | inner
    found = cloudevents.decode(write(whole | outer))
    if isinstance(found, Incoming):
        entry = Entry(found.id, found.source, found.time or 0, (found.account or "",), found.event)
        assert envelope.decode(envelope.encode([entry])) == ([(0, entry)], [])


@pytest.mark.parametrize("id", ["Company", "company-1", "company "])
def test_only_the_very_id_of_the_company_is_none_of_an_account(id: str) -> None:
    found = cloudevents.decode(event(subject=id))
    assert isinstance(found, Incoming)
    assert found.account == id
    assert cloudevents.decode(event(subject="company")) == Refused(
        "invalid",
        "subject",
        "'company' stands for your own company; give the account another id",
        "e-1",
        "/api-gateway",
    )
