"""Every scenario of the suite, by family."""

from dataclasses import replace

from tests.faults.scenario import Scenario
from tests.faults.scenarios import (
    broker,
    clocks,
    contained,
    damage,
    days,
    desk,
    earlier,
    endpoints,
    falsified,
    freezes,
    imports,
    kills,
    losses,
    packs,
    poison,
    proxied,
    sharpened,
    subjects,
    views,
)

FAMILIES = (
    kills,
    freezes,
    clocks,
    days,
    packs,
    imports,
    broker,
    proxied,
    falsified,
    desk,
    views,
    endpoints,
    damage,
    losses,
    poison,
    earlier,
    contained,
    sharpened,
    subjects,
)

ENDS = {"rule-never-ends": ("detector 75",)}
"""What a family does not say itself of how processes end."""

SCENARIOS: tuple[Scenario, ...] = tuple(
    replace(one, ends=one.ends or ENDS.get(one.name, ()))
    for family in FAMILIES
    for one in family.SCENARIOS
)

QUICK = (
    "kill-a-few",
    "kill-at-some-failpoints",
    "worker-joins-and-leaves",
    "freeze-detector",
    "kill-while-people-work",
    "kill-in-short-time-lapse",
)
"""The most telling ones, which `make check` runs with three seeds."""


def named(name: str) -> Scenario:
    """Return a scenario.

    Raises:
        KeyError: There is none of that name.
    """
    return next((one for one in SCENARIOS if one.name == name), None) or _unknown(name)


def _unknown(name: str) -> Scenario:
    raise KeyError(f"there is no scenario {name!r}; there are {', '.join(map(str, _names()))}")


def _names() -> list[str]:
    return sorted(one.name for one in SCENARIOS)
