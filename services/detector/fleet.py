"""A fall that many accounts share: when it begins and ends, from each day's counts. Pure.

Some accounts are always low: of a real fleet a fifth to a third. So what counts is how many of the
others have fallen, beyond the ordinary share of the weeks before. One partition judges that, where
the company is at home; it says how the fall stands, and all judge their accounts by what it said.
"""

from math import floor
from typing import Final, Literal, NamedTuple

import msgspec

from schemas.alerts import SEVERITIES
from schemas.events import IncidentJudged
from services.detector import episode as episodes
from services.detector.calendars import to_date, to_day
from services.detector.episode import Change, Episode, Policy, Verdict
from services.detector.peers import COMPANY, FALLEN_RATIO, Values
from services.detector.primitives.baseline import LAG

RULE: Final = "common-fall"
KIND: Final = "incident"
OBJECT: Final = "activity"
TITLE: Final = "Many customers fell at once"
PLAY: Final = "check-product"

LATER_DAYS = 2
"""A local day is judged by what was said of the day so long before (design.md §5.4): half a day
after that one has ended in UTC, and it has ended everywhere, how the fall stood is said, and the
first zone where the later day ends is 34 hours behind that."""

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

DEEPER, POINTS = 0.7, 10
"""An account at or below so much of what is left to the others, and so many points of a hundred
below it, falls by itself. detection.md §1 has .85 for its veto: noise alone brings a tenth of the
accounts there. Where hardly anything is left to the others nobody can fall much deeper."""

AHEAD_DAYS, SHOWN_DAYS = LATER_DAYS + 1, 3
"""How much later than the day of its counts a state is used, and how many days of a fall to nothing
show in a fortnight: while the fall does not fill the 28 days, each day takes more of them."""

ORDINARY_DAYS, GAP_DAYS, KNOWN_LEAST = 56, 7, 28
"""The ordinary share is the median of so many days, without the last week; with fewer known days
it is still being learned. Days on which it was told of half as many accounts, or of twice as many,
are left out: those were other customers."""
WHOLE_PERCENT, LATE_DAYS = 90, 7
"""Of a day on which so few of the accounts of before were counted some partition has not told yet:
nothing is judged by it. After so many days running they are taken to be gone."""

STATE_DAYS = 6
"""States that are kept: days do not end everywhere at once, and may wait a day for an input."""

EXPIRE_DAYS = 84
POLICY: Final = Policy(
    dwell=2, clear_days=7, expire_days=EXPIRE_DAYS, cooldown_days=0, rearm_days=1
)
"""Source: `drop`'s clear and expiry; two days, so that one odd day is no incident."""


class CommonFall(NamedTuple):
    """Fires when more customers fall at once than habit and chance explain; tells it as one alert.

    Some customers are always low, a fifth to a third of a real fleet: what counts is how many of
    the others have fallen. What is ordinary is learned in four weeks, which begin when an import
    has ended.

    It is wrong where all share a season that no calendar knows, such as a trade's own; and it
    says nothing of the cause.

    Attributes:
        off: Whether the company wants none of it.
        shadow: Whether it is recorded, and neither notifies anybody nor holds alerts back.
    """

    off: bool = False
    shadow: bool = False


class Shared(msgspec.Struct, frozen=True, omit_defaults=True):
    """A shared fall, as it stood when a day had ended.

    Attributes:
        alert_id: Of its alert.
        raised_on: Day on which it was raised.
        since: Day since which many had fallen.
        depth: Median percent that is left to the accounts that are low, when others are judged by
            it: what the fall explains.
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
        until = self.raised_on + LATER_DAYS
        if self.ended or not (raised_on is None or self.since <= raised_on < until):
            return False
        return not ratio <= min(DEEPER * self.depth, self.depth - POINTS) / 100

    def event(self, day: int) -> IncidentJudged:
        """Return the event that tells it to every partition; `day` is the one that had ended."""
        return IncidentJudged(
            day=to_date(day),
            alert=self.alert_id,
            raised_on=to_date(self.raised_on),
            since=to_date(self.since),
            depth=self.depth,
            ended=self.ended,
        )


class Fleet(msgspec.Struct, omit_defaults=True):
    """What a partition remembers of how all accounts do.

    Only `states` is known in every partition, and the same; the rest where the company is at home.

    Attributes:
        day: Newest day after which was looked.
        shares: Of ordinary days, the newest last: permille of fallen accounts, and of how many.
        ordinary: Permille that was ordinary when it was told last.
        since: Day since which the share is beyond `CLEAR`, or -1.
        episode: Of the shared fall.
        states: The fall as it stood after the newest days, as far as that was said.
        now: The fall as it stands; none before the first one.
        said: What was said last of it to every partition.
        whole: The newest day after which all had told how their accounts do.
        accounts: How many accounts those were.
    """

    day: int = -1
    shares: list[tuple[int, int]] = msgspec.field(default_factory=list)
    ordinary: int = 0
    since: int = -1
    episode: Episode | None = None
    states: dict[int, Shared] = msgspec.field(default_factory=dict)
    now: Shared | None = None
    said: Shared | None = None
    whole: int = -1
    accounts: int = 0

    def on(self, day: int) -> Shared | None:
        """Return the fall as it stood after a day: as was said of it, or of the newest before."""
        return self.states.get(max((one for one in self.states if one <= day), default=-1))

    def hear(self, event: IncidentJudged) -> bool:
        """Keep how the fall stood; tell whether that is news.

        Whoever takes the home partition over says again what was said already: what came first
        holds, and the accounts that were judged by it stay as they are.
        """
        day = to_day(event.day)
        if day <= max(self.states, default=-1):
            return False
        self.states[day] = Shared(
            event.alert, to_day(event.raised_on), to_day(event.since), event.depth, event.ended
        )
        for old in sorted(self.states)[:-STATE_DAYS]:
            del self.states[old]
        return True


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


def step(
    fleet: Fleet, day: int, values: Values, *, off: bool = False
) -> tuple[Look, Change] | None:
    """Take a day into account, once.

    Args:
        fleet: What is remembered; it changes.
        day: The day that has ended; one after which was looked before changes nothing.
        values: The company's counts of the day before: that one has ended everywhere.
        off: Whether nothing is to be raised: what is ordinary is learned all the same.

    Returns:
        What there is to say of it, if something changed for people.
    """
    if day <= fleet.day:
        return None
    fleet.day = day
    values = _whole(fleet, values)
    seen, change = look(fleet, values), None
    found = seen or _untold(fleet, values)
    known = fleet.episode
    if off:
        change = _end(fleet)
    elif seen is not None:
        fleet.ordinary = seen.ordinary
        change = _judge(fleet, day, seen)
        known = fleet.episode
    elif known is not None and known.open and day - known.raised_on >= EXPIRE_DAYS:
        # Of customers who are gone, or at rest, nothing more may be told: that holds nobody back.
        change = episodes.close(known, "new_normal", POLICY)
    if values.told >= TOLD_LEAST and not (known is not None and known.open):
        today = 1000 * values.fallen // values.told, values.told
        fleet.shares = [*fleet.shares, today][-_KEPT:]
    if change is not None and change.reason == "new_normal":
        # What is ordinary now is to be learned anew.
        fleet.shares = []
    if known is not None and known.alert_id:
        _note(fleet, known, change, seen)
    return None if change is None else (found, change)


_KEPT = ORDINARY_DAYS + GAP_DAYS


def _whole(fleet: Fleet, values: Values) -> Values:
    """Return the counts of a day; of one that some partition has not told of yet, none at all."""
    late = 100 * values.accounts < WHOLE_PERCENT * fleet.accounts
    if late and fleet.day - fleet.whole <= LATE_DAYS:
        return Values()
    fleet.whole, fleet.accounts = fleet.day, values.accounts
    return values


def _untold(fleet: Fleet, values: Values) -> Look:
    """Return what little is known of a day that tells too little."""
    share = 1000 * values.fallen // max(values.told, 1)
    depth = 100 if fleet.now is None else fleet.now.depth
    return Look(values.told, values.fallen, share, fleet.ordinary, depth, depth)


def _end(fleet: Fleet) -> Change | None:
    """Forget a fall that nobody wants to be told; what was told of it is taken back."""
    if fleet.episode is not None and fleet.episode.open:
        return episodes.close(fleet.episode, "superseded", POLICY)
    fleet.episode, fleet.since = None, -1
    return None


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


def _left(fleet: Fleet, depth: int) -> int:
    """Return the percent that will be left of 28 days when accounts are judged by it."""
    lasted = fleet.day - fleet.since + SHOWN_DAYS
    more = max(0, min(AHEAD_DAYS, LAG - lasted))
    depth = min(depth, 100)
    a_day = min((100 - depth) / lasted, 100 / LAG)
    return max(0, floor(depth - more * a_day))


def _note(fleet: Fleet, known: Episode, change: Change | None, found: Look | None) -> None:
    """Keep how the fall stands; without news as before."""
    # Snapshots of before `now` was kept have it among the states.
    before = fleet.now = fleet.now or fleet.on(fleet.day)
    if change is not None and change.kind == "raised" and found is not None:
        left = _left(fleet, found.depth)
        fleet.now = Shared(known.alert_id, known.raised_on, fleet.since, left)
    elif before is None:
        return
    elif change is not None and change.kind == "cleared":
        ended: Literal["recovered", "new_normal"] = (
            "new_normal" if change.reason == "new_normal" else "recovered"
        )
        fleet.now, fleet.since = msgspec.structs.replace(before, ended=ended), -1
    elif found is not None and not before.ended:
        fleet.now = msgspec.structs.replace(before, depth=_left(fleet, found.depth))
