from datetime import UTC, datetime

import msgspec
import pytest

from schemas.accounts import AccountDays, AccountSummary, Usual
from schemas.events import TicketOpened
from services.detector import summary
from services.detector.partition import Partition
from tests import builders as a
from tests import playing


def partition() -> Partition:
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(28, 3, seen={"app": [27]}))
    log.add(
        a.profile({"name": "Acme", "owner": "ana", "arr": 5, "currency": "EUR"}, day=28, hour=3),
        a.usage(1.5, day=28, hour=4),
        a.usage(2, day=26, hour=4),
    )
    return playing.play(log)


def test_a_summary_is_what_a_person_sees_at_a_glance() -> None:
    folded = partition()
    assert summary.of(folded.accounts["account:acme"], folded.stamp) == AccountSummary(
        account="acme",
        stamp=1,
        name="Acme",
        owner="ana",
        arr=5,
        currency="EUR",
        last_event_at=datetime(2026, 2, 1, 4, tzinfo=UTC),
    )


def test_what_each_metric_could_show_is_told_and_kept() -> None:
    log = playing.Log().add(a.rules(a.rule("drop", "fell", params={"metric": "usage"})))
    for day in range(1, 141):
        log.add(a.tick(day, 3, seen={"app": [day - 1]}), a.usage(20 + day % 3, day=day, hour=4))
    played = playing.play(log)
    known = played.accounts["account:acme"]
    told = summary.of(known, played.stamp)
    assert (told.states, told.least) == ({"usage": "ok"}, {"usage": 16})
    restored = Partition.restore(0, 1, playing.store({}, played.cut()))
    assert summary.of(restored.accounts["account:acme"], played.stamp) == told


def test_what_is_usual_is_told_of_as_many_metrics_as_there_is_room_for() -> None:
    known = partition().accounts["account:acme"]
    known.usual["usage"] = [134_000, 413_000, 1_230_000, 999, 0, 61_500, 2_000, 3_220, 61]
    known.states["usage"] = "ok"
    told = summary.of(known, 1)
    week = [134, 413, 1230, 0.999, 0, 61.5, 2]
    assert told.usual == {"usage": Usual(week, 3.22, 0.061)}
    for n in range(30):
        known.states[f"m{n:02}"] = "ok"
        known.usual[f"m{n:02}"] = known.usual["usage"]
    told = summary.of(known, 1)
    assert 980 - 100 < len(msgspec.json.encode(told)) <= 1_024
    assert list(told.usual) == [f"m{n:02}" for n in range(len(told.usual))]
    assert 2 < len(told.usual) < len(told.states)


def test_a_month_tells_which_of_its_days_are_left_out() -> None:
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(1, 3))
    log.add(a.profile({"country": "DE"}), a.closure(12, 13), a.closure_for_all(9, 9))
    log.add(a.usage(1, day=1), a.usage(1, day=12, id="later"))
    # days without a ticket are ordinary ones, and another source feeds this metric, too
    log.add(a.entry(TicketOpened(ticket="t", priority=3), day=1, id="t"))
    log.add(*(a.usage(1, metric="both", source=one, id=one, day=1) for one in ("app", "web")))
    for day in range(2, 17):
        # nothing from the app for anybody on the tenth and eleventh day
        seen = {} if day - 1 in (10, 11) else {"app": [day - 1]}
        log.add(a.tick(day, 3, seen=seen | {"web": [day - 1]}))
    # day 1 is 5 January
    (raw,) = [raw for key, raw in playing.play(log).cut().summaries if key.endswith("2026-01")]
    assert raw is not None
    assert msgspec.json.decode(raw, type=AccountDays).left_out == {
        "": {
            "New Year's Day": [1],
            "year end": [2, 3],
            "closure for everybody": [13],
            "closure": [16, 17],
        },
        "usage": {"no data from its source": [14, 15]},
    }


def test_a_closure_of_days_that_are_over_shows_their_month_again() -> None:
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(1, 3), a.usage(1, day=1))
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in range(2, 8)))
    partition = playing.play(log)
    partition.cut()
    partition.take(len(log.messages), a.at(8), [a.closure(3, 4)])
    shown = dict(partition.cut().summaries)["acme/days/2026-01"]
    days = msgspec.json.decode(shown or b"", type=AccountDays)
    assert days.left_out == {"": {"year end": [1, 2, 3], "closure": [7, 8]}}


def test_one_for_everybody_writes_no_month_of_all_accounts_at_once() -> None:
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(1, 3), a.usage(1, day=1))
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in range(2, 8)))
    partition = playing.play(log)
    partition.cut()
    partition.take(len(log.messages), a.at(8), [a.closure_for_all(3, 4)])
    assert partition.cut().summaries == []


def test_names_of_metrics_leave_room_for_what_they_could_show() -> None:
    known = partition().accounts["account:acme"]
    for n in range(30):
        known.states[f"metric_{n:02}"] = "too_little_volume"
        known.least[f"metric_{n:02}"] = 71
    told = summary.of(known, 1)
    assert list(told.least) == list(told.states) == [f"metric_{n:02}" for n in range(10)]
    assert len(msgspec.json.encode(told)) < 1_000


def test_a_month_is_told_day_by_day_in_units() -> None:
    account = partition().accounts["account:acme"]
    # day 26 is 30 January, day 28 is 1 February
    january, february = [0.0] * 31, [0.0] * 28
    january[29], february[0] = 2.0, 1.5
    assert [summary.month(account, a.on(day)) for day in (-3, 28)] == [
        AccountDays(account="acme", month="2026-01", metrics={"usage": january}),
        AccountDays(account="acme", month="2026-02", metrics={"usage": february}),
    ]


@pytest.mark.parametrize("day, first", [(-3, -3), (27, -3), (28, 28), (55, 28), (56, 56)])
def test_a_month_begins_with_its_first_day(day: int, first: int) -> None:
    assert summary.month_start(a.START + day) == a.START + first


@pytest.mark.parametrize(
    "day, historic, shows",
    [
        # live: a day with something in it
        (26, False, True),
        (27, False, False),
        (28, False, True),
        # history: once, when the month is over, if there was anything in it
        (26, True, False),
        (27, True, True),
        (28, True, False),
        (55, True, True),
        (58, True, False),
        (86, True, False),
    ],
)
def test_a_closed_day_is_shown_if_it_changes_a_month(day: int, historic: bool, shows: bool) -> None:
    account = partition().accounts["account:acme"]
    assert summary.shows(account, a.START + day, historic) is shows


def test_a_summary_is_written_only_when_what_it_shows_has_changed() -> None:
    folded = partition()
    keys = [[key for key, _ in folded.cut().summaries]]
    log = playing.Log()
    log.messages = [playing.Message(2 + n, at, value) for n, (at, value) in enumerate(_later())]
    for message in log:
        playing.apply(folded, [message])
        keys.append([key for key, _ in folded.cut().summaries])
    # a late day shows its month again; the same hour again shows nothing; a new owner does
    assert keys == [["acme", "acme/days/2026-01"], [], ["acme"]]


def _later() -> list[tuple[int, bytes]]:
    log = playing.Log()
    log.add(a.usage(day=28, hour=4.5)).add(a.profile({"owner": "bo"}, day=28, hour=4.6))
    return [(message.appended, message.value) for message in log]


@pytest.mark.parametrize(
    "metric, shown",
    # a metric takes its name and `warming_up`, of 400 characters in all
    [("a_usual_metric_", 400 // (17 + 10)), (90 * "m", 400 // (92 + 10))],
)
def test_summaries_are_plain_json_of_at_most_a_kilobyte(metric: str, shown: int) -> None:
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(1, 3))
    log.add(*(a.usage(metric=f"{metric}{n}", hour=4) for n in range(10, 70)))
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in (2, 3)))
    (raw,) = [raw for key, raw in playing.play(log).cut().summaries if key == "acme"]
    assert raw is not None
    assert len(raw) <= 1024
    states = msgspec.json.decode(raw, type=AccountSummary).states
    assert states == {f"{metric}{n}": "warming_up" for n in range(10, 10 + shown)}
