"""From findings to alerts: each told once, only changes written, a rule that raises contained."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from schemas.alerts import Alert, AlertRaised
from schemas.envelope import Entry
from services.company import shipped
from services.detector.cases import Case
from services.detector.partition import Partition
from services.detector.primitives import silence
from services.detector.primitives.change import Change
from services.detector.primitives.deadline import Deadline
from services.detector.primitives.finding import Finding
from services.detector.primitives.silence import Silence
from services.detector.rehearsal import play
from tests import builders as a
from tests import playing

BEGIN = (a.rules(a.silent(3)), a.tick(1, 3))
RAISED = ("acme", "silent", "activity", "raised", 4)


def days(first: int, last: int) -> list[Entry]:
    """A tick after each day, on which the app was seen."""
    return [a.tick(day + 1, 3, seen={"app": [day]}) for day in range(first, last + 1)]


def raised_ids(alerts: Sequence[Alert]) -> list[str]:
    return [one.alert_id for one in alerts if isinstance(one, AlertRaised)]


def test_who_is_in_shadow_keeps_nobody_quiet() -> None:
    story = {"days": "1..138", "each": 50.0}
    case = Case.model_validate(
        {"story": "it stops", "usage": [story], "until": 190, "expect": "nothing"}
    )
    told = {}
    for shadow in (False, True):
        rules = [
            one | {"shadow": shadow} if one["id"] == "usage-stopped" else one
            for one in shipped().content.rules
        ]
        content = msgspec.structs.replace(shipped().content, rules=rules)
        told[shadow] = raised_ids(play(content, "usage-drop", case))
    assert (len(told[False]), len(told[True])) == (0, 1)


def test_an_alert_id_is_given_once_though_the_episode_was_closed_days_ago() -> None:
    """The last administrator goes on day 1, and again: an event of day 1 that comes on day 2."""
    log = playing.Log().each(
        a.rules(a.no_admin()),
        a.tick(1, 2),
        *(a.granted("x", hour=3), a.revoked("x", hour=12), a.granted("b", hour=13)),
        a.tick(2, 3),
        *(a.granted("c", day=2, hour=4), a.revoked("c", day=2, hour=5), a.left("b", hour=14)),
    )
    alerts = playing.play(log).cut().alerts
    first, second = raised_ids(alerts)
    assert first != second
    assert [what for *_, what, _ in playing.told(alerts)] == ["raised", "recovered", "raised"]


def test_losing_the_last_administrator_twice_a_day_is_told_twice() -> None:
    log = playing.Log().each(
        a.rules(a.no_admin()),
        a.tick(1, 2),
        *(a.granted("x", hour=3), a.revoked("x", hour=4)),
        *(a.granted("x", hour=5), a.revoked("x", hour=6)),
        *days(1, 6),
    )
    partition = playing.play(log)
    alerts = partition.cut().alerts
    assert [one[2:] for one in playing.told(alerts)] == [
        ("admins", "raised", 1),
        ("admins", "recovered", 1),
        ("admins", "raised", 1),
    ]
    assert len(set(raised_ids(alerts))) == 2
    assert [one.open for one in partition.accounts["account:acme"].episodes.values()] == [True]


def test_a_state_that_lasts_does_not_end_by_itself() -> None:
    begin = (a.rules(a.unpaid(1)), a.tick(1, 3), a.payment_failed(hour=4))
    partition = playing.play(
        playing.Log().each(*begin, a.tick(120, 3), a.payment_failed(day=120, hour=4))
    )
    assert playing.told(partition.cut().alerts) == [("acme", "unpaid", "p1", "raised", 1)]


def test_an_open_alert_that_stays_as_it_is_writes_nothing() -> None:
    log = playing.Log().each(*BEGIN, a.usage(day=1), *days(1, 8))
    partition = playing.play(log.messages[:-3])
    assert playing.told(partition.cut().alerts) == [RAISED]
    playing.play(log.messages[-3:], partition)
    assert (partition.dirty, partition.cut().alerts) == (0, [])


def _broken_for(who: str, judge: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive that raises for accounts with 13 units in sight, or of a person's name."""

    def judged(subject: Any, *rest: Any) -> Any:
        if hasattr(subject, "counts"):
            if (subject.counts == 13).any():
                raise ZeroDivisionError("thirteen")
        elif subject.profile.name == who:
            raise ZeroDivisionError("thirteen")
        return judge(subject, *rest)

    return judged


@pytest.mark.parametrize("together", [True, False])
def test_a_rule_that_raises_is_off_for_that_account_only(
    together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Silence, "judge", staticmethod(_broken_for("acme", Silence.judge)))
    log = playing.Log().each(
        *BEGIN, a.usage(13, day=1), a.usage(day=1, account="beta"), *days(1, 5)
    )
    partition = playing.apply(Partition.begin(0, 1), log)
    while partition.judge(250 if together else 1):
        pass
    assert playing.told(partition.cut().alerts) == [("beta", "silent", "activity", "raised", 4)]
    # told once: later days do not ask again
    assert partition.failures == [("acme", "silent", "ZeroDivisionError: thirteen")]
    assert partition.accounts["account:acme"].off == {"silent": 1}
    monkeypatch.undo()
    log.each(a.rules(a.silent(3), n=2), *days(6, 6))
    playing.apply(partition, log.messages[-2:])
    playing.settle(partition)
    assert playing.told(partition.cut().alerts) == [("acme", "silent", "activity", "raised", 6)]


def test_a_rule_over_dates_that_raises_is_off_for_that_account_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Deadline, "judge", staticmethod(_broken_for("Acme", Deadline.judge)))
    renewal = a.rule("deadline", "renewal", params={"what": "renewal_checklist", "days": 90})
    data = {"renewal_on": a.on(30)}
    story = (a.profile(data | {"name": "Acme"}), a.profile(data, account="beta"), *days(1, 2))
    partition = playing.play(playing.Log().each(a.rules(renewal), a.tick(1, 3), *story))
    assert playing.told(partition.cut().alerts) == [("beta", "renewal", "2026-02-03", "raised", 1)]
    assert partition.failures == [("acme", "renewal", "ZeroDivisionError: thirteen")]


def _thirteen(*_: Any) -> Any:
    raise ZeroDivisionError("thirteen")


def test_evidence_that_raises_switches_its_rule_off_and_leaves_no_alert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(silence, "_because", _thirteen)
    log = playing.Log().each(*BEGIN, a.usage(day=1), *days(1, 5))
    partition = playing.play(log)
    account = partition.accounts["account:acme"]
    assert partition.failures == [("acme", "silent", "ZeroDivisionError: thirteen")]
    assert (partition.cut().alerts, account.off, account.episodes) == ([], {"silent": 1}, {})


def test_evidence_of_an_event_that_raises_switches_its_rule_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Change, "judge", staticmethod(_findings_with_bad_severity))
    log = playing.Log().each(a.rules(a.unpaid(1)), a.tick(1, 3), a.payment_failed(hour=4))
    partition = playing.play(log)
    (failure,) = partition.failures
    assert failure[:2] == ("acme", "unpaid")
    account = partition.accounts["account:acme"]
    assert (partition.cut().alerts, account.off, account.episodes) == ([], {"unpaid": 1}, {})


def _findings_with_bad_severity(*_: Any) -> list[Finding]:
    return [Finding("p1", True, False, "no such severity", {})]  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_machine_at_its_end_is_no_fault_of_a_rule(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(silence, "_because", exhausted)
    with pytest.raises(error):
        playing.play(playing.Log().each(*BEGIN, a.usage(day=1), *days(1, 5)))
