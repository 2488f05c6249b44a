"""What concerns the whole company, or every account."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from .fields import Currency, FieldError, Fields, Id, Metric, Minor, Text


class ArrMoved(Fields, frozen=True, tag="arr.moved"):
    """Recurring revenue moved."""

    kind: Literal["new", "expansion", "contraction", "churn"]
    amount: Minor
    effective_on: date
    currency: Currency | None = None


class SpendRecorded(Fields, frozen=True, tag="spend.recorded"):
    """Money was spent on sales or marketing."""

    amount: Minor
    month: Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)")]
    currency: Currency | None = None


class TargetSet(Fields, frozen=True, tag="target.set"):
    """A sales target of a period."""

    period: Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2]|Q[1-4])$(?!\n)")]
    amount: Minor
    currency: Currency | None = None


class FxSet(Fields, frozen=True, tag="fx.set"):
    """The rate of a currency in the reporting currency, on a day."""

    currency: Currency
    rate: Annotated[float, Meta(gt=0)]
    on: date


class EmployeeLeft(Fields, frozen=True, tag="employee.left"):
    """One of ours left."""

    colleague: Id


class ProductChanged(Fields, frozen=True, tag="product.changed"):
    """We changed a feature, so that a fall in its use is our own doing."""

    feature: Metric
    change: Literal["retired", "renamed", "limited", "released"]
    into: Metric | None = None


class ClosureDeclared(Fields, frozen=True, tag="closure.declared", rename={"from_": "from"}):
    """Days, both included, that are no ordinary days: of one account, or of everybody."""

    from_: date
    to: date
    reason: Text | None = None

    def __post_init__(self) -> None:
        """Refuse a closure that ends before it begins, or lasts longer than a year."""
        if not 0 <= (self.to - self.from_).days <= 366:
            detail = f"closure from {self.from_} to {self.to} must last 1 to 367 days"
            raise FieldError("to", detail)
