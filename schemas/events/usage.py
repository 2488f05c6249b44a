"""Product usage."""

from .fields import Fields, Id, Metric, Quantity, refuse_finer


class UsageRecorded(Fields, frozen=True, tag="usage.recorded"):
    """An account used the product; quantities of one metric and day are summed."""

    metric: Metric
    quantity: Quantity = 1
    person: Id | None = None
    feature: Metric | None = None

    def __post_init__(self) -> None:
        """Refuse a quantity that fixed-point thousandths cannot hold."""
        # Most quantities are whole, and this runs for every event: no call for them.
        if type(self.quantity) is float:
            refuse_finer("quantity", self.quantity)


class FeatureFailed(Fields, frozen=True, tag="feature.failed"):
    """A feature answered a person, or nobody in particular, with a failure."""

    feature: Metric
    person: Id | None = None
