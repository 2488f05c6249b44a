"""Payments: failures since the last success, and payment methods with their expiry."""

from datetime import date
from typing import ClassVar

import msgspec

from schemas.envelope import Entry
from schemas.events import Fields, PaymentFailed, PaymentMethodUpdated, PaymentSucceeded
from services.detector.facts.contacts import NEVER, Stamp, stamp_of
from services.detector.facts.moment import Moment

PAYMENT_LIMIT = 100
FAILURE_LIMIT = 20
METHOD_LIMIT = 20


class Payment(msgspec.Struct, omit_defaults=True):
    """One charge that failed at least once, or succeeded.

    Attributes:
        failures: Stamps of the newest failures after the newest success, in order.
        succeeded: Stamp of the newest success.
        amount: Minor units, as the newest event said.
        currency: ISO 4217.
        method: What was charged.
        next_retry_on: When it is tried again.
    """

    failures: list[Stamp] = msgspec.field(default_factory=list)
    succeeded: Stamp = NEVER
    amount: int | None = None
    currency: str | None = None
    method: str | None = None
    next_retry_on: date | None = None

    @property
    def newest(self) -> Stamp:
        """Stamp of the newest thing known of the payment."""
        return max([self.succeeded, *self.failures])


class Method(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment method."""

    stamp: Stamp
    expires_on: date | None = None


class Payments(msgspec.Struct, omit_defaults=True):
    """Payments by id, and payment methods by name."""

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (
        PaymentFailed,
        PaymentSucceeded,
        PaymentMethodUpdated,
    )

    payments: dict[str, Payment] = msgspec.field(default_factory=dict)
    methods: dict[str, Method] = msgspec.field(default_factory=dict)

    def fold(self, entry: Entry, at: Moment) -> str | None:
        """Take the event over; return why not, if refused."""
        event = entry.event
        stamp = stamp_of(at.time, entry.id)
        if isinstance(event, PaymentMethodUpdated):
            return self._method(event, stamp)
        assert isinstance(event, PaymentFailed | PaymentSucceeded)
        payment = self._payment(event.payment)
        if isinstance(event, PaymentFailed):
            _failed(payment, event, stamp)
        else:
            payment.succeeded = max(payment.succeeded, stamp)
            payment.failures = [one for one in payment.failures if one > payment.succeeded]
        return None

    def _payment(self, payment_id: str) -> Payment:
        known = self.payments.get(payment_id)
        if known is None:
            if len(self.payments) >= PAYMENT_LIMIT:
                oldest = min(self.payments, key=lambda one: (self.payments[one].newest, one))
                del self.payments[oldest]
            known = self.payments[payment_id] = Payment()
        return known

    def _method(self, event: PaymentMethodUpdated, stamp: Stamp) -> str | None:
        known = self.methods.get(event.method)
        if known is None and len(self.methods) >= METHOD_LIMIT:
            return "too_many_payment_methods"
        if known is None or stamp > known.stamp:
            self.methods[event.method] = Method(stamp, event.expires_on)
        return None


def _failed(payment: Payment, event: PaymentFailed, stamp: Stamp) -> None:
    if stamp <= payment.succeeded or stamp in payment.failures:
        return
    newest = not payment.failures or stamp > payment.failures[-1]
    payment.failures = sorted([*payment.failures, stamp])[-FAILURE_LIMIT:]
    if newest:
        payment.amount = event.amount
        payment.currency = event.currency
        payment.method = event.method
        payment.next_retry_on = event.next_retry_on
