"""What has only become usual has not recovered: how alerts end whose usual follows what holds."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from schemas.alerts import Alert, AlertCleared, AlertRaised
from schemas.config import FeatureFlags
from schemas.envelope import Entry
from schemas.events import TicketOpened
from services.detector.recompute import recompute
from services.detector.rules import compile_rules
from tests import builders as a
from tests import playing

LOST = 200
CORE = {name: FeatureFlags(core=True) for name in "abcdef"}
CHANCE = np.random.default_rng(1)
POISSON = {mean: CHANCE.poisson(mean, 400).tolist() for mean in (0.1, 2, 50, 100)}

Story = Callable[[int], Iterable[Entry]]


def features(day: int, back: int = 1000) -> Iterable[Entry]:
    """Six core features, from a day on three of them, until the others are back."""
    there = [name for name in CORE if name in "abc" or not LOST < day < back]
    return [a.usage(5, day=day), *(a.usage(2, feature=name, day=day) for name in there)]


def halved(day: int, back: int = 1000) -> Iterable[Entry]:
    """About 100 a day, from a day on 50, until it is 100 again."""
    return [a.usage(POISSON[50 if LOST < day < back else 100][day], day=day)]


def tickets(day: int, back: int = 1000) -> Iterable[Entry]:
    """A ticket in ten days, from a day on two a day, until it is as before."""
    many = POISSON[2 if LOST < day < back else 0.1][day]
    told = [a.entry(TicketOpened(ticket=f"{day}-{n}"), day=day) for n in range(many)]
    return [a.usage(5, day=day), *told]


def given_up(day: int, back: int = 1000) -> Iterable[Entry]:
    """A feature falls to two fifths; later so does all usage."""
    rest, mine = (100, 20) if day <= LOST else (100, 8) if day < back else (36, 8)
    return [a.usage(rest, day=day), a.usage(mine, feature="export", day=day)]


def life(rule: Any, story: Story, last: int, flags: dict[str, FeatureFlags]) -> list[Alert]:
    """Return what a rule says of an account, each record as it can be computed again."""
    log, rules = playing.Log(), a.rules(rule, features=flags)
    log.add(rules, a.tick(1, 3))
    for day in range(1, last + 1):
        log.add(*story(day), a.tick(day + 1, 3, seen={"app": [day]}))
    told = playing.play(log).cut().alerts
    compiled = compile_rules(1, rules.event.content)  # type: ignore[union-attr]
    for alert in told:
        (raised_on, *_) = [one.day for one in told if one.alert_id == alert.alert_id]
        found = recompute(alert, compiled, raised_on)
        assert [line for line in found.lines if not line.agrees] == []
    return told


CASES: dict[str, tuple[Any, Any, dict[str, FeatureFlags]]] = {
    "breadth": (a.rule("breadth", params={}), features, CORE),
    "fastdrop": (a.rule("fastdrop", params={"metric": "@meaningful"}), halved, {}),
    "spike": (a.rule("spike", params={}), tickets, {}),
}
STAYS = {
    "breadth": "3 core features in use, 6 were usual",
    "fastdrop": "usage stays at its new level",
    "spike": "the new normal",
}
OVER = {
    "breadth": "6 core features in use again",
    "fastdrop": "usage is back near its usual level",
    "spike": "as usual",
}


@pytest.mark.parametrize("name", CASES)
def test_what_stays_ends_as_the_new_normal_and_says_so(name: str) -> None:
    rule, story, flags = CASES[name]
    raised, *_, end = life(rule, story, LOST + 140, flags)
    assert isinstance(raised, AlertRaised)
    assert isinstance(end, AlertCleared)
    assert (end.reason, (end.day - raised.day).days) == ("new_normal", 84)
    assert end.because["headline"].endswith(STAYS[name])
    assert "it counts as usual from now on" in end.because["text"]
    assert end.because["primitive"] == name


@pytest.mark.parametrize("name, back", [("breadth", 290), ("fastdrop", 250), ("spike", 250)])
def test_what_is_back_beside_what_was_usual_then_has_recovered(name: str, back: int) -> None:
    rule, story, flags = CASES[name]
    raised, *_, end = life(rule, lambda day: story(day, back), back + 30, flags)
    assert isinstance(raised, AlertRaised)
    assert isinstance(end, AlertCleared)
    assert (end.reason, end.because["headline"].endswith(OVER[name])) == ("recovered", True)
    assert end.because["usual_when_raised"] > 0


def test_a_feature_is_not_used_again_because_everything_else_has_fallen_too() -> None:
    rule, flags = a.rule("abandonment", params={}), {"export": FeatureFlags()}
    told = life(rule, lambda day: given_up(day, 230), 300, flags)
    assert [one.because["headline"] for one in told if isinstance(one, AlertCleared)] == []
    assert told
