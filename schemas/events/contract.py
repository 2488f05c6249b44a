"""Contracts."""

from datetime import date
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .fields import (
    Count,
    Currency,
    Fields,
    Id,
    Minor,
    OptionalDate,
    Quantity,
    Share,
    Text,
    refuse_finer,
)


class ContractLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One priced item of a contract, per year."""

    item: Text
    amount: Minor
    quantity: Quantity = 1

    def __post_init__(self) -> None:
        """Refuse a quantity that fixed-point thousandths cannot hold."""
        refuse_finer("quantity", self.quantity)


class Discount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A discount and the last day on which it holds."""

    share: Share
    valid_until: date | None = None
    reason: Text | None = None


class Escalator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price rise that was agreed on, and the last day to announce it."""

    share: Share
    effective_on: date
    notice_by: date | None = None


class ContractSigned(Fields, frozen=True, tag="contract.signed"):
    """A contract was signed; it replaces an earlier one of the same id."""

    contract: Id
    lines: Annotated[list[ContractLine], Meta(max_length=500)]
    currency: Currency
    start_on: date
    end_on: date
    included: Quantity | UnsetType = UNSET
    rate: Minor | UnsetType = UNSET
    discounts: Annotated[list[Discount], Meta(max_length=50)] = msgspec.field(default_factory=list)
    escalators: Annotated[list[Escalator], Meta(max_length=50)] = msgspec.field(
        default_factory=list
    )
    seats: Count | UnsetType = UNSET
    commit: Minor | UnsetType = UNSET
    notice_on: OptionalDate = UNSET
    payment_days: Annotated[int, Meta(ge=0, le=365)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a quantity that fixed-point thousandths cannot hold."""
        refuse_finer("included", self.included)


class ContractEnded(Fields, frozen=True, tag="contract.ended"):
    """A contract ended."""

    contract: Id
    ended_on: date
