"""Usage: quantities summed per metric and local day."""

from functools import partial
from typing import ClassVar

import msgspec

from schemas.envelope import Entry
from schemas.events import Fields, UsageRecorded, thousandths
from services.detector.facts.moment import Moment, Step


class Usage(msgspec.Struct, omit_defaults=True):
    """The sums stand in the buckets; here is only when usage was seen last.

    Attributes:
        last_day: The newest local day with usage, or None.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (UsageRecorded,)

    last_day: int | None = None

    def fold(self, entry: Entry, at: Moment) -> Step | str | None:
        """Add the quantity to its day."""
        event = entry.event
        assert isinstance(event, UsageRecorded)
        amount = thousandths(event.quantity)
        return at.refusal(event.metric, amount) or partial(self._add, event.metric, amount, at)

    def _add(self, metric: str, amount: int, at: Moment) -> None:
        at.add(metric, amount)
        if self.last_day is None or at.day > self.last_day:
            self.last_day = at.day
