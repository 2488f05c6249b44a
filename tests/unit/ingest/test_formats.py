import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import Incoming, Refused
from schemas.events import UsageRecorded
from services.ingest.formats import FORMATS, cloudevents
from tests.unit.ingest.builders import NOW, body, event

EXPECTED = Incoming("e-1", "/api", NOW, "acct_42", UsageRecorded(metric="api_calls", quantity=3))
ATTRIBUTES = {k: v for k, v in event().items() if k != "data"}
DATA = json.dumps(event()["data"]).encode()


@pytest.mark.parametrize(
    "headers, text",
    [
        ({}, body(event())),
        ({"content-type": "application/json"}, body(event())),
        ({"content-type": "application/cloudevents+json; charset=utf-8"}, body(event())),
        ({"content-type": "application/cloudevents-batch+json"}, b"[" + body(event()) + b"]"),
        ({"content-type": "application/json"}, b"  [" + body(event()) + b"]"),
        ({"content-type": "application/x-ndjson"}, b"\n" + body(event()) + b"\r\n\n"),
        (
            {"content-type": "application/json", **{f"ce-{k}": v for k, v in ATTRIBUTES.items()}},
            DATA,
        ),
        ({f"ce_{k}": v for k, v in ATTRIBUTES.items()}, DATA),
    ],
)
def test_one_event_reads_the_same_in_every_mode(headers: dict[str, str], text: bytes) -> None:
    assert cloudevents.read(headers, text, 10).outcomes == [EXPECTED]


def test_http_headers_are_percent_encoded_and_kafka_headers_are_not() -> None:
    over_http = {f"ce-{k}": v for k, v in {**ATTRIBUTES, "subject": "Zo%C3%AB"}.items()}
    over_kafka = {f"ce_{k}": v for k, v in {**ATTRIBUTES, "subject": "Zo%C3%AB"}.items()}

    accounts = [
        outcome.account
        for headers in (over_http, over_kafka)
        for outcome in cloudevents.read(headers, DATA, 10).outcomes
        if isinstance(outcome, Incoming)
    ]

    assert accounts == ["Zoë", "Zo%C3%AB"]


def test_data_never_come_from_a_header() -> None:
    headers = {f"ce-{k}": v for k, v in ATTRIBUTES.items()} | {"ce-data_base64": "e30="}

    assert cloudevents.read(headers, DATA, 10).outcomes == [EXPECTED]


def test_a_broken_event_of_a_batch_takes_no_other_with_it() -> None:
    text = body(event(), event(id=None), event(data={"metric": "m", "quantity": -1}), event())

    batch = cloudevents.read({}, text, 10)

    problems = [(e.reason, e.field) for e in batch.outcomes if isinstance(e, Refused)]
    assert (batch.outcomes[0], batch.outcomes[3]) == (EXPECTED, EXPECTED)
    assert problems == [("invalid", "id"), ("invalid", "data.quantity")]


def test_a_broken_line_takes_no_other_with_it() -> None:
    text = b"\n".join([body(event()), b"{broken", body(event())])

    batch = cloudevents.read({"content-type": "application/x-ndjson"}, text, 10)

    assert [type(each) for each in batch.outcomes] == [Incoming, Refused, Incoming]
    assert batch.raws[1] == b"{broken"


@pytest.mark.parametrize(
    "headers, text, reason",
    [
        ({}, b"", "broken_json"),
        ({}, b"[1, 2", "broken_json"),
        ({}, b"\xff\xfe", "broken_json"),
        ({}, b"null", "invalid"),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}", "broken_json"),
        ({"content-type": "text/csv"}, b"a,b", "unsupported_media"),
        ({}, b"[" * 200_000, "too_deep"),
        ({}, body(event(data=json.loads("[" * 40 + "]" * 40))), "too_deep"),
        ({}, body(*[event()] * 11), "too_many"),
        ({"content-type": "application/x-ndjson"}, (body(event()) + b"\n") * 11, "too_many"),
        ({}, b"[" + b"0," * 600_000 + b"0]", "too_many"),
    ],
)
def test_what_cannot_be_taken_apart_is_one_refusal(
    headers: dict[str, str], text: bytes, reason: str
) -> None:
    outcomes = cloudevents.read(headers, text, 10).outcomes

    assert [each.reason for each in outcomes if isinstance(each, Refused)] == [reason]
    assert len(outcomes) == 1


def test_an_empty_batch_holds_nothing() -> None:
    assert cloudevents.read({}, b"[]", 10).outcomes == []


@given(
    st.dictionaries(st.sampled_from(["content-type", "ce-id", "ce_type", "ce-time"]), st.text()),
    st.binary() | st.text().map(str.encode),
)
def test_no_format_raises_for_any_input(headers: dict[str, str], text: bytes) -> None:
    for each in FORMATS:
        batch = each.read(headers, text, 10)
        assert len(batch.raws) == len(batch.outcomes)
