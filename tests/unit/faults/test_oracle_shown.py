"""What the oracle says of summaries, stored cases and addressees: by hand, then spoilt."""

from collections.abc import Mapping
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.accounts import AccountSummary
from schemas.alerts import AccountNow
from schemas.cases import (
    CaseAcknowledged,
    CaseAssigned,
    CaseResolved,
    LogRecord,
    NoticeIntended,
    Target,
)
from schemas.events import AccountErased, AccountUpdated, FeedbackGiven
from tests.faults.oracle import (
    Desk,
    Owned,
    Recounted,
    Routing,
    addressees,
    desk_differences,
    glance_differences,
    kept_differences,
    recount,
)
from tests.faults.oracle.glances import PROFILE
from tests.faults.oracle.kept import plain
from tests.unit.faults import company_log
from tests.unit.faults.company_log import Record
from tests.unit.faults.stories import Log, alone, at, entry, silent, system, usage
from tests.unit.faults.test_desk import HOOK, act, alert, arrived, body, cleared, desk, notice

PEOPLE = Routing(people=frozenset({"ana", "kim"}), signal_manager="kim")


def profile(day: float, hour: float, **told: Any) -> Any:
    return entry(AccountUpdated(**told), time=at(day, hour))


def summary(**told: Any) -> AccountSummary:
    return replace(AccountSummary(account="acme", stamp=1), **told)


def said(found: Recounted, *written: AccountSummary | None) -> list[str]:
    """Compare with records of one account, the newest last; None deletes."""
    log = [
        Record(n, 0, None if one is None else msgspec.json.encode(one), b"acme")
        for n, one in enumerate(written)
    ]
    return glance_differences(found.glances, found.stamps, {0: log})


def told() -> Recounted:
    """Monday: owned by ana from 9 on; an older word that it was kim comes after it."""
    log = Log().rules().say(profile(1, 9, owner="ana", name="Acme", arr=900), now=at(1, 9))
    log.say(profile(1, 8, owner="kim", country="PT"), now=at(1, 10))
    return alone(log.say(usage(1, 11.5), now=at(1, 12)))


RIGHT = summary(
    name="Acme",
    owner="ana",
    arr=900,
    country="PT",
    last_event_at=datetime(2026, 3, 2, 11, tzinfo=UTC),
)


def test_the_newest_summary_says_what_the_log_does() -> None:
    assert said(told(), replace(RIGHT, owner="kim"), RIGHT) == []


@pytest.mark.parametrize(
    "wrong, difference",
    [
        ({"owner": "kim"}, "the summary of acme says owner 'kim', the log 'ana'"),
        ({"owner": None}, "the summary of acme says owner None, the log 'ana'"),
        ({"name": "Other"}, "the summary of acme says name 'Other', the log 'Acme'"),
        ({"arr": 800}, "the summary of acme says arr 800, the log 900"),
        ({"open_alerts": 1}, "the summary of acme says open_alerts 1, the log 0"),
        ({"quarantined": True}, "the summary of acme says quarantined True, the log False"),
        ({"states": {"x": "no_data"}}, "the summary of acme says states {'x': ''}, the log {}"),
        ({"stamp": 9}, "the summary of acme is of 9, its log ends with 3"),
        ({"account": "beta"}, "partition 0 has a summary of beta under acme"),
    ],
)
def test_a_wrong_summary_is_told(wrong: Mapping[str, Any], difference: str) -> None:
    assert said(told(), RIGHT, replace(RIGHT, **wrong)) == [difference]


def test_a_summary_that_is_lost_deleted_made_up_or_garbled_is_told() -> None:
    assert said(told()) == said(told(), RIGHT, None) == ["account acme has no summary"]
    assert said(alone(Log().rules()), summary(stamp=0)) == [
        "there is a summary of acme, which is not in the log"
    ]
    garbled = {0: [Record(0, 0, b"{", b"acme")]}
    (first, second) = glance_differences(told().glances, told().stamps, garbled)
    assert (first[:29], second) == ("the summary of acme is none: ", "account acme has no summary")


def test_months_of_the_daily_series_are_no_summaries() -> None:
    month = Record(0, 0, b"{}", b"acme/days/2026-03")
    assert glance_differences({}, {0: 3}, {0: [month]}) == []


def test_a_summary_tells_of_open_alerts_and_of_what_statistics_do_not_decide() -> None:
    found = alone(silent())
    states = found.glances["acme"]["states"]
    assert (states, found.glances["acme"]["open_alerts"]) == ({"api_calls": "warming_up"}, 1)
    right = summary(
        last_event_at=datetime(2026, 3, 2, 10, tzinfo=UTC), states=states, open_alerts=1
    )
    assert said(found, right) == []
    assert said(found, replace(right, open_alerts=0)) == [
        "the summary of acme says open_alerts 0, the log 1"
    ]
    glance = {**found.glances["acme"], "states": {"api_calls": ""}}
    unknown = changed(found, glances={"acme": glance})
    assert said(unknown, replace(right, states={"api_calls": "ok"})) == []
    assert said(unknown, replace(right, states={})) != []


def test_what_our_own_people_say_is_no_sign_of_the_customer() -> None:
    vote = FeedbackGiven(alert="a1", verdict="useful", author="ana", rule="silence")
    log = Log().rules().say(usage(1, 9), now=at(1, 9))
    log.say(system(vote, "account:acme", time=at(1, 15)), now=at(1, 15))
    heard = alone(log).glances["acme"]["last_event_at"]
    assert heard == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_owners_are_known_from_the_message_on_that_names_them() -> None:
    log = Log().rules().say(profile(1, 9, owner="ana"), now=at(1, 9))
    log.say(profile(1, 8, owner="kim"), now=at(1, 10))  # older: not taken over
    log.say(profile(2, 8, owner="kim"), profile(2, 9, name="Acme"), now=at(2, 10))
    log.say(system(AccountErased(), "account:acme", time=at(3)), now=at(3))
    # Of a message what it says last counts, as nothing is shown of what is between.
    log.say(profile(4, 8, owner="ana"), profile(4, 9, owner=None, name="Acme"), now=at(4, 9))
    assert alone(log).owners == {
        "acme": [Owned(1, at(1, 9), "ana"), Owned(3, at(2, 10), "kim"), Owned(4, at(3), None)]
    }
    assert alone(log).glances["acme"]["owner"] is None


@pytest.fixture(scope="module")
def sim() -> company_log.Sim:
    """A company in which accounts changed hands, were merged and erased, under crashes."""
    return company_log.play(62, steps=30)


def test_summaries_of_a_company_folded_with_crashes_are_what_its_log_says(
    sim: company_log.Sim,
) -> None:
    found = recount(sim.logs())
    assert glance_differences(found.glances, found.stamps, sim.summaries()) == []
    # Somebody has changed hands.
    assert max(map(len, found.owners.values())) > 1


def test_any_lost_record_of_accounts_that_was_the_newest_is_missed(sim: company_log.Sim) -> None:
    found = recount(sim.logs())
    for number, log in sim.summaries().items():
        newest = {one.key: n for n, one in enumerate(log) if b"/days/" not in one.key}
        for n in newest.values():
            spoilt = {**sim.summaries(), number: [*log[:n], *log[n + 1 :]]}
            differs = glance_differences(found.glances, found.stamps, spoilt)
            assert differs or _same_but_for_the_stamp(log[:n], log[n])


def _same_but_for_the_stamp(before: list[Record], lost: Record) -> bool:
    """Tell whether what was before says the same as far as it is recounted."""
    older = next((one for one in reversed(before) if one.key == lost.key), None)
    if lost.value is None:
        return older is None or older.value is None
    if older is None or older.value is None:
        return False
    one, other = (
        msgspec.json.decode(raw, type=AccountSummary) for raw in (older.value, lost.value)
    )
    return all(getattr(one, name) == getattr(other, name) for name in RECOUNTED)


RECOUNTED = (*PROFILE, "last_event_at", "states", "open_alerts", "quarantined")


def owned(*spans: tuple[int, float, str | None]) -> dict[str, list[Owned]]:
    """Return who owns acme: from which offset of events on, appended at which hour of the third."""
    return {"acme": [Owned(offset, at(3, hour), owner) for offset, hour, owner in spans]}


def meant(person: str | None, why: Any) -> LogRecord:
    """Return the intent of the first notice."""
    targets = [Target(channel="hook", person=person, why=why)]
    return NoticeIntended(id=notice(0, "opened"), case="acme", at=alert().fired_at, targets=targets)


def of(owner: str | None, stamp: int = 5) -> Any:
    return alert(account_now=AccountNow(stamp=stamp, owner=owner))


def wrong(found: Desk, owners: Mapping[str, list[Owned]]) -> list[str]:
    return list(addressees(found, owners, PEOPLE))


def test_a_notice_goes_to_the_owner_whom_its_alert_names() -> None:
    owners = owned((2, 0, "ana"))
    assert wrong(desk(of("ana"), meant("ana", "owner")), owners) == []
    assert wrong(desk(of("ana"), meant("kim", "owner")), owners) == [
        f"notice {notice(0, 'opened')} of acme by hook is for ('kim', 'owner'), "
        "not ('ana', 'owner')"
    ]
    assert len(wrong(desk(of("ana"), meant("kim", "signal_manager")), owners)) == 1
    assert len(wrong(desk(of("ana"), meant(None, "nobody")), owners)) == 1


def test_a_notice_goes_to_a_newer_owner_if_there_was_one_by_then() -> None:
    alert_of_ana = of("ana")  # at offset 5
    told = desk(alert_of_ana, meant("kim", "owner"))  # intended a minute past midnight
    assert wrong(told, owned((2, 0, "ana"), (6, 0, "kim"))) == []
    # A summary of the same message is written after the alert: who owns it then is known, too.
    assert wrong(told, owned((2, 0, "ana"), (5, 0, "kim"))) == []
    # Of an owner before the alert, and of one who came after the intent, it cannot have known.
    assert len(wrong(told, owned((2, 0, "kim"), (4, 0, "ana")))) == 1
    assert len(wrong(told, owned((2, 0, "ana"), (6, 1, "kim")))) == 1


def test_without_an_owner_whom_the_company_knows_the_signal_manager_is_told() -> None:
    for owner in (None, "left"):
        owners = owned((2, 0, owner))
        assert wrong(desk(of(owner), meant("kim", "signal_manager")), owners) == []
        assert len(wrong(desk(of(owner), meant(None, "nobody")), owners)) == 1
    assert len(wrong(desk(of("left"), meant("left", "owner")), {})) == 1
    nobody = Routing(people=frozenset({"ana"}), signal_manager="kim")
    assert list(addressees(desk(of(None), meant(None, "nobody")), {}, nobody)) == []


def test_whoever_works_on_the_case_goes_first() -> None:
    assigned = act(CaseAssigned, "1", to="kim")
    assert wrong(desk(of("ana"), assigned, meant("kim", "assignee")), {}) == []
    # The desk may have decided before it read that.
    assert wrong(desk(of("ana"), assigned, meant("ana", "owner")), {}) == []
    assert len(wrong(desk(of("ana"), meant("kim", "assignee"), assigned), {})) == 1
    before = desk(alert("a0"), assigned, of("ana"))
    assert before.cases["acme"].assigned == [(2, "kim")]


def test_of_two_alerts_the_one_that_was_folded_later_names_the_owner() -> None:
    older = alert("a2", account_now=AccountNow(stamp=3, owner="kim"))
    assert len(wrong(desk(of("ana"), older, meant("kim", "owner")), {})) == 1
    newer = alert("a2", account_now=AccountNow(stamp=6, owner="kim"))
    assert wrong(desk(of("ana"), newer, meant("kim", "owner")), {}) == []


def test_a_webhook_is_addressed_to_whom_its_notice_was_meant_for() -> None:
    # `body` is addressed to ana.
    right = desk(alert(), meant("ana", "owner"))
    assert desk_differences(right, None, [arrived(body())], HOOK)[1:] == []
    other = desk(alert(), meant("kim", "owner"))
    found = desk_differences(other, None, [arrived(body())], HOOK)
    assert found[1:] == [f"{arrived(b'').id} is addressed to ana, its notice to ['kim']"]


def test_stored_cases_are_compared_when_they_are_resolved_too() -> None:
    found = desk(alert(), act(CaseResolved, "1", outcome="saved"), cleared())
    right = {
        "state": "resolved",
        "version": 2,
        "generation": 1,
        "severity": "medium",
        "assignee": None,
        "outcome": "saved",
        "until": None,
        "alerts": [],
    }
    assert plain(found.cases["acme"]) == right
    assert kept_differences(found, {"acme": right}) == []
    assert kept_differences(found, {"acme": right | {"outcome": "churned"}}) == [
        "stored case acme: outcome is 'churned', the log says 'saved'"
    ]
    assert kept_differences(found, {"acme": right | {"state": "open", "alerts": ["a1"]}}) == [
        "stored case acme: state is 'open', the log says 'resolved'",
        "stored case acme: alerts is ['a1'], the log says []",
    ]
    assert kept_differences(found, {}) == ["the case of acme is not stored"]
    assert kept_differences(Desk(), {"acme": right}) == ["a case of acme is stored, of nobody"]


def test_a_case_in_shadow_may_be_stored_or_not() -> None:
    found = desk(alert(shadow=True), act(CaseAcknowledged, "1"))
    assert found.cases["acme"].generation == 0
    assert kept_differences(found, {}) == []
    assert kept_differences(found, {"acme": {"generation": 0}}) == []


def test_an_intent_that_came_again_counts_where_it_came_first() -> None:
    found = desk(of("ana"), meant("ana", "owner"), meant("kim", "owner"))
    # `desk` appends a record a minute, each at an even offset.
    assert found.notices[notice(0, "opened")].intended == (2, at(3, 1 / 60))
    assert wrong(found, {}) == []
