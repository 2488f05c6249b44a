import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.alerts import AccountNow, AlertRaised
from schemas.cases import Step
from schemas.config import PersonRecord
from services.alerts.channels.message import (
    SIZE_LIMIT,
    Addressee,
    compose,
    compose_test,
    message_id,
)
from tests.unit.alerts.builders import raised

NOTICE = "0b0f1a9e-6f3a-5d0e-9a55-0123456789ab"
CAUSED_AT = datetime(2026, 5, 15, 4, 0, 1, 250_000, timezone(timedelta(hours=2)))
ANA = Addressee("ana", "owner", PersonRecord(id="ana", name="Ana Lima", email="ana@example.com"))
BECAUSE = {
    "headline": "Usage fell 31 % in 28 days",
    "text": "Acme used 6,210 a day.",
    "play": "check-integration",
    "ratio": 0.69,
    "weekly": [{"observed": 1.0, "expected": 2.0}],
}
ALERT = replace(
    raised("0b0f", "high", account="acct/42", because=BECAUSE),
    account_now=AccountNow(
        stamp=7,
        owner="ana",
        name="Acme",
        arr=12_000_000,
        currency="EUR",
        renewal_on=date(2026, 8, 1),
    ),
)


def composed(alert: AlertRaised, to: Addressee = ANA, step: Step = "opened") -> bytes:
    return compose(NOTICE, step, CAUSED_AT, alert, to, "https://desk.example.com")


def said(alert: AlertRaised, to: Addressee = ANA) -> Any:
    return json.loads(composed(alert, to))["data"]


def because(**more: object) -> AlertRaised:
    return replace(ALERT, because={**BECAUSE, **more})


def test_a_notice_says_whose_account_it_is_what_happened_why_and_to_whom() -> None:
    assert json.loads(composed(ALERT)) == {
        "type": "alert.raised",
        "timestamp": "2026-05-15T02:00:01.250000Z",
        "data": {
            "notice": NOTICE,
            "step": "opened",
            "case": {
                "account": "acct/42",
                "name": "Acme",
                "owner": "ana",
                "arr": 12_000_000,
                "currency": "EUR",
                "renewal_on": "2026-08-01",
                "url": "https://desk.example.com/accounts/acct%2F42",
            },
            "recipient": {
                "id": "ana",
                "name": "Ana Lima",
                "email": "ana@example.com",
                "why": "owner",
            },
            "alert": {
                "alert_id": "0b0f",
                "rule": "usage-drop",
                "kind": "usage_drop",
                "object": "usage",
                "severity": "high",
                "day": "2026-05-04",
                "fired_at": "2026-05-04T08:00:00Z",
                "headline": "Usage fell 31 % in 28 days",
                "text": "Acme used 6,210 a day.",
                "play": "check-integration",
                "because": {"ratio": 0.69, "weekly": [{"observed": 1.0, "expected": 2.0}]},
            },
        },
    }


@pytest.mark.parametrize(
    "step, type",
    [
        ("opened", "alert.raised"),
        ("added", "alert.raised"),
        ("worsened", "alert.worsened"),
        ("reopened", "case.reopened"),
        ("cleared", "case.cleared"),
    ],
)
def test_the_type_says_what_happened_to_the_case(step: Step, type: str) -> None:
    told = json.loads(composed(ALERT, step=step))
    assert (told["type"], told["data"]["step"]) == (type, step)


def test_nobody_and_somebody_unknown_are_told_as_such() -> None:
    assert said(ALERT, Addressee(None, "nobody"))["recipient"] is None
    assert said(ALERT, Addressee("joe", "assignee"))["recipient"] == {
        "id": "joe",
        "name": None,
        "email": None,
        "why": "assignee",
    }
    nowhere = compose(NOTICE, "opened", CAUSED_AT, ALERT, ANA, "")
    assert json.loads(nowhere)["data"]["case"]["url"] is None


def test_the_same_notice_is_the_same_bytes_whenever_it_is_composed() -> None:
    assert composed(ALERT) == composed(ALERT)
    assert message_id(NOTICE) == "msg_0b0f1a9e6f3a5d0e9a550123456789ab"


def test_names_and_texts_are_cut_not_changed() -> None:
    now = replace(ALERT.account_now, name="<b>&" + "n" * 10_000)
    alert = replace(because(text="t" * 10_000, headline="h" * 10_000), account_now=now)
    told = said(alert, Addressee("joe", "owner", PersonRecord(id="joe", name="=cmd|" * 100)))
    assert told["case"]["name"] == "<b>&" + "n" * 115 + "…"
    assert told["alert"]["headline"] == "h" * 299 + "…"
    assert told["alert"]["text"] == "t" * 3_999 + "…"
    assert told["recipient"]["name"] == ("=cmd|" * 24)[:119] + "…"
    assert "cut" not in told


def test_a_long_series_goes_first_then_the_evidence_then_the_paragraph() -> None:
    short, long = [0.5] * 100, [0.123456] * 3_000
    daily = said(because(daily=long, masked_days=short))
    assert (daily["cut"], sorted(daily["alert"]["because"])) == (
        ["because.daily"],
        ["masked_days", "ratio", "weekly"],
    )
    evidence = said(because(daily=long, contributions=long))
    assert evidence["cut"] == ["because.daily", "because.weekly", "because"]
    assert (evidence["alert"]["because"], evidence["alert"]["text"]) == ({}, BECAUSE["text"])
    paragraph = said(because(text="\x01" * 4_000, contributions=long))
    assert paragraph["cut"] == ["because.weekly", "because", "text"]
    assert paragraph["alert"]["text"] == "\x01" * 499 + "…"


# Accounts and people are named by at most 200 characters, which JSON may write as six bytes each.
_IDS = st.one_of(st.text(min_size=1, max_size=200), st.just("\x01" * 200), st.just("語" * 200))
_TEXTS = st.one_of(st.text(max_size=50), st.just("\x01" * 9_000), st.just("😀" * 9_000))


@given(_IDS, _IDS, _TEXTS, _TEXTS, st.integers(0, 3_000))
def test_a_body_is_always_below_the_limit(
    account: str, person: str, text: str, name: str, length: int
) -> None:
    alert = raised(
        "0b0f",
        account=account,
        owner=person,
        because={
            "headline": text,
            "text": text,
            "play": text,
            "daily": [0.1] * length,
            "other": text,
        },
    )
    long = replace(
        alert,
        rule="r" * 200,
        object=account,
        account_now=replace(alert.account_now, name=name),
    )
    record = PersonRecord(id=person, name=name, email="e" * 300 + "@example.com")
    raw = composed(long, Addressee(person, "owner", record))
    assert len(raw) < SIZE_LIMIT
    assert json.loads(raw)["data"]["case"]["account"] == account


def test_a_test_says_that_it_is_one() -> None:
    assert json.loads(compose_test("crm", datetime(2026, 5, 15, tzinfo=UTC))) == {
        "type": "channel.test",
        "timestamp": "2026-05-15T00:00:00Z",
        "data": {
            "channel": "crm",
            "text": "This is a test by `ebbwatch channels test`; nothing has happened.",
        },
    }
