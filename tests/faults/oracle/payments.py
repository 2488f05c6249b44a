"""Payments of an account: failures since the last success."""

from dataclasses import dataclass, field
from typing import Any

from schemas.events import PaymentFailed, PaymentMethodUpdated, PaymentSucceeded

from .reading import NEVER, Stamp

PAYMENTS, METHODS, FAILURES = 100, 20, 20


@dataclass
class Payment:
    """One charge: its failures after the newest success, and what the newest of them said."""

    failures: list[Stamp] = field(default_factory=list)
    succeeded: Stamp = NEVER
    said: PaymentFailed | None = None

    @property
    def newest(self) -> Stamp:
        """Stamp of the newest that is known of it."""
        return max([self.succeeded, *self.failures])


@dataclass
class Payments:
    """Payments by id, methods by name."""

    known: dict[str, Payment] = field(default_factory=dict)
    methods: dict[str, Stamp] = field(default_factory=dict)

    def fold(
        self, event: PaymentFailed | PaymentSucceeded | PaymentMethodUpdated, stamp: Stamp
    ) -> str | None:
        """Take an event over; return why not, if refused."""
        if isinstance(event, PaymentMethodUpdated):
            if event.method not in self.methods and len(self.methods) >= METHODS:
                return "too_many_payment_methods"
            self.methods[event.method] = max(stamp, self.methods.get(event.method, NEVER))
            return None
        if event.payment not in self.known and len(self.known) >= PAYMENTS:
            del self.known[min(self.known, key=lambda id: (self.known[id].newest, id))]
        payment = self.known.setdefault(event.payment, Payment())
        if isinstance(event, PaymentFailed):
            _fail(payment, event, stamp)
        else:
            payment.succeeded = max(payment.succeeded, stamp)
            payment.failures = [one for one in payment.failures if one > payment.succeeded]
        return None

    def plain(self) -> dict[str, Any]:
        """Return what is compared, as plain JSON: failures by payment, names of methods."""
        return {
            "failures": {id: len(one.failures) for id, one in self.known.items()},
            "methods": sorted(self.methods),
        }


def _fail(payment: Payment, event: PaymentFailed, stamp: Stamp) -> None:
    if stamp <= payment.succeeded or stamp in payment.failures:
        return
    if stamp > max(payment.failures, default=NEVER):
        payment.said = event
    payment.failures = sorted({*payment.failures, stamp})[-FAILURES:]
