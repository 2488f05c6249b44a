"""What the bench of `breadth` counts as told, and as false."""

from tests.quality.breadth import FOUND_DAYS, LOST, WARM_UP, false_alarms, play, recall, world


def test_what_is_used_every_day_is_told_as_lost_once_and_after_six_weeks() -> None:
    of = world(1, 8, 3, holidays=True, bunch=1, lose=True)
    assert of.lost_on is not None
    found = play(of)
    delays = sorted(on - of.lost_on[account] for account, on in found.alerts)
    # The lost ones are told once each. 28 days and the fortnight, of a loss on a working day.
    assert len(delays) == 8
    assert 38 <= delays[0] <= delays[-1] <= FOUND_DAYS
    assert recall(1, 8, 3, bunch=1).startswith("1.00, ")


def test_where_nothing_is_lost_nothing_is_told_of_what_is_used_every_other_day() -> None:
    assert false_alarms(2, 8, 3, holidays=True, bunch=1) == "0.00 (0 of 0)"


def test_half_of_the_features_go_and_none_before_the_warm_up() -> None:
    of = world(1, 8, 3, holidays=False, bunch=1, lose=True)
    assert of.lost_on is not None
    for account, on in enumerate(of.lost_on):
        assert on > WARM_UP
        assert not of.used[account, :LOST, on:].any()
        assert of.used[account, LOST:, on:].any()
