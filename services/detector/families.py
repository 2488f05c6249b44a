"""What a rule's selector takes of the accounts: one family per way of making series. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from services.detector.primitives.day import Series
from services.detector.products import Products
from services.detector.rules import RuleSet
from services.detector.subject import Account
from services.detector.window import Row, Window


class Asked(NamedTuple):
    """What a family is asked for.

    Attributes:
        rules: They know the flags of the metrics, and the tracked features.
        window: The days, and what is masked in them.
        selector: A metric's name, a flag, or what stands for the family.
        combined: Whether the lines of an account are judged as one.
    """

    rules: RuleSet
    window: Window
    selector: str
    combined: bool = False

    @property
    def changed(self) -> Products:
        """The product-change calendar of the judged day."""
        return self.window.closing.products


class Family(Protocol):
    """A way of making series from what is known of accounts; any module with these functions."""

    def rows(self, accounts: Iterable[Account], asked: Asked, /) -> list[Row]:
        """Return the rows of accounts, in their order; an account may have none."""

    def series(self, some: Sequence[Row], asked: Asked, day: int | None = None, /) -> Series:
        """Return the arrays of some of its rows; `day` is an earlier day that is judged again."""

    def still_taken(self, account: Account, object_: str, asked: Asked, /) -> bool:
        """Tell whether an account still has what an alert is about."""
