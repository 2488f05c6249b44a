"""How the oracle ends alerts of which a rule tells nothing more, worked out by hand."""

from tests.unit.faults import stories as a
from tests.unit.faults.stories import Log, alone, on, silent, told, usage

RAISED = ("raised", "silence", "activity", on(3))


def until(log: Log, day: int, dark: range = range(0)) -> Log:
    """Close one day after the other; on some nobody sent anything."""
    for one in range(6, day + 2):
        log.tick(one, seen={} if one - 1 in dark else None)
    return log


def test_a_silence_of_which_nothing_is_told_any_more_is_the_new_normal_in_its_time() -> None:
    # Monday was the last day of use, and is in sight for 58 days: to the 58th. Raised on the 3rd,
    # the alert may be open for 84 days.
    assert told(alone(until(silent(), 86))) == [RAISED]
    found = alone(until(silent(), 90))
    assert told(found) == [RAISED, ("new_normal", "silence", "activity", on(87))]
    assert found.alerts["acme"][1].because == {"title": "Silent for two days", "play": "call"}


def test_an_outage_ends_no_alert() -> None:
    found = alone(until(silent(), 95, dark=range(80, 93)))
    assert told(found) == [RAISED, ("new_normal", "silence", "activity", on(93))]


def test_a_rule_that_is_off_has_told_nothing_that_still_holds() -> None:
    off = a.SILENCE | {"off": True}
    # Thursday is closed, then the rule goes off: Friday ends the alert.
    log = silent().rules(off, n=2).tick(6)
    found = alone(log)
    assert told(found) == [RAISED, ("superseded", "silence", "activity", on(5))]
    (episode,) = found.accounts["acme"]["episodes"].values()
    assert (episode["state"], episode["count"]) == ("cooling", 1)
    # On again on the 20th, as silent as ever: 28 days after the third it is told again.
    log = until(log, 20).rules(a.SILENCE, n=3)
    for day in range(22, 34):
        log.tick(day)
    assert told(alone(log))[2:] == [("raised", "silence", "activity", on(31))]


def test_the_customer_who_came_back_may_fall_silent_again() -> None:
    log = until(silent(), 87)
    for day in range(88, 96):
        log.say(usage(day), now=a.at(day)).tick(day + 1)
    for day in range(97, 100):
        log.tick(day)
    assert told(alone(log))[2:] == [("raised", "silence", "activity", on(97))]
