"""Episodes: from a condition that holds or not, day by day, to alerts that come once.

One episode per (subject, rule, object): pending → firing → clearing → cooling, with dwell,
hysteresis, cool-down and re-arm. All functions are pure; whoever calls keeps the episode.
"""

from typing import Literal, NamedTuple
from uuid import UUID, uuid5

import msgspec

from schemas.alerts import ClearReason
from services.detector.primitives.day import Rearms

NAMESPACE = UUID("3f0e6b1a-6a35-5a0c-9d0b-6c1f5d9a7e42")
EASE_DAYS = 7
"""An open alert eases only after this many lower evaluations running, so that it does not flap."""

State = Literal["pending", "firing", "clearing", "cooling"]
OPEN = ("firing", "clearing")
KEEP_DAYS = 4
"""An episode is remembered so long: rules are asked about events of up to 48 h ago, and the id of
an alert must not be given twice."""

EPISODE_LIMIT = 100
"""Episodes of one account and one rule that events wake: nothing else bounds how many payments
fail, or people leave. As many payments are known at once (`facts.payments`)."""


class Policy(NamedTuple):
    """How a condition becomes alerts.

    Attributes:
        dwell: Evaluations running that must fire before an alert is raised, >= 1.
        clear_days: Evaluations running that must clear before it is over, >= 1.
        expire_days: Days after which a standing condition is the new normal, or None.
        cooldown_days: Days after raising in which no other alert is raised.
        rearm_days: Evaluations running that must not fire before another alert is raised.
        rearms: What counts among these after the new normal: `calm` likewise; `cleared`, that they
            clear. `relearned`: it is armed at once, since it is compared with the new normal then.
        memory_days: Days after which nothing of the past that the condition compares with is
            older than the new normal: what holds then is news. None if it compares with no past.

    Source: detection.md §0 (one open alert, cool-down 28 days, re-arm after 7 clear days) and §1.
    """

    dwell: int = 1
    clear_days: int = 7
    expire_days: int | None = 84
    cooldown_days: int = 28
    rearm_days: int = 7
    rearms: Rearms = "cleared"
    memory_days: int | None = None


class Verdict(NamedTuple):
    """One evaluation of a condition.

    Attributes:
        fires: The condition holds.
        clears: The clear condition holds.
        severity: Index into `schemas.alerts.SEVERITIES`, meaningful while it fires.
    """

    fires: bool
    clears: bool
    severity: int


class Episode(msgspec.Struct, omit_defaults=True):
    """What is remembered of one condition of one object.

    Attributes:
        rule: The rule's id.
        object: A metric, a person, a payment.
        state: Where it is.
        alert_id: Of the alert raised last; empty while pending.
        raised_on: Day on which it was raised last.
        ordinal: How many alerts were raised before on that day.
        severity: Index into `schemas.alerts.SEVERITIES`.
        since: Day on which the condition first held.
        count: Evaluations running of what the state waits for.
        lower: Evaluations running with a lower severity.
        quiet: Evaluations running in which the condition did not hold; of what is the new normal,
            in which it was over.
        free: Whether the cool-down does not count (the alert was withdrawn).
        joined: Whether what holds is told as a part of an incident.
        usual: What was usual when the alert was raised last, where its condition becomes used to
            what holds: what has only become usual has not recovered.
        accepted_on: Day since which what holds is the new normal; -1 if it is not. Not to hold any
            more need not be to be over then: who stays away is found less and less unusual.
    """

    rule: str
    object: str
    state: State
    since: int
    alert_id: str = ""
    raised_on: int = -1
    ordinal: int = 0
    severity: int = 0
    count: int = 0
    lower: int = 0
    quiet: int = 0
    free: bool = False
    joined: bool = False
    accepted_on: int = -1
    usual: float | None = None

    @property
    def open(self) -> bool:
        """Whether an alert of the episode is open."""
        return self.state in OPEN

    @property
    def told(self) -> bool:
        """Whether people know of what holds: by its alert, an incident, or as the new normal."""
        return self.open or self.joined or (self.state == "cooling" and not self.count)

    @property
    def accepted(self) -> bool:
        """Whether what it was about has become the new normal, as far as anybody remembers."""
        return self.accepted_on >= 0


class Change(NamedTuple):
    """What an evaluation did: the record to write, and why an alert was cleared."""

    kind: Literal["raised", "worsened", "eased", "cleared"]
    reason: ClearReason | None = None


def key(rule: str, object_: str) -> str:
    """Return the key of an episode within its subject."""
    return f"{rule}|{object_}"


def alert_id(subject: str, rule: str, object_: str, day: int, ordinal: int) -> str:
    """Return an alert's id: UUIDv5 of subject, rule, object, raising day and ordinal.

    >>> alert_id("account:a", "usage-drop", "api_calls", 20000, 0)[14]
    '5'
    """
    name = "\x00".join((subject, rule, object_, str(day), str(ordinal)))
    return str(uuid5(NAMESPACE, name))


def step(
    episode: Episode | None, found: Verdict, day: int, policy: Policy, begin: Episode
) -> tuple[Episode | None, Change | None]:
    """Take one evaluation into account.

    Args:
        episode: The episode so far, changed in place, or None.
        found: What the condition says.
        day: The judged day.
        policy: Dwell, hysteresis, cool-down.
        begin: A new episode of this rule and object, used where there was none.

    Returns:
        The episode to keep (None: forget it), and what changed for people, if anything.
    """
    if episode is None:
        if not found.fires:
            return None, None
        episode = begin
    must_clear = episode.accepted and policy.rearms == "cleared"
    calm = found.clears if must_clear else not found.fires
    episode.quiet = episode.quiet + 1 if calm else 0
    if episode.state == "pending":
        return _pending(episode, found, day, policy)
    if episode.state == "cooling":
        return _cooling(episode, found, day, policy)
    return episode, _open(episode, found, day, policy)


def _pending(
    episode: Episode, found: Verdict, day: int, policy: Policy
) -> tuple[Episode | None, Change | None]:
    if not found.fires:
        if episode.raised_on < 0 or day >= episode.raised_on + KEEP_DAYS:
            return None, None
        episode.state, episode.count = "cooling", 1
        return episode, None
    episode.count += 1
    if episode.count < policy.dwell:
        return episode, None
    return episode, _raise(episode, found, day)


def _cooling(
    episode: Episode, found: Verdict, day: int, policy: Policy
) -> tuple[Episode | None, Change | None]:
    # `quiet` is 0 when the condition fires now, so whether it was armed is kept in `count`.
    if episode.quiet >= policy.rearm_days or outlived(episode, day, policy):
        episode.count = 1
        if policy.rearms != "relearned":
            episode.accepted_on = -1
    if found.fires and episode.count and _cooled(episode, day, policy):
        episode.state, episode.count = "pending", 0
        return _pending(episode, found, day, policy)
    return (None if over(episode, day, policy) else episode), None


def _cooled(episode: Episode, day: int, policy: Policy) -> bool:
    return episode.free or day - episode.raised_on >= policy.cooldown_days


def outlived(episode: Episode, day: int, policy: Policy) -> bool:
    """Tell whether a new normal is older than all that its condition compares with.

    Args:
        episode: Any episode.
        day: The judged day.
        policy: Its memory.
    """
    if not episode.accepted or policy.memory_days is None:
        return False
    return day - episode.accepted_on >= policy.memory_days


def over(episode: Episode, day: int, policy: Policy) -> bool:
    """Tell whether nothing of an episode matters any more.

    Args:
        episode: Any episode.
        day: The judged day.
        policy: Its cool-down.
    """
    return (
        episode.state == "cooling"
        and bool(episode.count)
        and _cooled(episode, day, policy)
        and day >= episode.raised_on + KEEP_DAYS
        and (not episode.accepted or outlived(episode, day, policy))
    )


def expires(episode: Episode, day: int, policy: Policy) -> bool:
    """Tell whether what an alert is about has stood for so long that it is the new normal.

    Args:
        episode: Any episode.
        day: The judged day.
        policy: Its expiry.
    """
    stood = day - episode.raised_on
    return episode.open and policy.expire_days is not None and stood >= policy.expire_days


def _open(episode: Episode, found: Verdict, day: int, policy: Policy) -> Change | None:
    if found.clears:
        episode.state = "clearing"
        episode.count += 1
        if episode.count >= policy.clear_days:
            return close(episode, "recovered", policy)
        return None
    episode.state = "firing"
    episode.count = 0
    if expires(episode, day, policy):
        return close(episode, "new_normal", policy)
    return _severity(episode, found)


def _severity(episode: Episode, found: Verdict) -> Change | None:
    if not found.fires or found.severity == episode.severity:
        episode.lower = 0
        return None
    if found.severity > episode.severity:
        episode.severity = found.severity
        episode.lower = 0
        return Change("worsened")
    episode.lower += 1
    if episode.lower < EASE_DAYS:
        return None
    episode.severity = found.severity
    episode.lower = 0
    return Change("eased")


def _raise(episode: Episode, found: Verdict, day: int) -> Change:
    episode.ordinal = episode.ordinal + 1 if episode.raised_on == day else 0
    episode.state = "firing"
    episode.raised_on = day
    episode.severity = found.severity
    episode.count = episode.lower = 0
    episode.free = False
    episode.accepted_on = -1
    return Change("raised")


def join(episode: Episode) -> None:
    """Let an incident tell what holds: until it is released, nothing of the episode is raised.

    Args:
        episode: One without an open alert, changed in place; a cool-down that is running goes on.
    """
    episode.free = episode.free or episode.state != "cooling"
    episode.state, episode.joined = "cooling", True
    episode.accepted_on = -1
    episode.count = episode.lower = episode.quiet = 0


def release(episode: Episode) -> None:
    """Let an episode stand for itself again, so that an alert may be raised if it still holds.

    Args:
        episode: One without an open alert; changed in place.
    """
    episode.joined = False
    episode.count = 1


def accept(episode: Episode, day: int, policy: Policy) -> None:
    """Take what holds for the new normal, of which nothing is told unless it gets worse.

    Args:
        episode: One without an open alert; changed in place.
        day: Since when.
        policy: Says what must happen before it is told again.
    """
    episode.joined = False
    if policy.rearms != "calm":
        episode.accepted_on, episode.quiet = day, 0
    episode.count = int(policy.rearms == "relearned" or episode.quiet >= policy.rearm_days)


def close(episode: Episode, reason: ClearReason, policy: Policy) -> Change:
    """Close an open alert: the episode cools down, except after one that was withdrawn.

    Args:
        episode: An open episode, changed in place.
        reason: Why it is over.
        policy: Its re-arm decides whether it is armed already.
    """
    episode.state, episode.lower = "cooling", 0
    episode.free = reason == "withdrawn"
    episode.count = int(episode.free or episode.quiet >= policy.rearm_days)
    if reason == "new_normal":
        accept(episode, episode.raised_on, policy)
    return Change("cleared", reason)
