"""A rule's cases: stories told by day, played through a partition as the live log would bring them.

The language is described in packs/README.md.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.alerts import Severity
from schemas.config import FEATURE_LIMIT, FeatureFlags, MetricFlags
from schemas.envelope import Entry, account
from schemas.events import (
    DECODERS,
    AccountUpdated,
    ProductChanged,
    TicketOpened,
    UsageRecorded,
)
from services.detector.calendars import DAY_US, HOUR_US, to_date, to_day

START = to_day(date(2026, 1, 5)) - 1
"""The day before day 1, which is a Monday; no year's end falls on days 1 to 349."""

SOURCE = "case"
ACCOUNT = "case"
NOON_US = 12 * HOUR_US
LAST_DAY = 1000

Day = Annotated[int, Field(ge=1, le=LAST_DAY)]
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Days(_Told):
    """The same on each of some days.

    Attributes:
        days: First and last day, as `"1..140"` or `"7"`.
        weekdays: `"mon-fri"`, `"sat"`, `"mon,thu"`; other weekdays of the stretch bring nothing.
    """

    days: str
    weekdays: str = "mon-sun"

    @field_validator("days")
    @classmethod
    def _has_days(cls, told: str) -> str:
        found = re.fullmatch(r"(\d{1,4})(?:\.\.(\d{1,4}))?", told)
        if not found or not 1 <= int(found[1]) <= int(found[2] or found[1]) <= LAST_DAY:
            raise ValueError(f"days are a..b with 1 <= a <= b <= {LAST_DAY}")
        return told

    @field_validator("weekdays")
    @classmethod
    def _has_weekdays(cls, told: str) -> str:
        _weekdays(told)
        return told

    def holds(self, day: int) -> bool:
        """Tell whether a day is one of them."""
        first, last = _span(self.days)
        return first <= day <= last and (day - 1) % 7 in _weekdays(self.weekdays)


class Stretch(_Days):
    """The same usage on each of some days.

    Attributes:
        each: Units a day (for every one of `people`), 0 to 10^12, at most three decimals.
        metric: The metric.
        person: Who it was.
        people: How many people it was, u1 to u`people`; 1..500.
        feature: The feature that was used.
    """

    each: Annotated[float, Field(ge=0, le=1e12)]
    metric: str = "usage"
    person: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    people: Annotated[int, Field(ge=1, le=500)] | None = None
    feature: str | None = None

    @model_validator(mode="after")
    def _is_usage(self) -> "Stretch":
        if self.person is not None and self.people is not None:
            raise ValueError("person and people exclude each other: leave one out")
        used = {"metric": self.metric, "quantity": self.each, "feature": self.feature}
        decode("usage.recorded", used)
        return self

    def entries(self, day: int) -> Iterator[UsageRecorded]:
        """Yield the usage of a day, if the stretch has any then."""
        if not self.holds(day):
            return
        people = [self.person] if self.people is None else _people(self.people)
        for person in people:
            yield UsageRecorded(
                metric=self.metric, quantity=self.each, person=person, feature=self.feature
            )


class Tickets(_Days):
    """As many new tickets on each of some days.

    Attributes:
        each: Tickets a day, 1..500.
        priority: 1, the most urgent, to 5.
    """

    each: Annotated[int, Field(ge=1, le=500)] = 1
    priority: Annotated[int, Field(ge=1, le=5)] = 3

    def entries(self, day: int) -> Iterator[TicketOpened]:
        """Yield the tickets of a day, if any are opened then; each has an id of its own."""
        if self.holds(day):
            for n in range(1, self.each + 1):
                name = f"p{self.priority}-{self.days}-{day}-{n}"
                yield TicketOpened(ticket=name, priority=self.priority)


class Happening(_Told):
    """One event of the account, at noon.

    Attributes:
        day: When.
        type: A native event type.
        data: Its fields; one named `x_day` is the date `x_on`, told by its day's number.
    """

    day: Day
    type: str
    data: dict[str, Any] = {}

    @model_validator(mode="after")
    def _is_an_event(self) -> "Happening":
        if self.type not in DECODERS:
            near = difflib.get_close_matches(self.type, DECODERS, 1)
            hint = f"; did you mean {near[0]}?" if near else ", such as payment.failed"
            raise ValueError(f"type {self.type!r} is no native event type{hint}")
        decode(self.type, self.data)
        return self


class Expected(_Told):
    """What the rule must say.

    Attributes:
        fires_by: The first alert is for this day or an earlier one.
        not_before: And for no earlier one than this.
        severity: What it says when it is raised.
        object: What it is about.
        clears_by: It is cleared as recovered by this day.
        alerts: How many alerts the rule raises in the whole story, 1..100.
    """

    fires_by: Day
    not_before: Day = 1
    severity: Severity | None = None
    object: str | None = None
    clears_by: Day | None = None
    alerts: Annotated[int, Field(ge=1, le=100)] = 1


class Case(_Told):
    """A story and what the rule must make of it."""

    story: Annotated[str, Field(min_length=3, max_length=200)]
    usage: tuple[Stretch, ...] = ()
    tickets: tuple[Tickets, ...] = ()
    events: tuple[Happening, ...] = ()
    account: dict[str, Any] = {}
    metrics: dict[str, dict[str, bool]] = {}
    features: dict[str, dict[str, bool]] = {}
    until: Day | None = None
    expect: Literal["nothing"] | Expected

    @field_validator("account")
    @classmethod
    def _has_attributes(cls, told: dict[str, Any]) -> dict[str, Any]:
        decode("account.updated", told)
        return told

    @field_validator("metrics")
    @classmethod
    def _has_flags(cls, told: dict[str, dict[str, bool]]) -> dict[str, dict[str, bool]]:
        flags(told)
        return told

    @field_validator("features")
    @classmethod
    def _has_features(cls, told: dict[str, dict[str, bool]]) -> dict[str, dict[str, bool]]:
        feature_flags(told)
        return told

    @property
    def fires(self) -> bool:
        """Whether the rule is to raise an alert."""
        return self.expect != "nothing"

    @property
    def last_day(self) -> int:
        """The last day that is judged."""
        if self.until is not None:
            return self.until
        stretches = (*self.usage, *self.tickets)
        named = [_span(one.days)[1] for one in stretches] + [one.day for one in self.events]
        if isinstance(self.expect, Expected):
            named += [self.expect.fires_by, self.expect.clears_by or 0]
        return max(named, default=1)

    def entries(self, day: int) -> list[Entry]:
        """Return the entries of a day, at its noon, in the order in which they are told."""
        told: list[Any] = []
        if day == 1:
            told.append(decode("account.updated", self.account))
        for stretch in self.usage:
            told.extend(stretch.entries(day))
        for opened in self.tickets:
            told.extend(opened.entries(day))
        told.extend(decode(one.type, one.data) for one in self.events if one.day == day)
        noon = (START + day) * DAY_US + NOON_US
        return [
            Entry(f"{day}-{i}", SOURCE, noon, _subjects(event), event)
            for i, event in enumerate(told)
        ]


def decode(type_: str, data: Mapping[str, Any]) -> Any:
    """Return a case's event.

    Args:
        type_: Its native type.
        data: Its fields as the case tells them.

    Raises:
        ValueError: A field is wrong; the message names it.
    """
    plain = {_on(name): _date(name, value) for name, value in data.items()}
    known = {field.encode_name for field in msgspec.structs.fields(_STRUCTS[type_])}
    if unknown := sorted(plain.keys() - known):
        raise ValueError(
            f"{type_} has no field {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    return DECODERS[type_].decode(msgspec.json.encode(plain))


def flags(told: Mapping[str, Mapping[str, bool]]) -> dict[str, MetricFlags]:
    """Return the flags of a case's metrics.

    Raises:
        ValueError: There is no such flag.
    """
    return {
        name: msgspec.convert(one, type=_StrictFlags, strict=True) for name, one in told.items()
    }


def feature_flags(told: Mapping[str, Mapping[str, bool]]) -> dict[str, FeatureFlags]:
    """Return the flags of a case's features.

    Raises:
        ValueError: There is no such flag, or there are too many features.
    """
    if len(told) > FEATURE_LIMIT:
        raise ValueError(f"{len(told)} features are too many; at most {FEATURE_LIMIT}")
    return {
        name: msgspec.convert(one, type=_StrictFeatureFlags, strict=True)
        for name, one in told.items()
    }


class _StrictFlags(MetricFlags, frozen=True, forbid_unknown_fields=True):
    pass


class _StrictFeatureFlags(FeatureFlags, frozen=True, forbid_unknown_fields=True):
    pass


_STRUCTS = {name: decoder.type for name, decoder in DECODERS.items()}
assert _STRUCTS["account.updated"] is AccountUpdated


def _subjects(event: Any) -> tuple[str, ...]:
    """Return whom an event of a case concerns: the account, or everybody."""
    return () if isinstance(event, ProductChanged) else (account(ACCOUNT),)


def _on(name: str) -> str:
    return f"{name.removesuffix('_day')}_on" if name.endswith("_day") else name


def _date(name: str, value: Any) -> Any:
    return to_date(START + value) if name.endswith("_day") and type(value) is int else value


def _span(told: str) -> tuple[int, int]:
    first, _, last = told.partition("..")
    return int(first), int(last or first)


def _weekdays(told: str) -> set[int]:
    days: set[int] = set()
    for part in told.split(","):
        first, _, last = part.strip().partition("-")
        known = [_WEEKDAYS.index(one) for one in (first, last or first) if one in _WEEKDAYS]
        if len(known) < 2 or known[0] > known[1]:
            raise ValueError(f"weekdays are {', '.join(_WEEKDAYS)}, as in mon-fri or mon,thu")
        days.update(range(known[0], known[1] + 1))
    return days


def _people(number: int) -> list[str]:
    return [f"u{n}" for n in range(1, number + 1)]
