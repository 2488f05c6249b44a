"""The oracle itself, on cases that are worked out by hand: whoever checks must be checked."""

import ast
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from schemas.alerts import AccountNow, AlertRaised
from schemas.envelope import Origin
from schemas.events import (
    AccountUpdated,
    ClosureDeclared,
    ContactUpdated,
    PaymentSucceeded,
    TouchRecorded,
)
from tests.faults import oracle
from tests.faults.oracle import Unaccountable
from tests.unit.faults import stories as a
from tests.unit.faults.stories import (
    Log,
    alone,
    at,
    days,
    entry,
    failed,
    on,
    silent,
    told,
    usage,
)

ALERTS = UUID("3f0e6b1a-6a35-5a0c-9d0b-6c1f5d9a7e42")


def test_it_shares_no_code_with_what_it_judges() -> None:
    folder = Path(oracle.__file__).parent
    roots = {
        (one.module or "").split(".")[0] if isinstance(one, ast.ImportFrom) else name.name
        for path in folder.glob("*.py")
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.Import) or (isinstance(one, ast.ImportFrom) and not one.level)
        for name in one.names
    }
    ours = {root for root in roots if root not in sys.stdlib_module_names}
    assert ours == {"msgspec", "schemas"}
    assert "random" not in roots


def test_sums_are_exact() -> None:
    log = Log()
    for n in range(10):
        log.say(usage(1, quantity=0.1, id=f"e{n}"), now=at(1))
    # ten times 0.1 is 1, which no sum of floats gives
    assert days(alone(log)) == {on(1): 1}


def test_an_id_counts_once_by_each_way_and_an_origin_once_for_ever() -> None:
    log = Log().say(
        usage(1, id="x"),
        usage(1, id="x"),  # over HTTP again: repeated
        usage(1, id="x", origin=Origin("usage", 0, 5, 0)),  # by an input, which has ids of its own
        usage(1, id="x", origin=Origin("usage", 0, 6, 0)),  # a later record of the same id
        usage(1, id="y", origin=Origin("usage", 0, 6, 0)),  # an origin that is not newer
        usage(1, id="y", origin=Origin("usage", 1, 0, 0)),  # another partition of the input
        usage(1, id="x", source="other"),  # an id is unique within its source only
        now=at(1),
    )
    found = alone(log)
    # x over HTTP, x by the input, y by the input, x of the other source
    assert (days(found), found.counts["repeated"]) == ({on(1): 4}, 3)


def test_an_id_is_forgotten_once_five_full_generations_came_after_its_own() -> None:
    # A horizon of 10 ids makes generations of 2; five closed ones are kept beside the open one.
    log = Log()
    for n in range(12):
        log.say(usage(1, id=f"e{n}"), now=at(1))
    log.say(usage(1, id="e2"), now=at(1))  # generation 1 of 0..6: still kept
    log.say(usage(1, id="e0"), now=at(1))  # generation 0 went when the seventh began
    assert days(alone(log, horizon=10)) == {on(1): 13}


def test_a_day_is_the_accounts_own_from_the_day_after_it_moved() -> None:
    tokyo = AccountUpdated(timezone="Asia/Tokyo")
    log = Log().tick(1, 10).say(entry(tokyo, time=at(1, 11)), now=at(1, 11))
    # The 2nd of March in both zones: Tokyo's days begin with the 3rd, at 15:00 UTC of the 2nd.
    log.say(usage(1, 14), now=at(1, 15)).say(usage(1, 16), now=at(1, 16))
    assert days(alone(log)) == {on(1): 1, on(2): 1}


def test_what_lies_ahead_is_refused_and_what_is_forgotten_is_too_late() -> None:
    log = Log().rules(a.SILENCE).tick(1, 10)
    log.say(usage(1, 12 + 1 / 6), now=at(1))  # ten minutes ahead: taken
    log.say(usage(1, 12.2), now=at(1))  # twelve: refused
    # Sunday is judged; 2 days of silence, 56 of rhythm and 28 for corrections are kept: -85 to 0.
    log.say(usage(-85), now=at(1)).say(usage(-86), now=at(1))
    found = alone(log)
    assert days(found) == {on(-85): 1, on(1): 1}
    assert (found.refused, found.counts["too_late"]) == ({(0, 3, 0): "future"}, 1)


def test_two_days_without_usage_raise_one_alert_and_usage_ends_it() -> None:
    log = silent().say(usage(5, 9), now=at(5, 9))
    assert told(alone(log)) == [("raised", "silence", "activity", on(3))]
    # On Saturday at two Friday is over: active, and two active days of fourteen are enough.
    assert told(alone(log.tick(6))) == [
        ("raised", "silence", "activity", on(3)),
        ("recovered", "silence", "activity", on(5)),
    ]


def test_an_alert_holds_what_it_was_raised_by_number_for_number() -> None:
    day = a.FIRST + 3
    alert = AlertRaised(
        alert_id=str(uuid5(ALERTS, f"account:acme\0silence\0activity\0{day}\x000")),
        account="acme",
        rule="silence",
        rule_set=1,
        kind="policy_silence",
        object="activity",
        day=date(2026, 3, 4),
        fired_at=datetime(2026, 3, 5, 2, tzinfo=UTC),
        severity="medium",
        category="early_signals",
        churn_kind="voluntary",
        historic=False,
        # rules, tick, usage, and the ticks of Tuesday, Wednesday and Thursday
        account_now=AccountNow(stamp=5),
        because={
            "window": {"from": "2026-03-03", "to": "2026-03-04", "days_used": 2},
            "days_silent": 2,
            "calendar_days_silent": 2,
            "limit": 2,
            "last_active": "2026-03-02",
            "since_estimate": "2026-03-03",
            "active_days_of_56": 1,
            "active_days_of_last_14": 1,
            "q": 0.017857,  # 1 / 56
            "masked_days_count": True,
            "masked_days": [],
            "thresholds_in_force": {
                "days": 2,
                "pace": 20,
                "shortest": 5,
                "longest": 150,
                "active_days": 5,
                "unknown": None,
                "population": None,
                "alive": 0.5,
            },
            "metrics": ["api_calls"],
            "computed_from": {
                "from": "2025-12-09",  # 2 + 56 + 28 days, the 4th of March the last
                "known": 3,
                "active": 1,
                "counts": [0] * 83 + [1, 0, 0],
                # Until the 28th of February nothing was ever heard of the source.
                "masked": list(range(82)),
                "swings": [None] * 42,
            },
            "primitive": "silence",
            "history": {"last_alert": None, "false_alarm_votes": 0},
            "title": "Silent for two days",
            "play": "call",
        },
    )
    assert alone(silent()).alerts == {"acme": [alert]}


def test_a_day_on_which_the_source_was_silent_for_all_says_nothing() -> None:
    log = Log().rules(a.SILENCE).tick(1, 10).say(usage(1, 10), now=at(1, 10))
    log.tick(2).tick(3).tick(4, seen={})
    found = alone(log)
    assert (told(found), found.accounts["acme"]["states"]["api_calls"]) == ([], "no_data")


def test_late_data_take_an_alert_back() -> None:
    # Wednesday raised it; on Thursday what was done on Wednesday comes in.
    log = silent().say(usage(3, 9), now=at(5, 9)).tick(6)
    assert told(alone(log)) == [
        ("raised", "silence", "activity", on(3)),
        ("withdrawn", "silence", "activity", on(5)),
    ]


def test_a_closure_of_the_account_masks_its_days() -> None:
    closure = ClosureDeclared(from_=date(2026, 3, 4), to=date(2026, 3, 4))
    log = Log().rules(a.SILENCE).tick(1, 10).say(usage(1, 10), now=at(1, 10))
    log.say(entry(closure, time=at(1, 11)), now=at(1, 11)).tick(2).tick(3).tick(4)
    assert told(alone(log)) == []
    # Thursday is an ordinary day; every day counts for a policy, Wednesday too: three by then.
    found = alone(log.tick(5)).alerts["acme"][0]
    assert (found.because["days_silent"], found.because["masked_days"]) == (
        3,
        [{"date": "2026-03-04", "reason": "closure"}],
    )


def test_days_close_two_hours_after_their_end_on_days_of_23_hours_too() -> None:
    york = AccountUpdated(timezone="America/New_York")
    log = Log().rules(a.SILENCE).tick(1, 10).say(entry(york, time=at(1)), usage(1), now=at(1))
    # On the 8th of March, day 7, clocks go forward; it ends on the 9th at 4:00 UTC.
    log.tick(8, 5.99)
    assert alone(log).accounts["acme"]["judged"] == on(6)
    assert alone(log.tick(8, 6)).accounts["acme"]["judged"] == on(7)


def test_a_day_waits_six_hours_for_a_late_input_and_masks_what_it_feeds() -> None:
    inputs = {"crm": {"topic": "crm", "format": "cloudevents", "source": "/crm"}}
    log = Log().rules(a.SILENCE, inputs=inputs)
    log.tick(1, 10, complete={"crm/0": at(1, 10)}, seen={"app": [at(1, 10) // a.HOUR]})
    log.say(usage(1, 10, origin=Origin("crm", 0, 0, 0)), now=at(1, 10))
    for hour in range(11, 24):  # within ten minutes of each other or not: nothing is due yet
        log.tick(1, hour)
    log.tick(2, 2).tick(2, 7.9)
    # Due at two, five hours and 54 minutes ago; but since 2:00 nobody ticked for so long.
    assert alone(log).accounts["acme"]["judged"] == on(0)
    waited = Log()
    waited.messages = list(log.messages[:-1])
    for minute in range(2 * 60 + 10, 8 * 60, 10):
        waited.tick(2, minute / 60)
    assert alone(waited).accounts["acme"]["judged"] == on(0)
    found = alone(waited.tick(2, 8))
    assert found.accounts["acme"]["judged"] == on(1)
    assert found.accounts["acme"]["states"] == {"api_calls": "no_data"}
    # Had it passed midnight, Monday would have closed at two.
    early = Log()
    early.messages = list(log.messages[:-2])
    found = alone(early.tick(2, 2, complete={"crm/0": at(2, 0)}))
    assert found.accounts["acme"]["judged"] == on(1)
    assert found.accounts["acme"]["states"] == {"api_calls": "warming_up"}


def test_a_day_waits_for_an_input_of_which_no_tick_has_told() -> None:
    inputs = {"crm": {"topic": "crm", "format": "cloudevents", "source": "app"}}
    log = Log().rules(a.SILENCE, inputs=inputs).tick(1, 10).say(usage(1, 10), now=at(1, 10))
    for minute in range(10 * 60, 32 * 60, 10):
        log.tick(1, minute / 60)
    assert alone(log).accounts["acme"]["judged"] == on(0)
    # Monday was due at two, and is masked from ten on, when the input came into force.
    found = alone(log.tick(2, 8))
    assert found.accounts["acme"]["judged"] == on(1)
    assert found.accounts["acme"]["states"] == {"api_calls": "no_data"}


def test_the_second_failure_of_a_payment_alerts_and_its_success_ends_it() -> None:
    log = Log().rules(a.PAYMENT).tick(1, 10)
    log.say(failed(1, 9), failed(1, 9.5, "in_2"), now=at(1)).say(failed(1, 11), now=at(1))
    log.say(entry(PaymentSucceeded(payment="in_1"), time=at(1, 12)), now=at(1))
    found = alone(log)
    assert told(found) == [
        ("raised", "payment-failed", "in_1", on(1)),
        ("recovered", "payment-failed", "in_1", on(1)),
    ]
    assert found.alerts["acme"][0].because == {
        "payment": "in_1",
        "failures": 2,
        "failed_at": ["2026-03-02T09:00:00+00:00", "2026-03-02T11:00:00+00:00"],
        "amount": 900,
        "currency": "EUR",
        "method": None,
        "next_retry_on": None,
        "thresholds_in_force": {"count": 2},
        "primitive": "change",
        "history": {"last_alert": None, "false_alarm_votes": 0},
        "title": "A payment failed twice",
        "play": "fix-payment",
    }
    assert found.alerts["acme"][0].fired_at == datetime(2026, 3, 2, 11, tzinfo=UTC)


def test_failures_of_the_past_alert_nobody() -> None:
    log = Log().rules(a.PAYMENT).tick(4, 10)
    log.say(failed(1), failed(2, 9), now=at(4, 10))  # 49 hours ago
    assert told(alone(log)) == []


def test_a_champion_who_leaves_is_told_of_with_what_they_carried() -> None:
    log = Log().rules(a.LEFT).tick(2, 10)
    log.say(usage(1, 9, person="u1"), usage(1, 10, person="u2"), now=at(2))
    log.say(usage(2, 9, person="u1"), now=at(2))
    role = ContactUpdated(person="u1", role="champion")
    gone = ContactUpdated(person="u1", status="left")
    after = ContactUpdated(person="u3", role="champion")
    touch = TouchRecorded(person="u1", colleague="ana", two_way=True)
    log.say(entry(role, time=at(1)), entry(touch, time=at(1, 13)), now=at(2))
    log.say(entry(gone, time=at(2)), now=at(2)).say(entry(after, time=at(2, 13)), now=at(2, 13))
    found = alone(log)
    assert told(found) == [
        ("raised", "champion-left", "u1", on(2)),
        ("recovered", "champion-left", "u1", on(2)),
    ]
    because = found.alerts["acme"][0].because
    # Two of the three days on which anybody was active, and the only touch.
    assert (because["usage_days_of_28"], because["usage_share"], because["touch_share"]) == (
        2,
        0.667,
        1.0,
    )
    assert found.alerts["acme"][1].because["successor"] == "u3"


def test_a_rule_that_it_does_not_know_is_not_passed_over() -> None:
    drop = a.SILENCE | {"id": "fell", "primitive": "drop", "params": {}}
    with pytest.raises(Unaccountable, match="'fell' of primitive 'drop'"):
        alone(Log().rules(drop))
    assert alone(Log().rules(drop | {"off": True})).stamps == {0: 0}
