from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.quality import plain, seats, silence, tickets
from tests.quality.cases import Case
from tests.quality.lines import LINES, missed
from tests.quality.running import write_rows
from tests.quality.scoring import Alert, judge, lasts, score
from tests.quality.table import against_the_line, detectors

START = date(2024, 1, 1)


def case(scenario: str, onset: int = -1, tier: str = "A", days: int = 700) -> Case:
    return Case(
        f"{tier}-{scenario}", tier, "hotel", "a1", scenario, onset, onset, 5.0, "PT", 6.0, START,
        "hotel.A", True, np.full(days, 5),
    )  # fmt: skip


def on(*days: int) -> list[date]:
    return [START + timedelta(days=day) for day in days]


@pytest.mark.parametrize(
    "scenario, onset, fired, expected",
    [
        # warm-up; 28 days after the last alert another episode begins
        ("control", -1, on(83, 100, 120, 147, 176), (2, None, None, None)),
        ("step50", 500, on(499), (1, False, None, None)),
        ("step50", 500, on(500), (0, True, 0, None)),
        ("step50", 500, on(556), (0, True, 56, None)),
        ("step50", 500, on(557), (0, False, None, None)),
        ("ramp50_4w", 500, on(584), (0, True, 84, None)),
        ("own_dip14", 500, on(510), (0, None, None, True)),
        ("own_dip14", 500, on(557), (0, None, None, False)),
        ("growth50", 500, [], (0, None, None, False)),
    ],
)
def test_a_case_is_judged(
    scenario: str,
    onset: int,
    fired: list[date],
    expected: tuple[int, bool | None, int | None, bool | None],
) -> None:
    found = judge(case(scenario, onset), fired)
    assert (found.false, found.found, found.delay, found.nuisance) == expected


def test_months_end_with_what_was_done_to_an_account() -> None:
    assert judge(case("control"), []).months == pytest.approx(616 / 30.44)
    assert judge(case("step50", 500), []).months == pytest.approx(416 / 30.44)


def test_an_alarm_lasts_if_four_weeks_stay_low() -> None:
    fallen = np.concatenate([np.full(200, 10), np.full(100, 8)])
    assert lasts(fallen, 210) is True
    assert lasts(np.full(300, 10), 210) is False
    assert lasts(fallen, 272) is None
    # as low in the same weeks of the year before: the season, and no lasting fall
    seasonal = np.concatenate([fallen, np.full(64, 10), fallen])
    assert lasts(seasonal, 574) is False


def test_figures_of_a_small_fleet() -> None:
    fleet = [case("control"), case("step50", 500), case("own_dip14", 500)]
    alerts = [Alert("A-control", on(100)[0], "usage_drop"),
              Alert("A-step50", on(514)[0], "usage_drop"),
              Alert("A-own_dip14", on(510)[0], "silence")]  # fmt: skip
    found = score(fleet, alerts)
    assert found["false_alarms"] == pytest.approx(100 / ((616 + 416 + 416) / 30.44))
    assert (found["recall_detectable"], found["delay.step50"]) == (1.0, 14.0)
    assert found["nuisance.own_dip14"] == 0.0
    assert score(fleet, alerts, ("silence",))["nuisance.own_dip14"] == 1.0


def test_plain_windows_fire_below_eighty_per_cent() -> None:
    fallen = case("control")._replace(counts=np.concatenate([np.full(100, 10), np.full(40, 7)]))
    # 19 days of 7 and 9 of 10: 223 of 280
    assert plain.raised(plain.windows(fallen)) == [118]


def test_weeks_that_deviate_twice_running_fire() -> None:
    counts = np.concatenate([np.tile([9, 10, 11, 10, 9, 11, 10], 20), np.full(14, 1)])
    # 70 a week, at least root 70 of spread: below 53.3, which the week before reaches with two ones
    assert plain.raised(plain.deviating_weeks(case("control")._replace(counts=counts))) == [148]


def test_the_first_alert_inside_a_gap_counts() -> None:
    days = [START + timedelta(days=k) for k in range(5)]
    back, end = START + timedelta(days=64), START + timedelta(days=400)
    lives = [silence.Life("hotel", "a", days, end), silence.Life("hotel", "b", [*days, back], end)]
    assert [gap.days for gap in silence.gaps(lives)] == [396, 60, 336]
    said = [Alert("a", on(50)[0], "silence"), Alert("a", on(20)[0], "silence"),
            Alert("b", on(40)[0], "silence")]  # fmt: skip
    found = silence.score(lives, said)
    assert (found["precision"], found["recall"], found["delay"]) == (0.5, 0.5, 16.0)


def test_spikes_are_found_within_seven_days() -> None:
    counts = np.ones(182, dtype=np.int64)
    spikes = (("a", 4, 100), ("b", 0, -1), ("c", 1, 100), ("d", 2, 100))
    known = [tickets.Location(*spike, counts) for spike in spikes]
    first = tickets.FIRST
    said = [Alert(name, first + timedelta(days=day), "ticket_spike")
            for name, day in (("a", 102), ("b", 60), ("b", 70), ("b", 90))]  # fmt: skip
    found = tickets.score(known, said)
    assert (found["recall_x5"], found["delay"]) == (1.0, 2.0)
    assert found["false_alarms"] == pytest.approx(100 * 2 / ((3 * 44 + 126) / 30.44))


def test_a_figure_that_is_missed_or_was_not_measured_fails() -> None:
    figures = {line.figure: line.goal for line in LINES if line.bench == "tickets"}
    assert missed({"tickets": figures}) == []
    assert [line.figure for line in missed({"tickets": {**figures, "false_alarms": 4.1}})] == [
        "false_alarms"
    ]
    assert [line.figure for line in missed({"tickets": {"false_alarms": 3.9}})] == ["recall_x5"]


def test_tables_are_markdown() -> None:
    figures = {"false_alarms": 3.9, "recall_x5": 0.58}
    assert against_the_line({"tickets": figures}) == [
        "| figure | measured | required | the goal |",
        "| --- | --- | --- | --- |",
        "| ticket spikes: false alarms | 3.90 | ≤ 4 | ≤ 2 |",
        "| ticket spikes: five times the usual found | **0.58: missed** | ≥ 0.6 | ≥ 0.65 |",
    ]
    row = detectors({"plain": score([case("control")], [])})[2]
    assert row == "| plain | 0.00 | – | – | – | – | 0.00 | – |"


def test_an_entry_into_low_seats_that_is_left_within_two_weeks_or_four_is_counted(
    tmp_path: Path,
) -> None:
    rows = [
        ["a", "2026-01-01", "2026-01-15", "seat_utilisation"],
        ["b", "2026-01-01", "2026-01-29", "seat_utilisation"],
        ["c", "2026-01-01", "2026-01-30", "seat_utilisation"],
        ["d", "2026-01-01", "", "seat_utilisation"],
        ["e", "2026-01-01", "2026-01-02", "seat_expansion"],
    ]
    path = write_rows(tmp_path / "a.csv", ["account_id", "fired_at", "cleared_at", "kind"], rows)
    assert seats.score(path) == {"entries": 4.0, "left_again": 0.25, "left_in_28": 0.5}
    empty = write_rows(tmp_path / "b.csv", ["account_id", "fired_at", "cleared_at", "kind"], [])
    assert np.isnan(seats.score(empty)["left_in_28"])
