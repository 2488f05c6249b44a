"""The records of the JSON topics: whatever is written is read back, and nothing else passes."""

import json
from datetime import UTC, datetime
from ipaddress import ip_network

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import alerts, cases, cloudevents
from schemas.alerts import AlertRaised
from schemas.cloudevents import Incoming
from schemas.config import Network
from schemas.events import AccountUpdated
from tests.unit.schemas.examples import RECORDS, VALID, Example, Why, conforms, judge
from tests.unit.schemas.strategies import values


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=25)
@given(draw=st.data())
def test_a_record_of_every_type_is_read_back_as_it_was_written(
    name: str, draw: st.DataObject
) -> None:
    written = draw.draw(values(RECORDS[name]))
    raw = msgspec.json.encode(written)
    assert judge(name, raw) == written
    assert conforms(name, raw)


@pytest.mark.parametrize("example", [e for e in VALID if e.type.startswith("alert.")], ids=str)
def test_an_alert_is_the_same_after_the_alert_codec(example: Example) -> None:
    found = alerts.decode(example.raw)
    assert alerts.decode(alerts.encode(found)) == found


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"type": "alert.muted"}', b"\xff"])
def test_what_is_no_alert_is_refused(raw: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        alerts.decode(raw)


LOG_RECORDS = {name for name, struct in RECORDS.items() if struct in cases.LogRecord.__args__}


@pytest.mark.parametrize("example", [e for e in VALID if e.type in LOG_RECORDS], ids=str)
def test_a_record_of_the_alert_log_is_the_same_after_its_codec(example: Example) -> None:
    found = cases.decode(example.raw)
    assert type(found) is RECORDS[example.type]
    assert cases.decode(cases.encode(found)) == found


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"type": "case.closed"}', b"\xff"])
def test_what_is_no_record_of_the_alert_log_is_refused(raw: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        cases.decode(raw)


CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]


@pytest.mark.parametrize("code", CONTROLS, ids=hex)
@pytest.mark.parametrize("name", ["id", "case", "by"])
def test_no_id_of_an_action_has_a_control_character(name: str, code: int) -> None:
    for text in (chr(code), f"a{chr(code)}b", f"a{chr(code)}"):
        raw = json.dumps({**ACKNOWLEDGED, name: text}).encode()
        assert judge("case.acknowledged", raw) == Why(name, "invalid")
        assert not conforms("case.acknowledged", raw)


@pytest.mark.parametrize("text", ["/ # ? %2F", "acct 42", "Zoë 株式会社", "<b>&'\"", "a" * 200])
def test_an_id_is_whatever_else_the_company_likes(text: str) -> None:
    raw = json.dumps({**ACKNOWLEDGED, "id": text, "case": text, "by": text}).encode()
    found = judge("case.acknowledged", raw)
    assert (found.id, found.case, found.by) == (text, text, text)
    assert conforms("case.acknowledged", raw)


ACKNOWLEDGED = {
    "type": "case.acknowledged",
    "id": "a-1",
    "case": "acct_42",
    "by": "ana",
    "at": "2026-05-15T08:12:40Z",
}


def test_the_longest_account_and_the_longest_colleague_have_a_case() -> None:
    for case in ("a" * 200, "colleague:" + "a" * 200):
        raw = json.dumps({**ACKNOWLEDGED, "case": case}).encode()
        assert judge("case.acknowledged", raw).case == case


HANDED_OVER = {
    "specversion": "1.0",
    "id": "e",
    "source": "s",
    "type": "account.updated",
    "subject": "acct_42",
}


def test_a_notice_may_name_any_owner_that_an_event_may_name() -> None:
    owner = "ana\x1flima"
    raw = json.dumps({**HANDED_OVER, "data": {"owner": owner}}).encode()
    event = AccountUpdated(owner=owner)
    assert cloudevents.decode(raw) == Incoming("e", "s", None, "acct_42", event)
    target = cases.Target(channel="crm", person=owner, why="owner")
    at = datetime(2026, 5, 15, 2, 0, 3, tzinfo=UTC)
    intended = cases.NoticeIntended(id="n-1", case="acct_42", at=at, targets=[target])
    assert cases.decode(cases.encode(intended)) == intended


def test_the_longest_form_of_a_network_is_a_network() -> None:
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"
    assert ip_network(longest).num_addresses == 1
    assert msgspec.convert(longest, Network) == longest


def test_the_severities_are_in_ascending_order_and_all_that_a_record_may_have() -> None:
    (severity,) = (f for f in msgspec.structs.fields(AlertRaised) if f.name == "severity")
    assert severity.type.__args__ == alerts.SEVERITIES
