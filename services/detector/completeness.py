"""How far the inputs have come: no day is judged before its data are there (design.md §4, Clock).

A day whose inputs do not come is judged all the same after a while, with what they feed masked.
"""

from collections.abc import Iterable, Iterator

import msgspec

from schemas.config import Input
from schemas.events import ClockTicked
from services.detector.calendars import DAY_US, GRACE_US, HOUR_US, local_day
from services.detector.ledger import Ledger

LATE_US = 6 * HOUR_US
"""How long a day waits for late inputs, from when it is due. Source: design.md §4."""

RESUMED_US = 600_000_000
"""Ticks further apart than ten minutes: nobody carried data meanwhile, and the wait begins anew."""

LATEST_US = 24 * HOUR_US
"""How long a day waits at most, however often the wait begins anew: a wait that one outage of up to
`LONG_US` interrupts is over by then. Source: DECISIONS.md 44."""

LONG_US = 12 * HOUR_US
"""After an outage of more than that the wait begins anew even so."""

TOLD_DAYS = 7
"""After so many days of ticks that tell of other partitions of its input only, an input partition
is no longer waited for: one that a topic created anew does not have must not delay every day for
ever."""

PARTITION_LIMIT = 2_000
FED_LIMIT = 200


class _Configured(msgspec.Struct):
    """What is read of a rule set here."""

    inputs: dict[str, Input] = {}


class Completeness:
    """Up to when each input of the rule set in force is in the log, for one partition.

    Args:
        ledger: Keeps what ticks have told, and holds the rule set in force.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._record = ledger.record
        self._inputs: dict[str, Input] = {}
        self._last = ("", "")
        self.configure()

    def configure(self) -> None:
        """Take the inputs of the rule set in force; what is known of others is forgotten."""
        record = self._record
        content = self._ledger.rule_sets.get(record.rules, "{}")
        before, self._inputs = self._inputs, msgspec.json.decode(content, type=_Configured).inputs
        self._last = ("", "")
        same = {
            name
            for name, now in self._inputs.items()
            if name not in before or before[name].topic == now.topic
        }
        self._forget([key for key in record.complete if _input_of(key) not in same])
        for name in record.fed.keys() - same:
            del record.fed[name]

    def feed(self, name: str, source: str) -> None:
        """Note that an input has sent something of a source."""
        if self._last == (name, source):
            return
        self._last = (name, source)
        fed = self._record.fed
        if name not in self._inputs or source in fed.get(name, ()):
            return
        if sum(map(len, fed.values())) < FED_LIMIT:
            fed[name] = sorted((*fed.get(name, ()), source))

    def hear(self, tick: ClockTicked) -> None:
        """Take over what a tick says; ticks of several replicas may come in any order."""
        complete, told = self._record.complete, self._record.told
        for key, until in tick.complete_until.items():
            name = _input_of(key)
            if name not in self._inputs:
                continue
            complete.pop(_untold(name), None)
            if key in complete or len(complete) < PARTITION_LIMIT:
                # A record's own time may lie in the future, that of the tick does not.
                complete[key] = max(complete.get(key, 0), min(until, tick.at))
                told[key] = max(told.get(key, 0), tick.at // DAY_US)
        for name, sources in tick.fed.items():
            # Also what it carried into other partitions: what is masked when it is late must not
            # depend on which accounts share one.
            for source in sources:
                self.feed(name, source)

    def proceed(self, clock: int) -> None:
        """Note that the clock is about to move, before the ledger's does.

        Args:
            clock: Microseconds since 1970-01-01 UTC, later than the ledger's.
        """
        record = self._record
        outage = clock - record.clock
        if outage > RESUMED_US:
            record.resumed = clock
        if outage > LONG_US:
            record.returned = clock
        oldest = clock // DAY_US - TOLD_DAYS
        # While nobody ticked, nobody could tell.
        if record.resumed // DAY_US < oldest:
            told = {_input_of(key) for key, day in record.told.items() if day >= oldest}
            gone = (key for key, day in record.told.items() if day < oldest)
            self._forget([key for key in gone if _input_of(key) in told])
        if record.mode != "importing":
            self._await(record.clock or clock)

    def opens(self, due: int) -> bool:
        """Tell whether a day may be judged at the ledger's clock.

        Days that are due earlier may be whenever a later one may: they open in order of due.

        Args:
            due: When the day was due, microseconds since 1970-01-01 UTC.
        """
        record = self._record
        if record.clock < due:
            return False
        return (
            record.mode == "importing"
            or min(record.complete.values(), default=due) >= due - GRACE_US
            or record.clock >= self._waits_until(due)
        )

    def _waits_until(self, due: int) -> int:
        """Return when a day is judged whatever is late; a later due is never earlier."""
        record = self._record
        waited = max(due, record.resumed) + LATE_US
        return min(waited, max(due + LATEST_US, record.returned + LATE_US))

    def late_inputs(self, due: int) -> list[str]:
        """Return the inputs of the rule set that are not complete to the end of a day, by name.

        Args:
            due: When the day was due, microseconds since 1970-01-01 UTC.
        """
        if self._record.mode == "importing":
            return []
        return sorted(name for name, until in self._until().items() if until < due - GRACE_US)

    @property
    def inputs(self) -> list[str]:
        """The inputs of the rule set in force, by name."""
        return sorted(self._inputs)

    def late(self, due: int, zone: str, day: int, days: int) -> Iterator[tuple[str, int, int]]:
        """Yield what is masked in a day that did not wait any longer.

        Args:
            due: When the day was due, microseconds since 1970-01-01 UTC.
            zone: Time zone of the local days.
            day: The judged day.
            days: How many days up to it are looked at.

        Yields:
            A source of a late input, and its first and last local day that are not complete.
        """
        reached = self._until()
        for name in self.late_inputs(due):
            first = max(local_day(zone, reached[name]), day - days + 1)
            # Its own source too: what came by forwards does not say which input sent it.
            for source in sorted({*self._record.fed.get(name, ()), self._inputs[name].source}):
                yield source, first, day

    def _await(self, since: int) -> None:
        """Take inputs that no tick has told of for complete up to now, and no further."""
        told = {_input_of(key) for key in self._record.complete}
        for name in self._inputs:
            if name not in told:
                self._record.complete[_untold(name)] = since

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self._record.complete[key]
            self._record.told.pop(key, None)

    def _until(self) -> dict[str, int]:
        """Return up to when each input is complete in all of its partitions."""
        found: dict[str, int] = {}
        for key, until in self._record.complete.items():
            name = _input_of(key)
            found[name] = min(until, found.get(name, until))
        return found


def _untold(name: str) -> str:
    """Return the key that stands for all partitions of an input until a tick tells of one."""
    return f"{name}/"


def _input_of(key: str) -> str:
    """Return the input of an `input/partition`."""
    return key.rpartition("/")[0]
