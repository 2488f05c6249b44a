import math
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from schemas.alerts import Alert
from services import wording
from services.detector.explanation import explain, headline
from tests.unit.detector.packed import RULES, fired

DROP = {
    "window": {"from": "2026-04-17", "to": "2026-05-14", "days_used": 26},
    "observed": 6210.0,
    "expected": 8940.4,
    "ratio": 0.6946,
    "ratio_28": 0.6946,
    "ratio_interval90": [0.64, 0.75],
    "lasting": 4.1,
    "drift_sd": 0.0871,
    "smallest_detectable_drop": 0.2201,
    "since_estimate": "2026-04-18",
    "masked_days": [
        {"date": "2026-05-01", "reason": "Labour Day"},
        {"date": "2026-05-09", "reason": "closure"},
    ],
    "thresholds_in_force": {"ratio": 0.85, "evidence": 2.75, "evidence_asked": 2.8, "clear": 0.92},
}
STOP = {
    "window": {"from": "2026-05-08", "to": "2026-05-14", "days_used": 7},
    "observed": 0.0,
    "expected": 2235.1,
    "ratio": 0.0,
    "ratio_28": 0.75,
    "masked_days": [],
    "thresholds_in_force": {"ratio": 0.1, "probability": 0.999, "clear": 0.92},
}
SILENCE = {
    "window": {"from": "2026-04-16", "to": "2026-05-14", "days_used": 29},
    "days_silent": 29,
    "calendar_days_silent": 29,
    "limit": 28,
    "last_active": "2026-04-15",
    "active_days_of_56": 24,
    "active_days_of_last_14": 0,
    "masked_days": [],
    "thresholds_in_force": {"days": None},
}
RHYTHM = {
    "silent_too_long": True,
    "active_days": 60,
    "active_weeks": 8,
    "weeks": 26,
    "rhythm_known": True,
    "p_alive": None,
    "thresholds_in_force": {"days": None, "alive": 0.5},
}
PAYMENT = {
    "payment": "in-7",
    "failures": 2,
    "failed_at": ["2026-05-11T12:00:00+00:00", "2026-05-14T12:00:00+00:00"],
    "amount": 120000,
    "currency": "EUR",
    "method": "card 42",
    "next_retry_on": "2026-05-17",
    "thresholds_in_force": {"count": 2},
}
LEFT = {
    "person": "u17",
    "role": "champion",
    "left_on": "2026-05-14",
    "successor": None,
    "usage_days_of_28": 1,
    "usage_share": 0.034,
    "touch_share": 0.6,
    "renewal_on": "2026-08-01",
}
ADMINS: dict[str, Any] = {
    "admins": [],
    "removed": "u3",
    "changed_at": "2026-05-14T12:00:00+00:00",
    "renewal_on": None,
}
RENEWAL = {
    "renewal_on": "2026-08-01",
    "days_left": 79,
    "checklist": {"health": "not measured", "usage": "done", "stakeholder": "not confirmed"},
    "missing": ["stakeholder"],
    "last_two_way_touch": "2026-03-02",
    "thresholds_in_force": {"days": 90, "escalate": [60, 30]},
}
METHOD = {
    "method": "card 42",
    "expires_on": "2026-06-03",
    "days_left": 1,
    "replaced": False,
    "thresholds_in_force": {"days": 30, "escalate": [14, 3]},
}


@pytest.mark.parametrize(
    "kind, object_, because, line, text",
    [
        (
            "usage_drop",
            "api_calls",
            DROP,
            "usage (api_calls) fell 31 % in 28 days",
            "Usage (api_calls) was 6,210 in the 28 days to 14 May 2026; 8,940 would be usual for "
            "these weekdays (−31 %; 90 % range −36 % to −25 %). A lasting fall since about 18 "
            "April 2026 explains that about 60 times better than a dip of two weeks. 1 May 2026 "
            "(Labour Day) and 9 May 2026 (closure) were left out. Natural swings of this customer "
            "are about ±9 %; drops under 22 % would not be reported.",
        ),
        (
            "usage_drop",
            "@people",
            DROP | {"ratio": 0.97, "ratio_28": 0.97, "ratio_interval90": [None, None]},
            "active people are back near their usual level",
            "Active people, counted once a day, were 6,210 in the 28 days to 14 May 2026; 8,940 "
            "would be usual for these weekdays (−3 %). That is near the usual level again. "
            "1 May 2026 (Labour Day) and 9 May 2026 (closure) were left out. Natural swings of "
            "this customer are about ±9 %; drops under 22 % would not be reported.",
        ),
        (
            "usage_drop",
            "exports",
            DROP
            | {"observed": 0.0, "ratio": 0.0, "ratio_interval90": [0.0001, 0.0082]}
            | {"lasting": 7.0, "masked_days": [], "smallest_detectable_drop": None},
            "usage (exports) fell 100 % in 28 days",
            "Usage (exports) was 0 in the 28 days to 14 May 2026; 8,940 would be usual for these "
            "weekdays (−100 %; 90 % range −100 % to −99 %). A lasting fall since about 18 April "
            "2026 explains that over 1,000 times better than a dip of two weeks.",
        ),
        (
            "usage_drop",
            "usage",
            STOP,
            "usage stopped: nothing in 7 days, 2,235 would be usual",
            "Usage was 0 in the last 7 judged days, 8 to 14 May 2026; 2,235 would be usual for "
            "these weekdays. This customer's own ups and downs do not explain that (limit: 10 % "
            "of what is usual).",
        ),
        (
            "usage_drop",
            "usage",
            STOP | {"observed": 12.0, "ratio": 0.005369},
            "usage all but stopped: 12 in 7 days, 2,235 would be usual",
            "Usage was 12 in the last 7 judged days, 8 to 14 May 2026; 2,235 would be usual for "
            "these weekdays. This customer's own ups and downs do not explain that (limit: 10 % "
            "of what is usual).",
        ),
        (
            "silence",
            "activity",
            SILENCE,
            "no activity since 15 April 2026",
            "No activity since 15 April 2026; on 14 May 2026 that was 29 days. Until then this "
            "customer was active on 24 of 56 days; our limit for that rhythm is 28 days.",
        ),
        (
            "silence",
            "activity",
            SILENCE
            | {
                "calendar_days_silent": 30,
                "masked_days": [{"date": "2026-05-01", "reason": "Labour Day"}],
            },
            "no activity since 15 April 2026",
            "No activity since 15 April 2026; on 14 May 2026 that was 29 days (30 by the "
            "calendar). 1 May 2026 (Labour Day) was left out. Until then this customer was active "
            "on 24 of 56 days; our limit for that rhythm is 28 days.",
        ),
        (
            "silence",
            "activity",
            SILENCE | RHYTHM,
            "no activity since 15 April 2026",
            "No activity since 15 April 2026; on 14 May 2026 that was 29 days. Until then this "
            "customer was active on 24 of 56 days and in 8 of 26 weeks; our limit for that rhythm "
            "is 28 days.",
        ),
        (
            "silence",
            "activity",
            SILENCE | RHYTHM | {"rhythm_known": False, "active_days": 3},
            "no activity since 15 April 2026",
            "No activity since 15 April 2026; on 14 May 2026 that was 29 days. It was active on "
            "3 days only, too few to know its rhythm; our limit is 28 days.",
        ),
        (
            "silence",
            "activity",
            SILENCE | RHYTHM | {"limit": 150, "p_alive": 0.42},
            "no activity since 15 April 2026",
            "No activity since 15 April 2026; on 14 May 2026 that was 29 days. Until then this "
            "customer was active on 24 of 56 days and in 8 of 26 weeks; of customers like it 42 % "
            "come back after that.",
        ),
        (
            "silence",
            "activity",
            SILENCE | {"days_silent": 1, "active_days_of_last_14": 3, "last_active": "2026-05-13"},
            "activity is back",
            "Activity is back: 3 days of the last 14, most recently on 13 May 2026.",
        ),
        (
            "policy_silence",
            "activity",
            SILENCE
            | {"days_silent": 1, "calendar_days_silent": 1, "limit": 1}
            | {"thresholds_in_force": {"days": 1}},
            "no activity since 15 April 2026",
            "No activity since 15 April 2026; on 14 May 2026 that was 1 day. Your rule's "
            "limit is 1 day.",
        ),
        (
            "change",
            "in-7",
            PAYMENT,
            "payment in-7 failed twice",
            "Payment in-7 of EUR 1,200.00 by card 42 failed twice, most recently on 14 May 2026. "
            "The next try is on 17 May 2026. Your rule reports a payment that failed twice.",
        ),
        (
            "change",
            "in-7",
            PAYMENT | {"failures": 0, "failed_at": [], "method": None, "amount": None},
            "payment in-7 succeeded",
            "Payment in-7 succeeded after all.",
        ),
        (
            "change",
            "u17",
            LEFT,
            "contact u17 (champion) left",
            "Contact u17 (champion) left on 14 May 2026. No successor is known. In the 28 days "
            "before, u17 was active on 1 day, and carried 3 % of everybody's days of usage and "
            "60 % of everybody's days of contact with us. Renewal is on 1 August 2026.",
        ),
        (
            "change",
            "u17",
            LEFT | {"successor": "u18", "role": None, "usage_share": None, "touch_share": None},
            "contact u18 takes over from u17",
            "Contact u17 left on 14 May 2026. The role is with u18 now. Renewal is on 1 August "
            "2026.",
        ),
        (
            "change",
            "admins",
            ADMINS,
            "no administrator is left",
            "No administrator is left since 14 May 2026: u3 was the last one.",
        ),
        (
            "change",
            "admins",
            ADMINS | {"admins": ["u4", "u5"], "renewal_on": "2026-08-01"},
            "there is an administrator again",
            "u4 and u5 are administrators since 14 May 2026. Renewal is on 1 August 2026.",
        ),
        (
            "deadline",
            "2026-08-01",
            RENEWAL,
            "renewal on 1 August 2026, without a stakeholder's confirmation",
            "Renewal is on 1 August 2026. Of its checklist: health: not measured; usage: done; "
            "stakeholder: not confirmed. The last contact in both directions was on "
            "2 March 2026. Your rule reports it 90, 60 and 30 days before.",
        ),
        (
            "deadline",
            "2026-08-01",
            RENEWAL | {"days_left": 0, "missing": [], "last_two_way_touch": None},
            "renewal on 1 August 2026: all that is measured is done",
            "Renewal is on 1 August 2026. Of its checklist: health: not measured; usage: "
            "done; stakeholder: not confirmed. The last contact in both directions is not on "
            "record. Your rule reports it 90, 60 and 30 days before.",
        ),
        (
            "deadline",
            "card 42",
            METHOD,
            "payment method card 42 expires on 3 June 2026",
            "Payment method card 42 expires on 3 June 2026, and none that lasts longer "
            "is known. Your rule reports it 30, 14 and 3 days before.",
        ),
        (
            "deadline",
            "card 42",
            METHOD | {"replaced": True},
            "payment method card 42 is replaced",
            "Payment method card 42 expires on 3 June 2026, and another one lasts longer.",
        ),
        (
            "ticket_spike",
            "tickets",
            {"count": 12, "usual": 3.5, "window": {"from": "2026-05-08"}},
            "something changed (tickets)",
            "Something changed (tickets). count: 12; usual: 3.5.",
        ),
    ],
)
def test_evidence_is_told_in_words(
    kind: str, object_: str, because: dict[str, Any], line: str, text: str
) -> None:
    assert (headline(kind, object_, because), explain(kind, object_, because)) == (line, text)


def masked(*days: str, reason: str = "closure") -> dict[str, Any]:
    return STOP | {"masked_days": [{"date": f"2026-05-{day}", "reason": reason} for day in days]}


@pytest.mark.parametrize(
    "because, said",
    [
        (masked("01"), "1 May 2026 (closure) was left out."),
        (masked("01", "02", "03"), "1 to 3 May 2026 (closure) were left out."),
        (masked("01", "03"), "1 May 2026 (closure) and 3 May 2026 (closure) were left out."),
        (masked("01", "03", "05", "07", "09", "10"), "6 days (closure) were left out."),
        (STOP | {"masked_days": ["2026-05-01"]}, "1 May 2026 was left out."),
    ],
)
def test_days_that_did_not_count_are_named_as_shortly_as_it_is_clear(
    because: dict[str, Any], said: str
) -> None:
    assert explain("usage_drop", "usage", because).endswith(f"usual). {said}")


CONSTANTS = {"14", "28", "56", "90", "1,000"}
"""Lengths that the formulas fix, the share of the range that is told, and the most times better."""


@pytest.mark.parametrize("rule", RULES)
def test_every_number_in_a_text_stands_in_the_record(rule: str) -> None:
    for alert in fired(rule):
        told = set(numbers(alert.because["text"])) | set(numbers(alert.because["headline"]))
        assert told - CONSTANTS <= set(known(alert)), alert.because["text"]


def numbers(text: str) -> Iterator[str]:
    for found in re.findall(r"(?<![A-Za-z\d])\d[\d,]*(?:\.\d+)?", text):
        yield found.rstrip(",")


def known(alert: Alert) -> Iterator[str]:
    """Yield every number that the record lets a text say, as it would be written."""
    yield from numbers(alert.object)
    evidence = {key: one for key, one in alert.because.items() if key not in ("text", "headline")}
    yield str(len(evidence.get("masked_days", ())))
    yield from worked_out(evidence)
    for leaf in leaves(evidence):
        if isinstance(leaf, str):
            yield from numbers(leaf)
            if re.match(r"\d{4}-\d\d-\d\d", leaf):
                yield from numbers(wording.day(date.fromisoformat(leaf[:10])))
        elif isinstance(leaf, int | float):
            yield wording.quantity(abs(leaf))
            for share in (leaf, leaf - 1):
                yield from numbers(wording.percent(share))
            yield from numbers(wording.money(int(leaf), "EUR"))


def worked_out(evidence: dict[str, Any]) -> Iterator[str]:
    """Yield what a text says of two numbers of the record, or in another measure."""
    if (lead := evidence.get("lasting")) is not None and lead < 10:
        yield f"{float(f'{math.exp(lead):.2g}'):,.0f}"
    for key in ("once_in_weeks", "days_once_in_weeks"):
        if evidence.get(key) is not None:
            yield f"{float(f'{evidence[key]:.2g}'):,.0f}"
    if "first_level" in evidence:
        whole = max(week["expected"] for week in evidence["weeks"])
        for end in ("first_level", "last_level"):
            yield wording.quantity(evidence[end] * whole)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield value
