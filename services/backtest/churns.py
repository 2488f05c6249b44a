"""What became of the customers: who left, and when. Records only, pure."""

from collections import Counter
from datetime import date
from typing import NamedTuple


class Churn(NamedTuple):
    """A customer that left; churns compare in the order of their days.

    Attributes:
        on: The day.
        account: The account.
        amount: Yearly revenue lost, minor units; None if nobody told.
    """

    on: date
    account: str
    amount: int | None


class Truth(NamedTuple):
    """What became of the customers.

    Attributes:
        churns: By day and account.
        refused: Refused rows by reason.
        examples: The first of them, for a person.
    """

    churns: list[Churn]
    refused: Counter[str]
    examples: list[str]
