"""Usage: quantities summed per metric and local day, and per tracked feature."""

from functools import partial
from typing import ClassVar

import msgspec

from schemas.envelope import Entry
from schemas.events import Fields, UsageRecorded, thousandths
from services.detector.facts.buckets import FEATURE
from services.detector.facts.moment import Moment, Step


class Usage(msgspec.Struct, omit_defaults=True):
    """The sums stand in the buckets; here is only when usage was seen last.

    Attributes:
        last_day: The newest local day with usage, or None.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (UsageRecorded,)

    last_day: int | None = None

    def fold(self, entry: Entry, at: Moment) -> Step | str | None:
        """Add the quantity to its day, and to that of its feature if that is tracked."""
        event = entry.event
        assert isinstance(event, UsageRecorded)
        amount = thousandths(event.quantity)
        refused = at.refusal(event.metric, amount)
        if refused is not None or event.feature is None or event.feature not in at.features:
            return refused or partial(self._add, event.metric, amount, at)
        line = FEATURE + event.feature
        refused = at.refusal(line, amount)
        return refused or partial(self._add, event.metric, amount, at, line)

    def _add(self, metric: str, amount: int, at: Moment, feature: str | None = None) -> None:
        at.add(metric, amount)
        if feature is not None:
            at.add(feature, amount)
        if self.last_day is None or at.day > self.last_day:
            self.last_day = at.day
