"""What has become the new normal is not told once more; what comes after it is."""

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from schemas.alerts import Alert, AlertCleared, AlertRaised
from services.backtest import run
from services.company import shipped
from tests.unit.backtest import histories as h

FIRST_FALL = 220
Levels = dict[str, Callable[[int], int]]


def told(tmp_path: Path, levels: Levels, days: int, seed: int) -> list[Alert]:
    """Alerts about usage of the first customer, beside eleven whose usage is steady.

    A level says how much of a metric is used on a day of the history, about.
    """
    rng = random.Random(seed)
    usage = ["account_id,date,count,metric"]
    first = h.START - timedelta(days=days - h.DAYS)
    for n in range(12):
        for metric, level in levels.items():
            for day in range(days):
                if usual := level(day) if n == 0 else 40:
                    used = rng.randint(round(usual * 0.75), round(usual * 1.25))
                    usage.append(f"acct_{n},{first + timedelta(days=day)},{used},{metric}")
    (tmp_path / "usage.csv").write_text("\n".join(usage))
    files = run.look_at({"usage": [tmp_path / "usage.csv"]})
    _, alerts = h.played(files, shipped().content)
    mine = [one for one in alerts if one.account == "acct_0" and not one.shadow]
    return [one for one in mine if one.kind in ("usage_drop", "expansion")]


def lives(alerts: list[Alert]) -> list[tuple[str, str, str]]:
    """Rule, object and end of alerts, in the order in which they were raised."""
    ends = {one.alert_id: one.reason for one in alerts if isinstance(one, AlertCleared)}
    raised = [one for one in alerts if isinstance(one, AlertRaised)]
    return [(one.rule, one.object, ends.get(one.alert_id, "open")) for one in raised]


def days_of(alerts: list[Alert], first_day: int, days: int) -> list[int]:
    """How many days after a day of the history alerts were raised."""
    begin = h.START - timedelta(days=days - h.DAYS) + timedelta(days=first_day)
    return [(one.day - begin).days for one in alerts if isinstance(one, AlertRaised)]


def test_a_stop_that_is_the_new_normal_does_not_come_back_as_a_drop(
    tmp_path: Path, seed: int
) -> None:
    levels: Levels = {"usage": lambda day: 40 if day < FIRST_FALL else 0}
    falls = told(tmp_path, levels, 480, seed)
    assert lives(falls) == [("usage-stopped", "usage", "new_normal")]
    assert (falls[1].day - falls[0].day).days == 84


def test_who_falls_again_after_a_new_normal_is_told_again(tmp_path: Path, seed: int) -> None:
    # 60, half of it, and half of that: the second fall comes while half a year still knows the 60.
    second = FIRST_FALL + 130

    def level(day: int) -> int:
        return 60 if day < FIRST_FALL else 30 if day < second else 15

    falls = told(tmp_path, {"usage": level}, 400, seed)
    assert lives(falls) == [("usage-drop", "usage", "new_normal"), ("usage-drop", "usage", "open")]
    [_, again] = days_of(falls, second, 400)
    assert again <= 21


def test_usage_that_is_half_back_after_a_stop_is_told_as_what_it_is(
    tmp_path: Path, seed: int
) -> None:
    def level(day: int) -> int:
        return 60 if day < FIRST_FALL else 0 if day < FIRST_FALL + 10 else 36

    falls = told(tmp_path, {"usage": level}, 300, seed)
    assert lives(falls) == [
        ("usage-stopped", "usage", "superseded"),
        ("usage-drop", "usage", "open"),
    ]
    stopped, ended, drop = falls[0], falls[1], falls[2]
    assert isinstance(ended, AlertCleared)
    assert (ended.alert_id, ended.day) == (stopped.alert_id, drop.day)


def test_a_metric_that_is_given_up_for_good_leaves_no_rule_silent(
    tmp_path: Path, seed: int
) -> None:
    fell = FIRST_FALL + 260
    levels: Levels = {
        "exports": lambda day: 40 if day < FIRST_FALL else 0,
        "usage": lambda day: 40 if day < fell else 16,
    }
    falls = told(tmp_path, levels, fell + 60, seed)
    assert lives(falls) == [
        ("usage-stopped", "exports", "new_normal"),
        ("usage-drop", "usage", "open"),
    ]
    assert days_of(falls, fell, fell + 60)[1] <= 21
