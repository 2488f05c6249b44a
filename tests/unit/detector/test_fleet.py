"""When a fall is one that many accounts share (`services.detector.fleet`)."""

import msgspec
import pytest

from services.detector.fleet import Fleet, Look, Shared, look, step
from services.detector.peers import Values

TOLD, LOW = 100, 20
LEARNED = 28
"""Days after which the ordinary share is known."""


def values(fallen: int, told: int = TOLD, percent: int = 60) -> Values:
    """A day on which so many of 100 accounts are low, at so many percent of their usual level."""
    return Values(told, told, fallen, {percent: fallen, 100: told - fallen})


def after(*stretches: tuple[int, int]) -> tuple[Fleet, list[tuple[int, str, str | None]]]:
    """Take (days, fallen accounts) one after the other; return day, change and reason of each."""
    fleet, day = Fleet(), 0
    told: list[tuple[int, str, str | None]] = []
    for days, fallen in stretches:
        for _ in range(days):
            day += 1
            found = step(fleet, day, values(fallen))
            if found is not None:
                told.append((day, found[1].kind, found[1].reason))
    return fleet, told


def test_what_is_ordinary_is_the_median_without_the_last_week() -> None:
    fleet, _ = after((LEARNED, LOW), (7, 60))
    assert look(fleet, values(40)) == Look(100, 40, 400, 200, 100, 60)


@pytest.mark.parametrize("days, told", [(LEARNED - 1, False), (LEARNED, True)])
def test_before_four_weeks_are_known_nothing_is_told(days: int, told: bool) -> None:
    assert (look(after((days, LOW))[0], values(90)) is not None) is told


@pytest.mark.parametrize(
    "fallen, shared",
    [
        # a fifth of the 80 that are not low anyway are 16; 4 standard deviations of 20 of 100 are
        # 16 as well
        (37, True),
        (36, False),
        (21, False),
    ],
)
def test_more_than_a_fifth_of_the_accounts_that_are_not_low_anyway(
    fallen: int, shared: bool
) -> None:
    found = look(after((LEARNED, LOW))[0], values(fallen))
    assert found is not None
    assert found.shared is shared


@pytest.mark.parametrize(
    "told, fallen, shared",
    [
        # 20 % of 25 are 5, give or take 2: 13 are four deviations beyond, 12 might be chance
        (25, 13, True),
        (25, 12, False),
        (9, 9, None),
    ],
)
def test_chance_makes_no_incident_of_a_small_fleet(
    told: int, fallen: int, shared: bool | None
) -> None:
    fleet = Fleet()
    for day in range(LEARNED):
        step(fleet, day, values(told // 5, told))
    found = look(fleet, values(fallen, told))
    assert (found and found.shared) is shared


def test_a_shared_fall_is_told_on_its_second_day_and_over_after_a_week() -> None:
    assert after((LEARNED, LOW), (1, 60), (LEARNED, LOW))[1] == []
    fleet, told = after((LEARNED, LOW), (20, 60), (7, LOW))
    assert told == [(30, "raised", None), (55, "cleared", "recovered")]
    assert fleet.episode is not None
    assert fleet.now == Shared(fleet.episode.alert_id, 30, 29, 60, "recovered")


def test_what_was_said_is_remembered_while_days_still_end_somewhere() -> None:
    fleet, stood = Fleet(), [Shared("id", 30, 29, depth) for depth in range(60, 68)]
    for day, one in enumerate(stood, 30):
        assert fleet.hear(one.event(day))
    # of the newest six days, and of whatever comes after them
    assert [fleet.on(day) for day in (29, 31, 32, 37, 40)] == [None, None, *stood[2::5], stood[7]]
    # as two owners of a partition say it again, one after the other
    again = msgspec.structs.replace(stood[3], depth=99)
    assert [fleet.hear(again.event(day)) for day in (33, 37)] == [False, False]
    assert fleet.on(37) == stood[7]


def test_nothing_is_raised_while_the_rule_is_off_and_what_is_ordinary_is_learned() -> None:
    fleet = Fleet()
    told = [step(fleet, day, values(LOW if day < 35 else 60), off=True) for day in range(50)]
    assert (told, fleet.now, fleet.episode, len(fleet.shares)) == ([None] * 50, None, None, 50)
    found = look(fleet, values(60))
    assert found is not None
    assert (found.ordinary, found.shared) == (200, True)


def test_an_incident_ends_when_its_rule_is_switched_off() -> None:
    fleet, _ = after((LEARNED, LOW), (3, 60))
    found = step(fleet, 32, values(60), off=True)
    assert found is not None
    assert (found[1].kind, found[1].reason) == ("cleared", "superseded")
    assert fleet.now is not None
    assert fleet.now.ended == "recovered"
    assert [step(fleet, day, values(60), off=True) for day in (33, 34)] == [None, None]
    # on again, the fall that still holds is a new one
    again = [step(fleet, day, values(60)) for day in (35, 36)]
    assert [one and one[1].kind for one in again] == [None, "raised"]


def test_a_fall_of_before_it_was_said_to_all_ends_for_all() -> None:
    """As a snapshot has it that was written when every partition judged by itself."""
    fleet, _ = after((LEARNED, LOW), (3, 60))
    assert fleet.now is not None
    former = msgspec.structs.replace(fleet, now=None, states={31: fleet.now})
    for day in range(32, 39):
        step(former, day, values(LOW))
    assert former.now == msgspec.structs.replace(fleet.now, ended="recovered")


def test_half_of_the_fleet_is_critical() -> None:
    told = after((LEARNED, LOW), (5, 45), (5, 55), (20, 45))[1]
    assert [kind for _, kind, _ in told] == ["raised", "worsened", "eased"]


def test_a_level_that_stays_is_the_new_normal_and_is_learned_anew() -> None:
    fleet, told = after((LEARNED, LOW), (120, 60))
    assert told == [(30, "raised", None), (114, "cleared", "new_normal")]
    found = look(fleet, values(60))
    assert found is not None
    assert found.ordinary == 600


def test_what_is_ordinary_of_few_says_nothing_of_many() -> None:
    """Of customers who began together it is told from one day on."""
    fleet = Fleet()
    for day in range(40):
        step(fleet, day, values(0, told=12))
    assert look(fleet, values(30)) is None
    assert look(fleet, values(5, told=23)) is not None


def test_a_share_that_grows_slowly_is_no_incident() -> None:
    assert after((LEARNED, LOW), *((3, LOW + n) for n in range(1, 40)))[1] == []


def test_a_day_counts_once_and_an_older_one_not_at_all() -> None:
    fleet, _ = after((LEARNED, LOW))
    for day in (LEARNED, LEARNED, 3):
        assert step(fleet, day, values(90)) is None
    assert fleet.shares == [(200, TOLD)] * LEARNED


def test_days_of_which_nothing_is_told_change_nothing() -> None:
    """Between Christmas and New Year no account tells how it does."""
    fleet, _ = after((LEARNED, LOW), (3, 60))
    known = fleet.now
    for day in range(32, 60):
        assert step(fleet, day, Values(100)) is None
    assert known is not None
    assert (fleet.now, len(fleet.shares)) == (known, 29)


def test_a_day_of_which_some_partition_has_not_told_is_not_judged() -> None:
    fleet, _ = after((LEARNED, LOW))
    few = [step(fleet, day, values(60, told=89)) for day in range(29, 36)]
    assert (few, fleet.shares, fleet.whole) == ([None] * 7, [(200, TOLD)] * LEARNED, LEARNED)
    # After a week those are taken to be all.
    found = [step(fleet, day, values(60, told=89)) for day in (36, 37)]
    assert [one and one[1].kind for one in found] == [None, "raised"]
    assert step(after((LEARNED, LOW), (1, 60))[0], 30, values(60, told=90)) is not None


def test_an_incident_of_which_nothing_more_is_told_holds_nobody_back_for_ever() -> None:
    fleet, _ = after((LEARNED, LOW), (3, 60))
    told = [step(fleet, day, Values(100)) for day in range(32, 150)]
    assert [(n + 32, one[1].reason) for n, one in enumerate(told) if one] == [(114, "new_normal")]
    assert fleet.now is not None
    assert fleet.now.ended == "new_normal"


@pytest.mark.parametrize(
    "ratio, raised_on, ended, explained",
    [
        (0.6, None, "", True),
        # .7 of the others' .6 is .42: what falls further falls by itself
        (0.43, None, "", True),
        (0.42, None, "", False),
        (float("nan"), None, "", True),
        # an alert that is older than the fall, or was raised beside it, is none of its alerts
        (0.6, 90, "", True),
        (0.6, 89, "", False),
        (0.6, 95, "", True),
        # accounts are judged by it from the second day after on
        (0.6, 96, "", True),
        (0.6, 97, "", False),
        (0.6, None, "recovered", False),
    ],
)
def test_what_a_shared_fall_explains(
    ratio: float, raised_on: int | None, ended: str, explained: bool
) -> None:
    shared = Shared("id", 95, 90, 60, ended)  # type: ignore[arg-type]
    assert shared.explains(ratio, raised_on) is explained


@pytest.mark.parametrize("ratio, explained", [(0.02, False), (0.021, True)])
def test_where_little_is_left_to_all_only_ten_points_less_is_deeper(
    ratio: float, explained: bool
) -> None:
    assert Shared("id", 95, 90, 12).explains(ratio, None) is explained
    assert Shared("id", 95, 90, 9).explains(0.0, None)


@pytest.mark.parametrize(
    "days, left",
    # a fall to nothing that shows on the day after its third takes 3.6 points a day: three more
    # days by when accounts are judged by it; after four weeks it has taken all
    [(3, 72), (10, 47), (22, 4), (24, 0), (40, 0)],
)
def test_what_is_left_is_told_for_the_day_that_is_judged_by_it(days: int, left: int) -> None:
    fleet, _ = after((LEARNED, LOW))
    for n in range(1, days + 1):
        step(fleet, LEARNED + n, values(90, percent=100 - 100 * min(n + 2, 28) // 28))
    assert fleet.now is not None
    assert fleet.now.depth == left


def test_what_is_left_of_a_fall_that_has_filled_four_weeks_is_what_was_counted() -> None:
    fleet, _ = after((LEARNED, LOW), (30, 60))
    assert fleet.now is not None
    assert fleet.now.depth == 60


def test_no_more_is_left_than_there_was() -> None:
    """What accounts' ratios are above 100 % is not told: no decoder would take it."""
    fleet, _ = after((LEARNED, LOW))
    for n in range(1, 4):
        step(fleet, LEARNED + n, values(90, percent=200))
    assert fleet.now is not None
    assert fleet.now.depth == 100


def test_how_a_fall_stood_is_taken_over_from_a_snapshot_of_before_it_was_said() -> None:
    fleet, _ = after((LEARNED, LOW), (3, 60))
    before = fleet.now
    assert before is not None
    fleet.states, fleet.now = {fleet.day: before}, None
    step(fleet, fleet.day + 1, Values())
    assert fleet.now == before
