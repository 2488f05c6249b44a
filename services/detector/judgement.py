"""What judging found, and when it was judged: for whoever writes and counts it. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.alerts import Alert
from services.detector.subject import Account


class When(NamedTuple):
    """When something is judged.

    Attributes:
        day: The local day that is judged, or on which the event came.
        fired_at: Microseconds UTC that the alert carries.
        stamp: Offset up to which the account is folded.
        historic: Whether history is being played.
        rule_set: Number of the rule set that judges.
        brief: Whether only what is raised is told with its evidence, which takes time to find.
    """

    day: int
    fired_at: int
    stamp: int
    historic: bool
    rule_set: int
    brief: bool = False


class Failure(NamedTuple):
    """A rule that raised for an account, and is off for it from now on."""

    account: str
    rule: str
    error: str


@dataclass(slots=True)
class Judgement:
    """What judging found.

    Attributes:
        alerts: Records for the alert log, in a fixed order.
        changed: Accounts whose episodes, states or swings changed, by id.
        failures: Rules that raised.
        held_back: Why conditions that hold raised nothing: `yields`, `cooling` or `too_many`; the
            last also for each episode that made room for another one.
    """

    alerts: list[Alert] = field(default_factory=list)
    changed: dict[str, Account] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)
