"""When, for the account, an entry is folded."""

from collections.abc import Callable, Container
from functools import partial

import msgspec

from services.detector.facts.buckets import Buckets

Step = Callable[[], None]
"""Assigns what a fold has computed; must not fail."""


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
        features: Names of the features whose use is kept day by day.
    """

    time: int
    day: int
    clock: int
    judged: int
    oldest: int
    source: str
    buckets: Buckets
    features: Container[str] = ()

    def refusal(self, metric: str, amount: int) -> str | None:
        """Return why thousandths cannot be added to the day's bucket of a metric, or None."""
        return self.buckets.refusal(metric, self.day, amount, self.oldest)

    def add(self, metric: str, amount: int) -> None:
        """Add thousandths to the day's bucket of a metric, which `refusal` has allowed."""
        self.buckets.add(metric, self.day, amount, self.judged, self.source)

    def feed(self, metric: str) -> Step | None:
        """Return a step by which the source feeds a line that there is; None where it does already.

        Also who repeats what another has told feeds the line: else the first would decide whose
        outages mask its days.
        """
        if self.source in self.buckets.lines[metric].sources:
            return None
        return partial(self.buckets.feed, metric, self.source)
