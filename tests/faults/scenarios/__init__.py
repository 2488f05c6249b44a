"""Every scenario of the suite, by family."""

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
    imports,
    kills,
    losses,
    poison,
    proxied,
    sharpened,
    subjects,
    views,
)

FAMILIES = (
    kills,
    clocks,
    days,
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

SCENARIOS: tuple[Scenario, ...] = tuple(one for family in FAMILIES for one in family.SCENARIOS)

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
