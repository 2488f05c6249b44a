from typing import Any

import pytest
from pydantic import ValidationError

from schemas.envelope import Entry
from services.detector import facts
from services.detector.facts import Facts
from services.detector.primitives.deadline import Deadline, DeadlineParams
from services.detector.primitives.finding import Finding
from tests import builders as a

OK = {"usage": "ok"}


def judged(
    *entries: Entry, day: int, what: Any = "renewal_checklist", states: dict[str, str] = OK
) -> list[Finding]:
    account = Facts()
    for one in entries:
        facts.fold(account, one, a.moment(one, account.buckets))
    return list(Deadline.judge(account, a.START + day, states, DeadlineParams(what=what)))


RENEWAL = a.profile({"renewal_on": a.on(200)})


@pytest.mark.parametrize(
    "day, found",
    [
        (109, []),
        (110, [("2026-07-23", "medium")]),
        (139, [("2026-07-23", "medium")]),
        (140, [("2026-07-23", "high")]),
        (169, [("2026-07-23", "high")]),
        (170, [("2026-07-23", "critical")]),
        (200, [("2026-07-23", "critical")]),
        (201, []),
    ],
)
def test_a_renewal_is_judged_from_ninety_days_before_and_escalates(
    day: int, found: list[tuple[str, str]]
) -> None:
    assert [(one.object, one.severity) for one in judged(RENEWAL, day=day)] == found


@pytest.mark.parametrize(
    "entries, states, missing",
    [
        ([], OK, ["stakeholder"]),
        ([a.touch(day=120)], OK, []),
        ([a.touch(day=60)], OK, []),
        # 61 days before day 120
        ([a.touch(day=59)], OK, ["stakeholder"]),
        ([a.touch(day=120, two_way=False)], OK, ["stakeholder"]),
        ([a.touch(day=120)], {}, ["usage"]),
        ([a.touch(day=120)], {"usage": "warming_up"}, ["usage"]),
        ([a.touch(day=120)], {"usage": "warming_up", "logins": "ok"}, []),
        ([], {}, ["usage", "stakeholder"]),
    ],
)
def test_a_renewal_fires_as_long_as_something_is_missing(
    entries: list[Entry], states: dict[str, str], missing: list[str]
) -> None:
    (found,) = judged(RENEWAL, *entries, day=120, states=states)
    assert found.because["missing"] == missing
    assert (found.fires, found.clears) == (bool(missing), not missing)


def test_an_account_without_a_renewal_is_never_judged() -> None:
    assert judged(a.touch(day=120), day=120) == []


@pytest.mark.parametrize(
    "methods, found",
    [
        ([("card", 210)], []),  # 91 days after day 119
        ([("card", 209)], [("card", True)]),
        ([("card", None)], []),
        ([("card", 118)], []),
        # a newer one replaces the older
        ([("card", 130), ("iban", 131)], [("card", False), ("iban", True)]),
        ([("card", 130), ("iban", None)], [("card", True)]),
    ],
)
def test_a_payment_method_expires_unless_another_lasts_longer(
    methods: list[tuple[str, int | None]], found: list[tuple[str, bool]]
) -> None:
    entries = [a.payment_method(name, expires) for name, expires in methods]
    told = judged(*entries, day=119, what="payment_method")
    assert [(one.object, one.fires) for one in told] == found
    assert [one.clears for one in told] == [not one.fires for one in told]


@pytest.mark.parametrize(
    "params, said",
    [
        ({"days": 0}, "greater than or equal to 1"),
        ({"days": 366}, "less than or equal to 365"),
        ({"escalate": (30, 60)}, "falling order, each 0..365"),
        ({"escalate": (366, 60)}, "falling order, each 0..365"),
        ({"escalate": (60, -1)}, "falling order, each 0..365"),
        ({"what": "birthday"}, "renewal_checklist"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_bound(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DeadlineParams(**{"what": "payment_method"} | params)
