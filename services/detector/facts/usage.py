"""Usage: quantities summed per metric and local day."""

from typing import ClassVar

import msgspec

from schemas.envelope import Entry
from schemas.events import Fields, UsageRecorded, thousandths
from services.detector.facts.moment import Moment


class Usage(msgspec.Struct, omit_defaults=True):
    """The sums stand in the buckets; here is only when usage was seen last.

    Attributes:
        last_day: The newest local day with usage, or None.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (UsageRecorded,)

    last_day: int | None = None

    def fold(self, entry: Entry, at: Moment) -> str | None:
        """Add the quantity to its day; return why not, if refused."""
        event = entry.event
        assert isinstance(event, UsageRecorded)
        refused = at.add(event.metric, thousandths(event.quantity))
        if refused is None and (self.last_day is None or at.day > self.last_day):
            self.last_day = at.day
        return refused
