"""What primitives that look at facts, rather than at arrays of counts, are given and answer."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from schemas.alerts import Severity
from schemas.envelope import Entry
from schemas.events import Fields
from services.detector.facts import Facts
from services.detector.primitives.day import Params


class Finding(NamedTuple):
    """What a primitive says of one object of an account.

    Attributes:
        object: What it is about: a person, a payment, a date.
        fires: The condition holds.
        clears: The clear condition holds.
        severity: How bad it is, while it fires.
        because: The evidence, plain JSON.
        ratio: Observed / usual of 28 days; NaN where the condition does not compare them.
        usual: What it is compared with, where that becomes used to what holds.
    """

    object: str
    fires: bool
    clears: bool
    severity: Severity
    because: dict[str, Any]
    ratio: float = float("nan")
    usual: float | None = None


class DatePrimitive(Protocol):
    """A condition over facts and the calendar, judged when a day has ended."""

    name: ClassVar[str]
    Params: ClassVar[type[Params]]

    @staticmethod
    def kind(params: Any) -> str:
        """Return the alert kind of formats.md for these parameters."""

    @staticmethod
    def history_days(params: Any) -> int:
        """Return how many days of buckets the condition depends on, by the data states."""

    @staticmethod
    def is_idle(facts: Facts) -> bool:
        """Tell whether nothing is known that could be found: then `judge` need not be asked."""

    @staticmethod
    def judge(facts: Facts, day: int, states: Mapping[str, str], params: Any) -> Sequence[Finding]:
        """Judge one account; an open object that is not among the findings is over.

        Args:
            facts: What the account is at the end of the day; not changed.
            day: The judged local day.
            states: Data state of each metric, such as `ok` or `warming_up`.
            params: The rule's parameters.
        """


class EventPrimitive(Protocol):
    """A condition over facts, judged after an event of certain types has been folded."""

    name: ClassVar[str]
    Params: ClassVar[type[Params]]

    @staticmethod
    def kind(params: Any) -> str:
        """Return the alert kind of formats.md for these parameters."""

    @staticmethod
    def wakes(params: Any) -> tuple[type[Fields], ...]:
        """Return the event types after which `judge` is asked."""

    @staticmethod
    def judge(facts: Facts, entry: Entry, day: int, params: Any) -> Sequence[Finding]:
        """Judge one account after an entry has been folded into it.

        Args:
            facts: What the account is, the entry included; not changed.
            entry: The entry.
            day: The account's local day of the event.
            params: The rule's parameters.
        """
