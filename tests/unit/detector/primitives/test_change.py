from typing import Any

import pytest

from schemas.envelope import Entry
from services.detector import facts
from services.detector.facts import Facts
from services.detector.primitives.change import Change, ChangeParams
from services.detector.primitives.finding import Finding
from tests import builders as a


def judged(what: Any, *entries: Entry, **params: int) -> list[tuple[str, bool, bool]]:
    """Fold a story and judge after its last entry: (object, fires, clears)."""
    return [(one.object, one.fires, one.clears) for one in findings(what, *entries, **params)]


def findings(what: Any, *entries: Entry, **params: int) -> list[Finding]:
    account = Facts()
    for one in entries:
        facts.fold(account, one, a.moment(one, account.buckets))
    chosen = ChangeParams(what=what, **params)
    assert type(entries[-1].event) in Change.wakes(chosen)
    return list(Change.judge(account, entries[-1], entries[-1].time // a.DAY_US, chosen))


@pytest.mark.parametrize(
    "entries, found",
    [
        # one of two failures
        ([a.payment_failed(day=1)], [("p1", False, False)]),
        ([a.payment_failed(day=1), a.payment_failed(day=2)], [("p1", True, False)]),
        # of two payments
        ([a.payment_failed(day=1), a.payment_failed("p2", day=2)], [("p2", False, False)]),
        # paid in between: one failure since
        (
            [a.payment_failed(day=1), a.payment_succeeded(day=2), a.payment_failed(day=3)],
            [("p1", False, False)],
        ),
        # paid: over
        (
            [a.payment_failed(day=1), a.payment_failed(day=2), a.payment_succeeded(day=3)],
            [("p1", False, True)],
        ),
        # news of an older success change nothing
        (
            [a.payment_failed(day=2), a.payment_failed(day=3), a.payment_succeeded(day=1)],
            [("p1", True, False)],
        ),
    ],
)
def test_a_payment_failed_too_often_since_it_last_succeeded(
    entries: list[Entry], found: list[tuple[str, bool, bool]]
) -> None:
    assert judged("payment_failed", *entries, count=2) == found


@pytest.mark.parametrize(
    "entries, found",
    [
        ([a.left("u1", day=5)], [("u1", True, False)]),
        ([a.contact("u1", {"status": "away"}, day=5)], [("u1", False, True)]),
        # back again
        (
            [a.left("u1", day=5), a.contact("u1", {"status": "active"}, day=6)],
            [("u1", False, True)],
        ),
        # a successor in the same role, named later
        (
            [
                a.contact("u1", {"role": "champion"}, day=1),
                a.left("u1", day=5),
                a.contact("u2", {"role": "champion", "status": "active"}, day=6),
            ],
            [("u1", False, True), ("u2", False, True)],
        ),
        # somebody who had the role before is no successor
        (
            [
                a.contact("u1", {"role": "champion"}, day=1),
                a.contact("u2", {"role": "champion"}, day=1),
                a.left("u1", day=5),
            ],
            [("u1", True, False)],
        ),
        # nor is somebody in another role
        (
            [a.left("u1", day=5), a.contact("u2", {"role": "sponsor"}, day=6)],
            [("u2", False, True)],
        ),
    ],
)
def test_a_contact_left_until_somebody_takes_the_role_over(
    entries: list[Entry], found: list[tuple[str, bool, bool]]
) -> None:
    assert judged("contact_left", *entries) == found


@pytest.mark.parametrize(
    "entries, found",
    [
        ([a.granted("u1", day=1)], [("admins", False, True)]),
        ([a.granted("u1", day=1), a.revoked("u1", day=2)], [("admins", True, False)]),
        ([a.granted("u1", day=1), a.left("u1", day=2)], [("admins", True, False)]),
        (
            [a.granted("u1", day=1), a.granted("u2", day=1), a.revoked("u1", day=2)],
            [("admins", False, True)],
        ),
        # nobody ever was one
        ([a.left("u1", day=2)], [("admins", False, False)]),
    ],
)
def test_the_last_administrator_was_removed(
    entries: list[Entry], found: list[tuple[str, bool, bool]]
) -> None:
    assert judged("last_admin_removed", *entries) == found


def test_the_evidence_of_a_departure_says_how_much_hung_on_the_person() -> None:
    (found,) = findings(
        "contact_left",
        a.profile({"renewal_on": a.on(40)}, day=1),
        a.contact("u1", {"role": "champion"}, day=1),
        *(a.usage(person="u1", day=day) for day in (1, 11, 12, 13)),
        a.usage(person="u2", day=13),
        a.touch("u1", day=20),
        a.touch("u2", day=20),
        a.left("u1", day=30),
    )
    assert found == Finding(
        "u1",
        True,
        False,
        "high",
        {
            "person": "u1",
            "role": "champion",
            "status": "left",
            "left_on": "2026-02-03",
            "successor": None,
            # days 3 to 30: 11, 12, 13; four of both
            "usage_days_of_28": 3,
            "usage_share": 0.75,
            "touch_share": 0.5,
            "renewal_on": "2026-02-13",
            "thresholds_in_force": {"renewal_days": 180},
        },
    )


@pytest.mark.parametrize(
    "renewal, severity",
    [(None, "medium"), (1, "medium"), (2, "high"), (12, "high"), (13, "medium")],
)
def test_a_change_is_urgent_shortly_before_the_renewal(renewal: int | None, severity: str) -> None:
    told = [] if renewal is None else [a.profile({"renewal_on": a.on(renewal)})]
    (found,) = findings("contact_left", *told, a.left("u1", day=2), renewal_days=10)
    assert found.severity == severity
