"""A fall that many accounts share: when it begins and ends, from each day's counts. Pure.

Some accounts are always low: of a real fleet a fifth to a third. So what counts is how many of the
others have fallen, beyond the ordinary share of the weeks before.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from schemas.alerts import SEVERITIES
from services.detector import episode as episodes
from services.detector.episode import Change, Episode, Policy, Verdict
from services.detector.peers import COMPANY, FALLEN_RATIO, Values

RULE: Final = "common-fall"
KIND: Final = "incident"
OBJECT: Final = "activity"

SHARE = 200
"""Permille of accounts, of those not low anyway, above which a fall is one incident. Source:
signals.md C26, more than 20 % of accounts."""
CLEAR = 100
"""Permille of the same, below which it is over."""
CRITICAL = 500
"""Permille from which on it is critical."""
TOLD_LEAST = 10
"""Accounts of which it must be told how they do: with four customers one is no incident."""
SIGMAS = 4
"""Standard deviations beyond which the number of fallen accounts must lie, so that chance makes no
incident of a small fleet. Source: docs/detection.md, Falls that many share."""

DEEPER = 0.7
"""An account at or below so much of what is left to the others falls by itself. detection.md §1 has
.85 for its veto: noise alone brings a tenth of the accounts there."""

ORDINARY_DAYS, GAP_DAYS, KNOWN_LEAST = 56, 7, 28
"""The ordinary share is the median of so many days, without the last week; with fewer known days
it is still being learned. Days on which it was told of half as many accounts, or of twice as many,
are left out: those were other customers."""
STATE_DAYS = 4
"""States that are kept: days do not begin everywhere at once."""

EXPIRE_DAYS = 84
POLICY: Final = Policy(
    dwell=2, clear_days=7, expire_days=EXPIRE_DAYS, cooldown_days=0, rearm_days=1
)
"""Source: `drop`'s clear and expiry; two days, so that one odd day is no incident."""


class Shared(msgspec.Struct, frozen=True, omit_defaults=True):
    """A shared fall as the accounts of one day are judged by it.

    Attributes:
        alert_id: Of its alert.
        raised_on: Day on which it was raised.
        since: Day since which many had fallen.
        depth: Median percent of the accounts that are low: what the fall explains.
        ended: How it ended; empty while it is open.
    """

    alert_id: str
    raised_on: int
    since: int
    depth: int
    ended: Literal["", "recovered", "new_normal"] = ""

    def explains(self, ratio: float, raised_on: int | None) -> bool:
        """Tell whether an account's fall is a part of it.

        Args:
            ratio: The account's ratio of 28 days; NaN where none is known.
            raised_on: Day of an alert that is open already, or None: one that was raised before the
                fall, or beside it, stands for itself.
        """
        if self.ended or not (raised_on is None or self.since <= raised_on <= self.raised_on):
            return False
        return not ratio <= DEEPER * self.depth / 100


class Fleet(msgspec.Struct, omit_defaults=True):
    """What a partition remembers of how all accounts do; the same in every partition.

    Attributes:
        day: Newest judged day that was looked at.
        shares: Of ordinary days, the newest last: permille of fallen accounts, and of how many.
        ordinary: Permille that was ordinary when it was told last.
        since: Day since which the share is beyond `CLEAR`, or -1.
        episode: Of the shared fall.
        states: The fall as each of the newest days is judged by it; none before the first fall.
    """

    day: int = -1
    shares: list[tuple[int, int]] = msgspec.field(default_factory=list)
    ordinary: int = 0
    since: int = -1
    episode: Episode | None = None
    states: dict[int, Shared] = msgspec.field(default_factory=dict)

    def on(self, day: int) -> Shared | None:
        """Return the fall by which a day is judged: the state of that day, or of the one before."""
        return self.states.get(max((one for one in self.states if one <= day), default=-1))


class Look(NamedTuple):
    """How all accounts did.

    Attributes:
        told: Of how many it is told.
        fallen: How many of them have fallen.
        share: Permille of fallen ones.
        ordinary: Permille that is ordinary.
        median: Median percent of all; of the low ones `depth`.
        depth: See `median`.
    """

    told: int
    fallen: int
    share: int
    ordinary: int
    median: int
    depth: int

    @property
    def common(self) -> int:
        """Permille that has fallen of the accounts that are not low anyway."""
        return 1000 * (self.share - self.ordinary) // max(1000 - self.ordinary, 1)

    @property
    def shared(self) -> bool:
        """Whether it is an incident: many, and more than chance makes of the ordinary share."""
        more = 1000 * self.fallen - self.ordinary * self.told
        chance = self.told * self.ordinary * (1000 - self.ordinary)
        return self.common > SHARE and more > 0 and more**2 >= SIGMAS**2 * chance


def look(fleet: Fleet, values: Values) -> Look | None:
    """Return how all accounts did, None where too few are told, or too few days known.

    Args:
        fleet: What is remembered.
        values: The company's counts of a day.
    """
    told = values.told
    known = sorted(share for share, of in fleet.shares[:-GAP_DAYS] if of <= 2 * told <= 4 * of)
    low, median = values.median(round(100 * FALLEN_RATIO)), values.median()
    if told < TOLD_LEAST or len(known) < KNOWN_LEAST - GAP_DAYS or median is None:
        return None
    share, ordinary = 1000 * values.fallen // told, known[len(known) // 2]
    return Look(told, values.fallen, share, ordinary, median, median if low is None else low)


def step(fleet: Fleet, day: int, values: Values) -> tuple[Look, Change] | None:
    """Take a day into account, once.

    Args:
        fleet: What is remembered; it changes.
        day: The judged day; one that was looked at before changes nothing.
        values: The company's counts of two days before: that day has ended everywhere.

    Returns:
        What there is to say of it, if something changed for people.
    """
    if day <= fleet.day:
        return None
    fleet.day = day
    found, change = look(fleet, values), None
    if found is not None:
        fleet.ordinary = found.ordinary
        change = _judge(fleet, day, found)
    elif fleet.episode is not None and fleet.episode.open:
        # Of customers who are gone, or at rest, nothing more may be told: that holds nobody back.
        found = _untold(fleet, values)
        if day - fleet.episode.raised_on >= EXPIRE_DAYS:
            change = episodes.close(fleet.episode, "new_normal", POLICY)
    known = fleet.episode
    if values.told >= TOLD_LEAST and not (known is not None and known.open):
        today = 1000 * values.fallen // values.told, values.told
        fleet.shares = [*fleet.shares, today][-_KEPT:]
    if change is not None and change.reason == "new_normal":
        # What is ordinary now is to be learned anew.
        fleet.shares = []
    if known is not None and known.alert_id:
        _note(fleet, day, known, change, found)
    return None if found is None or change is None else (found, change)


_KEPT = ORDINARY_DAYS + GAP_DAYS


def _untold(fleet: Fleet, values: Values) -> Look:
    """Return what little is known of a day that tells too little."""
    share = 1000 * values.fallen // max(values.told, 1)
    before = fleet.on(fleet.day)
    depth = 100 if before is None else before.depth
    return Look(values.told, values.fallen, share, fleet.ordinary, depth, depth)


def _judge(fleet: Fleet, day: int, found: Look) -> Change | None:
    if found.common < CLEAR and (fleet.episode is None or not fleet.episode.open):
        fleet.since = -1
    elif fleet.since < 0:
        fleet.since = day
    severity = SEVERITIES.index("critical" if found.share >= CRITICAL else "high")
    verdict = Verdict(found.shared, found.common < CLEAR, severity)
    begin = Episode(RULE, OBJECT, "pending", day)
    kept, change = episodes.step(fleet.episode, verdict, day, POLICY, begin)
    if kept is not None and change is not None and change.kind == "raised":
        kept.alert_id = episodes.alert_id(COMPANY, RULE, OBJECT, kept.raised_on, kept.ordinal)
    fleet.episode = kept
    return change


def _note(
    fleet: Fleet, day: int, known: Episode, change: Change | None, found: Look | None
) -> None:
    """Keep by what the accounts of a day are judged; without news as on the day before."""
    before = fleet.on(day)
    if change is not None and change.kind == "raised" and found is not None:
        now = Shared(known.alert_id, known.raised_on, fleet.since, found.depth)
    elif before is None:
        return
    elif change is not None and change.kind == "cleared":
        reason: Literal["recovered", "new_normal"] = (
            "new_normal" if change.reason == "new_normal" else "recovered"
        )
        now, fleet.since = msgspec.structs.replace(before, ended=reason), -1
    else:
        depth = before.depth if found is None or before.ended else found.depth
        now = msgspec.structs.replace(before, depth=depth)
    fleet.states[day] = now
    for old in sorted(fleet.states)[:-STATE_DAYS]:
        del fleet.states[old]
