"""What an alert says of the alerts before it, and of what people thought of those."""

from typing import Any

from schemas.alerts import Alert
from schemas.envelope import Entry, Origin
from schemas.events import FeedbackGiven
from services.detector.former import DAYS_LIMIT, RULE_LIMIT, note
from services.detector.partition import Partition
from services.detector.subject import Account
from tests import builders as a
from tests import playing

BEGIN = (a.rules(a.silent(3, cooldown_days=1)), a.tick(1, 3), a.usage(day=1))


def vote(alert: str = "some", *, day: int, offset: int = 1, **where: Any) -> Entry:
    """A person calls an alert of `silent` false, as the alerts service forwards it."""
    event = FeedbackGiven(alert=alert, verdict="false_alarm", author="ana", rule="silent")
    return a.entry(event, day=day, hour=20, origin=Origin("alerts.v1", 0, offset, 0), **where)


def days(first: int, last: int) -> list[Entry]:
    return [a.tick(day + 1, 3, seen={"app": [day]}) for day in range(first, last + 1)]


def histories(alerts: list[Alert]) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the kind of each record, its day, and what it says under `history`."""
    return [(type(one).__name__, one.day.day, one.because["history"]) for one in alerts]


def history(last: str | None, votes: int = 0) -> dict[str, Any]:
    return {"last_alert": last, "false_alarm_votes": votes}


def test_an_alert_names_the_one_before_and_the_votes_until_then() -> None:
    log = playing.Log().each(*BEGIN, *days(1, 4), vote(day=5))
    for day in range(5, 13):
        log.each(a.usage(day=day, hour=21), *days(day, day))
    log.each(*days(13, 15))
    assert histories(playing.play(log).cut().alerts) == [
        ("AlertRaised", 8, history(None)),
        ("AlertCleared", 9, history(None, votes=1)),
        ("AlertRaised", 19, history("2026-01-08", votes=1)),
    ]


def test_the_paragraph_says_that_earlier_ones_were_called_false() -> None:
    log = playing.Log().each(*BEGIN, vote(day=1), vote("b", day=1, offset=2), *days(1, 4))
    (alert,) = playing.play(log).cut().alerts
    told = alert.because["text"]
    assert told.endswith("Earlier alerts of this rule for this customer were called false twice.")


def test_a_vote_that_comes_again_counts_once_and_is_no_sign_of_the_customer() -> None:
    log = playing.Log().each(*BEGIN, vote(day=3), vote(day=3), a.tick(3, 22))
    partition = playing.play(log)
    assert partition.counts["duplicate", "origin"] == 1
    account = partition.accounts["account:acme"]
    assert account.facts.feedback.counted() == {"silent": {"false_alarm": 1}}
    assert account.last_hour == a.at(1) // a.HOUR_US


def test_a_vote_on_an_account_that_is_not_known_begins_none() -> None:
    partition = playing.play(playing.Log().each(*BEGIN, vote(day=1, account="beta")))
    assert list(partition.accounts) == ["account:acme"]
    assert partition.counts["dropped", "unknown"] == 1


def test_a_vote_on_an_account_that_lives_on_elsewhere_goes_there() -> None:
    log = playing.Log().each(*BEGIN, a.usage(account="beta"), a.merged("beta"), vote(day=2))
    (forward,) = playing.forwards(playing.play(log))
    assert forward.subjects == ("account:beta",)
    assert isinstance(forward.event, FeedbackGiven)


def test_a_snapshot_keeps_what_came_before() -> None:
    log = playing.Log().each(*BEGIN, *days(1, 4), vote(day=5), a.usage(day=5, hour=21))
    later = playing.Log()
    later.messages = log.messages[:]
    later.each(*days(5, 9))
    first = playing.play(log)
    restored = Partition.restore(0, 1, playing.store({}, first.cut()))
    rest = later.messages[len(log.messages) :]
    assert playing.play(rest, restored).cut().alerts == playing.play(rest, first).cut().alerts


def test_an_event_counts_only_what_is_older_than_events_may_be_mixed() -> None:
    """Of two payments that fail within a few days, neither depends on which was told first."""
    begin = (a.rules(a.unpaid(1)), a.tick(1, 3), a.payment_failed("p0", day=1, hour=4))
    told = [a.payment_failed("p1", day=6, hour=4, id="p1"), a.payment_failed("p2", day=7, id="p2")]
    seen = []
    for order in (told, told[::-1]):
        alerts = playing.play(playing.Log().each(*begin, a.tick(7, 13), *order)).cut().alerts
        seen.append({one.object: one.because["history"] for one in alerts})
    assert seen[0] == seen[1]
    assert seen[0]["p2"] == history("2026-01-05")


def test_only_the_newest_days_and_rules_are_remembered() -> None:
    account = Account("acme", 0)
    for day in range(DAYS_LIMIT + 3):
        note(account, "often", day)
    for n in range(RULE_LIMIT):
        note(account, f"rule-{n:03}", 100 + n)
    assert "often" not in account.raised
    assert len(account.raised) == RULE_LIMIT
    note(account, "rule-000", 50)
    assert account.raised["rule-000"] == [50, 100]
