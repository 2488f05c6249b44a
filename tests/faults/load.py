"""What a world is fed with: kinds of events, as a company sends them, from one seed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal, NamedTuple

Way = Literal["http", "input"]
Event = dict[str, Any]

ACCOUNTS = 40
ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Europe/Lisbon", "Australia/Lord_Howe")


class Sent(NamedTuple):
    """One event and the way that it takes.

    Attributes:
        way: `http`, or `input` for the input topic.
        event: A CloudEvent.
    """

    way: Way
    event: Event


@dataclass
class Load:
    """Makes events; the same seed and calls make the same ones.

    Args:
        rng: Decides everything.
        name: Stands in every id, so that two loads of one world do not repeat each other.
        accounts: How many accounts there are.

    Attributes:
        made: What was made so far.
        due: Accounts that must get an alert `payment-failed`.
    """

    rng: Random
    name: str = "e"
    accounts: int = ACCOUNTS
    made: list[Sent] = field(default_factory=list)
    due: list[str] = field(default_factory=list)
    _number: int = 0
    _payers: int = 0

    def events(
        self,
        count: int,
        begin: datetime,
        end: datetime,
        kinds: Mapping[str, float] | None = None,
    ) -> list[Sent]:
        """Return events of a span of time, about in its order.

        Args:
            count: How many, at least; some kinds make two at once.
            begin: Time of the first.
            end: Time of the last, at the latest.
            kinds: Weight of each kind; all of them as `KINDS` weighs them.
        """
        weights = WEIGHTS if kinds is None else kinds
        names = self.rng.choices(list(weights), list(weights.values()), k=count)
        found: list[Sent] = []
        for place, kind in enumerate(names):
            self.now = begin + (end - begin) * (place / count)
            new = [Sent(way, event) for way, event in KINDS[kind](self)]
            found += new
            self.made += new
        return found

    @property
    def account(self) -> str:
        """One of the accounts, by chance."""
        return f"acct_{self.rng.randrange(self.accounts)}"

    @property
    def person(self) -> str:
        """One of the people, by chance."""
        return f"p{self.rng.randrange(60)}"

    def event(
        self, type: str, subject: str | None, data: Event, ago: timedelta = timedelta(0)
    ) -> Event:
        """Return one event with an id of its own."""
        self._number += 1
        found = {
            "specversion": "1.0",
            "id": f"{self.name}-{self._number}",
            "source": f"/gateway-{self._number % 2}",
            "type": type,
            "subject": subject,
            "time": (self.now - ago).isoformat(),
            "data": data,
        }
        return {name: value for name, value in found.items() if value is not None}

    def way(self) -> Way:
        """Return one of the two ways, by chance."""
        return "input" if self.rng.random() < 0.4 else "http"

    def payer(self) -> str:
        """Return an account that nothing else happens to."""
        self._payers += 1
        self.due.append(f"{self.name}_payer_{self._payers}")
        return self.due[-1]

    now: datetime = field(init=False)


Made = Iterable[tuple[Way, Event]]
Kind = Callable[[Load], Made]


def usage(load: Load) -> Made:
    """Somebody uses something."""
    rng = load.rng
    data: Event = {"metric": rng.choice(["api_calls", "api_calls", "exports"])}
    data["quantity"] = rng.randrange(1, 12) / 2
    if rng.random() < 0.7:
        data["person"] = load.person
    if rng.random() < 0.2:
        # The last one is not tracked.
        data["feature"] = rng.choice(["exports", "search", "dump"])
    yield load.way(), load.event("usage.recorded", load.account, data)


def repeated(load: Load) -> Made:
    """A producer sends something again, by the way that it took before."""
    recent: Sequence[Sent] = load.made[-500:]
    if recent:
        yield load.rng.choice(recent)


def late(load: Load) -> Made:
    """Something comes hours, days or months late."""
    hours = load.rng.choice([1, 3, 26, 50, 200, 2400])
    data = {"metric": "api_calls", "quantity": 1, "person": load.person}
    yield load.way(), load.event("usage.recorded", load.account, data, timedelta(hours=hours))


def failing(load: Load) -> Made:
    """A feature fails."""
    data = {"feature": "exports", "person": load.person}
    yield load.way(), load.event("feature.failed", load.account, data)


def profile(load: Load) -> Made:
    """The CRM changes an account."""
    rng = load.rng
    choices: list[Event] = [
        {"timezone": rng.choice(ZONES)},
        {"owner": rng.choice(["ana", "kim", None])},
        {"segment": rng.choice(["small", "large"])},
        {"arr": rng.randrange(1000, 9000) * 100, "currency": "EUR"},
        {"name": f"Name {rng.randrange(100)}", "country": "PT"},
        {"seats": rng.choice([None, *range(1, 400)])},
    ]
    yield load.way(), load.event("account.updated", load.account, rng.choice(choices))


def payments(load: Load) -> Made:
    """A charge fails twice, at an account that nothing else happens to: an alert is due."""
    account, way = load.payer(), load.way()
    for _ in range(2):
        yield way, load.event("payment.failed", account, {"payment": "in_1", "amount": 900})


def charge(load: Load) -> Made:
    """A charge of some account fails or succeeds, in whatever order that comes about."""
    type = load.rng.choice(["payment.failed", "payment.failed", "payment.succeeded"])
    data = {"payment": f"in_{load.rng.randrange(3)}"}
    yield load.way(), load.event(type, load.account, data)


def contact(load: Load) -> Made:
    """A champion comes or leaves."""
    rng = load.rng
    data: Event = {"person": load.person, "role": rng.choice(["champion", "user"])}
    data["status"] = rng.choice(["active", "active", "left"])
    yield load.way(), load.event("contact.updated", load.account, data)


def ticket(load: Load) -> Made:
    """A ticket is opened or closed, or told again: late, more urgent, or of days before."""
    rng, account = load.rng, load.account
    data: Event = {"ticket": f"t{rng.randrange(8)}"}
    if rng.random() < 0.2:
        yield load.way(), load.event("ticket.closed", account, data)
        return
    priority = rng.choice([None, 1, 2, 3, 4])
    ago = timedelta(hours=rng.choice([0, 0, 0, 2, 26, 50, 200]))
    told = data if priority is None else data | {"priority": priority}
    yield load.way(), load.event("ticket.opened", account, told, ago)


def contract(load: Load) -> Made:
    """A contract is signed, or ends."""
    rng, today = load.rng, load.now.date()
    data: Event = {"contract": f"c{rng.randrange(3)}"}
    if rng.random() < 0.3:
        ended = today + timedelta(days=rng.randrange(-20, 20))
        yield (
            load.way(),
            load.event("contract.ended", load.account, data | {"ended_on": f"{ended}"}),
        )
        return
    start = today - timedelta(days=rng.randrange(100))
    data |= {"lines": [], "currency": "EUR", "start_on": f"{start}"}
    data["end_on"] = f"{start + timedelta(days=364)}"
    if rng.random() < 0.8:
        data["seats"] = rng.randrange(1, 100)
    yield load.way(), load.event("contract.signed", load.account, data)


def stranger(load: Load) -> Made:
    """Somebody uses something, and only the person is told."""
    data = {"metric": "api_calls", "quantity": 2, "person": f"s{load.rng.randrange(30)}"}
    yield load.way(), load.event("usage.recorded", None, data)


def joined(load: Load) -> Made:
    """A person is told to belong to an account."""
    data = {"person": f"s{load.rng.randrange(30)}", "account": load.account}
    yield load.way(), load.event("person.joined", None, data)


def touch(load: Load) -> Made:
    """One of ours talks to one of theirs."""
    rng = load.rng
    data = {"colleague": rng.choice(["ana", "kim", "lee"]), "two_way": rng.random() < 0.5}
    yield load.way(), load.event("touch.recorded", load.account, data | {"person": load.person})


def sentiment(load: Load) -> Made:
    """One of ours rates an account."""
    data = {"rating": load.rng.randrange(1, 6), "author": load.rng.choice(["ana", "kim"])}
    yield load.way(), load.event("sentiment.set", load.account, data)


def company(load: Load) -> Made:
    """Something concerns the company as a whole."""
    rng, month = load.rng, f"{load.now:%Y-%m}"
    amount = rng.randrange(1, 900) * 100
    told: list[tuple[str, Event]] = [
        ("arr.moved", {"kind": "new", "amount": amount, "effective_on": f"{load.now:%Y-%m-%d}"}),
        ("spend.recorded", {"amount": amount, "month": month, "currency": "EUR"}),
        ("target.set", {"period": f"{load.now:%Y}-Q3", "amount": amount}),
        ("employee.left", {"colleague": rng.choice(["lee", "max"])}),
    ]
    type, data = rng.choice(told)
    yield load.way(), load.event(type, None, data)


def everybody(load: Load) -> Made:
    """Something concerns every account."""
    if load.rng.random() < 0.5:
        day = f"{load.now - timedelta(days=load.rng.randrange(20)):%Y-%m-%d}"
        yield load.way(), load.event("closure.declared", None, {"from": day, "to": day})
    else:
        data = {"feature": load.rng.choice(["exports", "search"])}
        data["change"] = load.rng.choice(["limited", "released", "retired"])
        yield load.way(), load.event("product.changed", None, data)


def merged(load: Load) -> Made:
    """Two accounts become one; never in a circle."""
    one, other = sorted(load.rng.sample(range(load.accounts), 2))
    yield load.way(), load.event("account.merged", f"acct_{other}", {"into": f"acct_{one}"})


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        usage,
        repeated,
        late,
        failing,
        profile,
        payments,
        charge,
        contact,
        ticket,
        contract,
        stranger,
        joined,
        touch,
        sentiment,
        company,
        everybody,
        merged,
    )
}

WEIGHTS: dict[str, float] = {
    "usage": 70,
    "repeated": 8,
    "late": 4,
    "failing": 1,
    "profile": 2,
    "payments": 1,
    "charge": 1,
    "contact": 1,
    "ticket": 4,
    "contract": 0.5,
    "stranger": 4,
    "joined": 1,
    "touch": 1,
    "sentiment": 0.5,
    "company": 1,
    "everybody": 0.2,
    "merged": 0.1,
}
"""How often each kind occurs, of about a hundred events."""


def without(*kinds: str) -> dict[str, float]:
    """Return the weights of all kinds but some."""
    return {name: weight for name, weight in WEIGHTS.items() if name not in kinds}


def http_only(sent: Iterable[Sent]) -> Iterator[Sent]:
    """Let everything take the way over HTTP."""
    return (Sent("http", one.event) for one in sent)
