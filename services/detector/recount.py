"""The days of an account, counted once more from its events, as far as the log goes back. Pure."""

from collections.abc import Sequence
from copy import deepcopy

import msgspec

from schemas import envelope
from schemas.envelope import Entry, account
from schemas.events import SYSTEM, AccountErased, ClockTicked
from services.detector import facts
from services.detector.calendars import DAY_US, GRACE_US, local_day
from services.detector.facts import Facts, Moment
from services.detector.facts.profile import Profile
from services.detector.ledger import REPAIR, Ledger
from services.detector.refusals import AHEAD_US
from services.detector.system import TICK_AHEAD_US

_SYSTEM = frozenset(SYSTEM.values())


class _Every:
    """Whatever feature a rule set of then has tracked, its days are counted."""

    def __contains__(self, feature: object) -> bool:
        return True


EVERY = _Every()


class Recount:
    """Folds the events of one account into empty days, up to where a day was judged.

    Repeated entries are told by the rules of the detector's own ledger, which begins empty where
    the log begins: what was sent before that, and again after it, would be counted. An entry that a
    repair has sent again counts where it stood first, while the account was held back, or where it
    came again if it stands nowhere in the log. A day counts as judged from when it was due.

    Args:
        account_id: The account.
        profile: What is known of it now; its time zones file the events.
        stamp: Offset at which the day was judged; later messages are not counted.
        due: When the day was due, microseconds: of the message at the stamp, what stands behind
            the tick that said so is not counted.
        partitions: Partition count of the deployment.
    """

    def __init__(
        self, account_id: str, profile: Profile, stamp: int, due: int, partitions: int
    ) -> None:
        self._subject = account(account_id)
        self._stamp = stamp
        self._due = due
        self._ledger = Ledger(partitions)
        self._facts = Facts(profile=deepcopy(profile))
        self._clock = self._erased = 0
        self._counted: set[tuple[int, int]] = set()
        self.events = 0

    def take(self, offset: int, appended: int, message: bytes | None) -> bool:
        """Count one message.

        Args:
            offset: Its offset.
            appended: Its append time, microseconds since 1970-01-01 UTC.
            message: Its value.

        Returns:
            Whether the next one may count.
        """
        entries, _ = envelope.decode(message)
        hashes = self._ledger.hashes(entries)
        known = self._ledger.repeated(hashes, entries)
        for (place, entry), hashed, repeated in zip(entries, hashes, known, strict=True):
            system = type(entry.event) in _SYSTEM
            if offset == self._stamp and self._is_due(entry):
                return False
            if self._ledger.admit(entry, appended, 0 if system else hashed, repeated):
                continue
            if system:
                self._system(entry, appended)
            elif self._subject in entry.subjects and (
                self._comes_again(entry) or self._fold(entry, appended)
            ):
                self._counted.add((offset, place))
        return offset < self._stamp

    def day_of(self, time: int) -> int:
        """Return the account's local day of an instant in microseconds."""
        return self._facts.profile.day_of(time)

    def counts(self, metrics: Sequence[str], first: int, end: int) -> list[float]:
        """Return what was counted on each of some days.

        Args:
            metrics: Lines of day buckets, added up.
            first: The first day, days since 1970-01-01.
            end: The day after the last one.
        """
        lines = self._facts.buckets.lines
        spans = [lines[name].span(first, end) for name in metrics if name in lines]
        return [sum(day) / 1000 for day in zip(*spans, strict=True)] or [0.0] * (end - first)

    def _is_due(self, entry: Entry) -> bool:
        return isinstance(entry.event, ClockTicked) and entry.event.at >= self._due

    def _system(self, entry: Entry, appended: int) -> None:
        """Follow the clock, and forget what was counted before the account was erased."""
        event = entry.event
        if isinstance(event, ClockTicked):
            if event.at <= appended + TICK_AHEAD_US:
                self._clock = max(self._clock, event.at)
        elif isinstance(event, AccountErased) and self._subject in entry.subjects:
            time = entry.time or appended
            if self._erased < time <= appended + AHEAD_US:
                self._erased = time
                self._facts = Facts(profile=self._facts.profile)

    def _comes_again(self, entry: Entry) -> bool:
        """Tell whether a repair has sent an entry that was counted where it stood."""
        origin = entry.origin
        if origin is None or origin.input != REPAIR + self._subject:
            return False
        return (origin.offset, origin.place) in self._counted

    def _fold(self, entry: Entry, appended: int) -> bool:
        """Count an entry; tell whether it has had its turn, be it refused."""
        time = entry.time or appended
        if not self._erased < time <= appended + AHEAD_US:
            return True
        known = self._facts
        day = known.profile.day_of(time) if entry.day is None else entry.day
        timed = msgspec.structs.replace(entry, time=time)
        judged = self._judged()
        moment = Moment(time, day, appended, judged, 0, entry.source, known.buckets, EVERY)
        try:
            refused = facts.fold(known, timed, moment)
        except (MemoryError, RecursionError):
            raise
        except Exception:
            # It holds the account back until a repair, with which it comes again.
            return False
        self.events += refused is None
        return True

    def _judged(self) -> int:
        """Return the newest of the account's days that was due, -1 before the first tick."""
        if not self._clock:
            return -1
        return self._facts.profile.reached(lambda zone: local_day(zone, self._clock - GRACE_US) - 1)


def first_whole_day(recount: Recount, start: int, appended: int) -> int:
    """Return the first day of which the log must hold every event.

    Args:
        recount: It knows the account's time zones.
        start: First offset that the log keeps.
        appended: Append time of the message there, microseconds.

    Returns:
        Days since 1970-01-01; 0 where nothing of the log was deleted. An event may be ten minutes
        ahead of its own append time, so the day must begin later than that.
    """
    if start == 0:
        return 0
    return recount.day_of(appended + AHEAD_US) + 1 if appended >= 0 else DAY_US
