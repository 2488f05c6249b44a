"""Half a year of customers to whom happens what the shipped rules look for, told day by day.

Most go on as ever until something of ours breaks: then all fall at once. Before that, some fall by
themselves, stop, go silent, grow, give a feature up, leave seats empty or open ticket upon ticket.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from tests.faults.load import Event, Load, Sent

DAYS: Final = 180
"""Of them 112 until statistics tell how an account does, 28 until what is ordinary is known of
all, and 40 in which something happens."""
TURN: Final = 141
"""The first day on which something happens; `FALL` that on which everybody falls."""
FALL: Final = 160
USUAL, FALLEN = 100, 0.4
STEADY: Final = 30

ZONES: Final = ("UTC", "America/New_York")
DAY: Final = timedelta(days=1)
NOON: Final = timedelta(hours=12)
"""The same local day in all of `ZONES`, where the one before is due within two hours."""


class Happening(NamedTuple):
    """What happens to some customers, and what must come of it.

    Attributes:
        name: Of the customers, with a number after it.
        many: How many there are.
        rules: Rules of which at least one of them must get an alert.
        tell: What one of them does on a day.
    """

    name: str
    many: int
    rules: tuple[str, ...]
    tell: Callable[["HalfYear", str, int], None]


@dataclass
class HalfYear:
    """Events of half a year, in their order.

    Args:
        load: Makes the events.
        begin: Midnight of the first day, UTC.
        turns: Days by which each customer's turn is later than `TURN`.
    """

    load: Load
    begin: datetime
    sent: list[Sent] = field(default_factory=list)
    turns: dict[str, int] = field(default_factory=dict)

    def tell(self) -> list[Sent]:
        """Return the events."""
        for day in range(1, DAYS + 1):
            self.load.now = self.begin + (day - 1) * DAY + NOON
            for happening, account in customers():
                if day == 1:
                    self._introduce(account)
                happening.tell(self, account, day)
        return self.sent

    @property
    def today(self) -> date:
        """The day that is told of."""
        return self.load.now.astimezone(UTC).date()

    def say(self, type: str, account: str, data: Event) -> None:
        """Send an event, at about noon."""
        self.sent.append(Sent("http", self.load.event(type, account, data)))

    def turned(self, account: str, day: int, turn: int = TURN) -> bool:
        """Tell whether it has happened to an account."""
        return day >= turn + self.turns[account]

    def use(self, account: str, share: float = 1.0, **more: object) -> None:
        """Let an account use what it usually uses, or a share of it, somewhat more or less."""
        quantity = round(USUAL * share * self.load.rng.uniform(0.85, 1.15))
        data: Event = {"metric": "api_calls", "quantity": quantity, **more}
        self.say("usage.recorded", account, data)

    def _introduce(self, account: str) -> None:
        rng = self.load.rng
        self.turns[account] = rng.randrange(3)
        data: Event = {"timezone": rng.choice(ZONES), "owner": rng.choice(["ana", "kim", None])}
        data |= {"segment": rng.choice(["small", "large"]), "arr": 1000 * rng.randrange(9, 900)}
        self.say("account.updated", account, data)


def customers() -> Iterator[tuple[Happening, str]]:
    """Yield every account with what happens to it."""
    for happening in HAPPENINGS:
        for number in range(happening.many):
            yield happening, f"{happening.name}_{number}"


def _steady(year: HalfYear, account: str, day: int) -> None:
    year.use(account, FALLEN if year.turned(account, day, FALL) else 1.0)


def _falling(year: HalfYear, account: str, day: int) -> None:
    year.use(account, 0.3 if year.turned(account, day) else 1.0)


def _stopping(year: HalfYear, account: str, day: int) -> None:
    if not year.turned(account, day):
        year.use(account)


def _silent(year: HalfYear, account: str, day: int) -> None:
    if not year.turned(account, day) and year.today.weekday() < 5:
        year.say("usage.recorded", account, {"metric": "api_calls", "quantity": 0.5})


def _growing(year: HalfYear, account: str, day: int) -> None:
    year.use(account, 1.6 if year.turned(account, day) else 1.0)


def _giving_up(year: HalfYear, account: str, day: int) -> None:
    year.use(account)
    if not year.turned(account, day):
        year.use(account, 0.2, feature="exports")


def _emptying(year: HalfYear, account: str, day: int) -> None:
    """Ten people in ten seats, once a week; then four of them."""
    year.use(account)
    if day == 1:
        year.say("account.updated", account, {"seats": 10})
    if day % 7 == 1:
        for person in range(4 if year.turned(account, day, TURN - 28) else 10):
            data = {"metric": "api_calls", "quantity": 0, "person": f"{account}_{person}"}
            year.say("usage.recorded", account, data)


def _complaining(year: HalfYear, account: str, day: int) -> None:
    year.use(account)
    burst = year.turned(account, day, TURN + 10) and day < TURN + 16
    for number in range(4 if burst else day % 7 == 3):
        year.say("ticket.opened", account, {"ticket": f"{account}_{day}_{number}"})


def _alarmed(year: HalfYear, account: str, day: int) -> None:
    year.use(account)
    burst = year.turned(account, day, TURN + 12) and day < TURN + 20
    for number in range(2 if burst else day % 14 == 3):
        data = {"ticket": f"{account}_{day}_{number}", "priority": 1}
        year.say("ticket.opened", account, data)


def _leaving(year: HalfYear, account: str, day: int) -> None:
    """A champion leaves, charges fail, and the renewal is near."""
    year.use(account)
    if day == 1:
        renewal = year.today + (TURN + 98) * DAY
        year.say("account.updated", account, {"renewal_on": f"{renewal}"})
        contact: Event = {"person": f"{account}_c", "role": "champion", "status": "active"}
        year.say("contact.updated", account, contact)
    if day == TURN + 4 + year.turns[account]:
        left: Event = {"person": f"{account}_c", "status": "left"}
        year.say("contact.updated", account, left)
    if day in (TURN + 14, TURN + 15):
        year.say("payment.failed", account, {"payment": "in_1", "amount": 900})


HAPPENINGS: Final = (
    Happening("steady", STEADY, (), _steady),
    Happening("falling", 2, ("usage-drop",), _falling),
    Happening("stopping", 2, ("usage-stopped",), _stopping),
    Happening("silent", 2, ("gone-silent",), _silent),
    Happening("growing", 2, ("usage-expansion",), _growing),
    Happening("giving", 2, ("feature-abandoned",), _giving_up),
    Happening("emptying", 2, ("seat-utilisation",), _emptying),
    Happening("complaining", 2, ("ticket-spike",), _complaining),
    Happening("alarmed", 2, ("ticket-spike-high",), _alarmed),
    Happening("leaving", 2, ("contact-left", "payment-failed", "renewal-checklist"), _leaving),
)
