"""Invoices, payments, disputes, procurement."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .fields import Currency, Fields, Id, Minor, Quantity, Share, Text, refuse_finer


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an invoice."""

    item: Text
    amount: Minor
    quantity: Quantity = 1
    discount_share: Share = 0.0

    def __post_init__(self) -> None:
        """Refuse a quantity that fixed-point thousandths cannot hold."""
        refuse_finer("quantity", self.quantity)


class InvoiceIssued(Fields, frozen=True, tag="invoice.issued"):
    """An invoice was issued."""

    invoice: Id
    lines: Annotated[list[InvoiceLine], Meta(max_length=1000)]
    currency: Currency
    due_on: date


class InvoicePaid(Fields, frozen=True, tag="invoice.paid"):
    """An invoice was paid."""

    invoice: Id
    paid_on: date | None = None


class PaymentFailed(Fields, frozen=True, tag="payment.failed"):
    """A charge failed."""

    payment: Id
    amount: Minor | None = None
    currency: Currency | None = None
    method: Text | None = None
    next_retry_on: date | None = None


class PaymentSucceeded(Fields, frozen=True, tag="payment.succeeded"):
    """A charge succeeded."""

    payment: Id
    amount: Minor | None = None
    currency: Currency | None = None


class PaymentMethodUpdated(Fields, frozen=True, tag="payment_method.updated"):
    """A payment method was added or replaced."""

    method: Text
    expires_on: date | None = None


class DisputeOpened(Fields, frozen=True, tag="dispute.opened"):
    """The customer disputes a charge."""

    dispute: Id
    amount: Minor | None = None
    currency: Currency | None = None


class DisputeClosed(Fields, frozen=True, tag="dispute.closed"):
    """A dispute was closed."""

    dispute: Id


class ProcurementMoved(Fields, frozen=True, tag="procurement.moved"):
    """A step of the customer's procurement changed its state."""

    step: Text
    state: Literal["open", "done", "blocked"]
