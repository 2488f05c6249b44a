"""When, for the account, an entry is folded."""

import msgspec

from services.detector.facts.buckets import Buckets


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What a fold needs to know beside the entry.

    Attributes:
        time: The event's time, microseconds since 1970-01-01 UTC.
        day: The account's local day of the event.
        clock: The partition's clock, microseconds.
        judged: The account's day that was judged last.
        oldest: The first day that buckets keep.
        source: The event's source.
        buckets: The account's day buckets.
    """

    time: int
    day: int
    clock: int
    judged: int
    oldest: int
    source: str
    buckets: Buckets

    def add(self, metric: str, amount: int) -> str | None:
        """Add thousandths to the day's bucket of a metric; return why not, if refused."""
        return self.buckets.add(metric, self.day, amount, self.judged, self.oldest, self.source)
