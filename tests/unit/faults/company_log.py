"""A deployment without a broker: logs, the partitions that fold them, and what crosses between."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec

from schemas import alerts as alert_records
from schemas import cloudevents
from schemas.cloudevents import Incoming
from schemas.config import FeatureFlags, Input, MetricFlags, RuleSetContent
from schemas.envelope import Entry, Origin, account, decode_entry, encode
from schemas.events import (
    AccountErased,
    ClockTicked,
    ClosureDeclared,
    Event,
    FeedbackGiven,
    FxSet,
    PersonErased,
    ProductChanged,
    RulesApplied,
)
from schemas.rejects import Reject
from services.commands.originals import Original
from services.commands.rejected import Refusal
from services.commands.resending import Now, again
from services.detector import showing
from services.detector.partition import Partition
from tests.faults import load
from tests.faults.oracle import Actual
from tests.faults.oracle.days import DAY, HOUR, instant
from tests.faults.oracle.homes import concerned, home

PARTITIONS = 3
START = 1_772_450_000_000_000
"""2026-03-02, a Monday, 11:13 UTC."""

STRANGERS = 12
"""People of whom only few events name the account."""

OFTEN = {
    "profile": 30,
    "charge": 6,
    "contact": 6,
    "merged": 0.6,
    "usage": 40,
    "stranger": 12,
    "joined": 2,
    "ticket": 12,
    "contract": 3,
}
"""Kinds that are to occur more often than in a load: accounts move from zone to zone."""


class Message(NamedTuple):
    """One record of a log."""

    offset: int
    appended: int
    value: bytes


class Record(NamedTuple):
    """One record of a topic with keys."""

    offset: int
    appended: int
    value: bytes | None
    key: bytes


class Owned:
    """One partition, its log, and what its owner has stored and sent."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.log: list[Message] = []
        self.partition = Partition.begin(number, PARTITIONS)
        self.stored: dict[str, bytes] = {}
        self.alerts: list[bytes] = []
        self.rejects: list[bytes] = []
        self.summaries: list[Record] = []
        self.unsent: list[tuple[str, bytes]] = []
        self.arriving: list[Entry] = []
        self.replayed = 0

    def append(self, now: int, rng: Random) -> None:
        """Put what has arrived into the log, as messages of any size."""
        while self.arriving:
            size = rng.choice((1, 2, 5, 50))
            value = encode(self.arriving[:size])
            del self.arriving[:size]
            self.log.append(Message(len(self.log), now, value))

    def fold(self, rng: Random) -> None:
        """Fold what is new, judging now and then; perhaps lose it all and begin anew."""
        for message in self.log[self.partition.stamp + 1 :]:
            self.partition.apply(*message)
            self.partition.judge(rng.choice((0, 0, 0, 1, 500)))
            self.unsent += self.partition.forwards()

    def replay(self, now: int) -> Iterable[tuple[int, bytes]]:
        """Yield what `ebbwatch rejects replay` sends of what was refused since it was run last."""
        today = Now({}, PARTITIONS, "events.v1", now)
        for number in range(self.replayed, len(self.rejects)):
            reject = msgspec.json.decode(self.rejects[number], type=Reject)
            refusal = Refusal(self.number, number, now // 1000, reject)
            message = self.log[reject.offset or 0]
            original = Original(message.value, {}, message.appended // 1000)
            yield from again(refusal, original, today, track=0).items
        self.replayed = len(self.rejects)

    def commit(self) -> None:
        """Store what has changed; its forwards must have been delivered."""
        cut = self.partition.cut()
        merged: dict[str, bytes | None] = {**self.stored, **dict(cut.records)}
        self.stored = {key: value for key, value in merged.items() if value is not None}
        self.alerts += [alert_records.encode(one) for one in cut.alerts]
        self.rejects += [msgspec.json.encode(one) for one in cut.rejects]
        for key, value in cut.summaries:
            record = Record(len(self.summaries), 0, value, key.encode())
            self.summaries.append(record)

    def crash(self) -> None:
        """Forget what is not stored; what had been sent since will be sent again."""
        self.partition = Partition.restore(self.number, PARTITIONS, self.stored)
        self.unsent = []


class Sim:
    """All partitions of a company.

    Args:
        seed: Decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = START
        self.owned = [Owned(number) for number in range(PARTITIONS)]
        self.load = load.Load(self.rng, accounts=9)
        self.rules = 0
        self.late = 0
        self.offset = 0
        self.votes = 0
        self.mode: Literal["live", "importing"] = self.rng.choice(("live", "live", "importing"))

    def everywhere(self, event: Event, subjects: tuple[str, ...] = (), time: int = 0) -> None:
        """Say something of the system's to every partition."""
        for one in self.owned:
            one.arriving.append(Entry(f"sys-{self.now}", "ebbwatch", time, subjects, event))

    def apply(self, content: RuleSetContent) -> None:
        """Put a rule set in force."""
        self.rules += 1
        text = msgspec.json.encode(content).decode()
        self.everywhere(RulesApplied(n=self.rules, content=text))

    def tick(self, ago: int = 0) -> None:
        """Let a replica tick, which may have little to say."""
        hours = range((self.now - 3 * DAY) // HOUR, self.now // HOUR + 1)
        seen = {
            f"/gateway-{n}": [hour for hour in hours if self.rng.random() < 0.9]
            for n in range(2)
            if self.rng.random() < 0.8
        }
        complete = {f"usage/{n}": self.now - self.late for n in range(self.rng.randrange(3))}
        fed = {"usage": [*seen]} if seen and self.now // HOUR % 3 == 0 else {}
        at = self.now - ago
        self.everywhere(
            ClockTicked(at=at, mode=self.mode, complete_until=complete, seen=seen, fed=fed)
        )

    def feed(self, count: int, since: int) -> None:
        """Take events in, as ingest does."""
        kinds = load.WEIGHTS | OFTEN
        sent = self.load.events(count, instant(since), instant(self.now), kinds)
        for way, event in sent:
            person = event["data"].get("person", "")
            if person.startswith("s"):
                event["data"]["person"] = f"s{int(person[1:]) % STRANGERS}"
            incoming = cloudevents.decode(msgspec.json.encode(event))
            if isinstance(incoming, Incoming):
                self.take(incoming, way == "input")

    def take(self, incoming: Incoming, of_input: bool) -> None:
        """Put an event where it is at home; records of an input may come again."""
        origin, day = None, None
        if self.mode == "importing":
            self.offset += 1
            origin = Origin("import", 0, 1, self.offset)
            day = self.rng.choice((None, (incoming.time or self.now) // DAY))
        elif of_input:
            self.offset += self.rng.choice((1, 1, 1, 0))
            origin = Origin("usage", self.offset % 2, self.offset, 0)
        subjects = concerned(incoming)
        everybody = not subjects and isinstance(
            incoming.event, ClosureDeclared | ProductChanged | FxSet
        )
        for number, one in enumerate(self.owned):
            mine = tuple(who for who in subjects if home(who, PARTITIONS) == number)
            if mine or everybody:
                told = (incoming.id, incoming.source, incoming.time or 0, mine, incoming.event)
                one.arriving.append(Entry(*told, origin, day))

    def erase(self) -> None:
        """Erase an account or a person, perhaps as of some time ago."""
        time = self.now - self.rng.choice((0, HOUR, 2 * DAY))
        if self.rng.random() < 0.5:
            who = account(f"acct_{self.rng.randrange(9)}")
            self.everywhere(AccountErased(), (who,), time)
        else:
            who = f"{self.rng.choice('ps')}{self.rng.randrange(STRANGERS)}"
            self.everywhere(PersonErased(person=who), (), time)

    def vote(self) -> None:
        """Let a person say what an alert was worth, perhaps of an account that nobody knows."""
        who = f"acct_{self.rng.randrange(10)}"
        said = FeedbackGiven(
            alert=f"a{self.rng.randrange(4)}",
            verdict=self.rng.choice(("useful", "false_alarm")),
            author=self.rng.choice(("ana", "kim", None)),
            rule=self.rng.choice(("silence", "payment-failed", None)),
        )
        # The desk tells it again after a crash.
        self.votes += self.rng.choice((1, 1, 1, 0))
        number, time = home(account(who), PARTITIONS), self.now - self.rng.choice((0, HOUR))
        told = (f"feedback-{number}-{self.votes}", "ebbwatch", time, (account(who),), said)
        origin = Origin("alerts.v1", number, self.votes, 0)
        self.owned[number].arriving.append(Entry(*told, origin))

    def replay(self) -> None:
        """Let an operator send again what was refused."""
        for one in self.owned:
            for number, raw in one.replay(self.now):
                self.owned[number].arriving.append(decode_entry(raw))

    def go_on(self) -> None:
        """Append, fold, send, store or crash, each partition as chance has it."""
        for one in self.owned:
            one.append(self.now, self.rng)
            one.fold(self.rng)
        for one in self.rng.sample(self.owned, PARTITIONS):
            chance = self.rng.random()
            if chance < 0.5:
                self.send(one)
                one.commit()
            elif chance < 0.8:
                self.send(one, self.rng.randrange(4))
            if self.rng.random() < 0.2:
                one.crash()

    def send(self, one: Owned, count: int = 1 << 30) -> None:
        """Deliver what a partition has for others."""
        sent, one.unsent = one.unsent[:count], one.unsent[count:]
        for subject, raw in sent:
            for number, other in enumerate(self.owned):
                if not subject or home(subject, PARTITIONS) == number:
                    other.arriving.append(decode_entry(raw))

    def settle(self) -> None:
        """Go on until nothing is left to do."""
        while True:
            for one in self.owned:
                one.append(self.now, self.rng)
                one.fold(self.rng)
                while one.partition.judge(500):
                    pass
                one.unsent += one.partition.forwards()
                self.send(one)
            if not any(one.arriving for one in self.owned):
                break
        for one in self.owned:
            one.commit()
            one.crash()

    def actual(self) -> Actual:
        """Return what the deployment shows."""
        return Actual(
            accounts=[line for one in self.owned for line in _accounts(one)],
            subjects=[line for one in self.owned for line in one.partition.subjects_shown()],
            alerts={n: one.alerts for n, one in enumerate(self.owned)},
            rejects=[raw for one in self.owned for raw in one.rejects],
            stamps={n: one.partition.stamp for n, one in enumerate(self.owned)},
        )

    def summaries(self) -> Mapping[int, list[Record]]:
        """Return what was written of accounts for people, by partition."""
        return {n: one.summaries for n, one in enumerate(self.owned)}

    def logs(self) -> Mapping[int, list[Message]]:
        """Return the logs by partition."""
        return {n: one.log for n, one in enumerate(self.owned)}


def _accounts(one: Owned) -> Iterable[dict[str, Any]]:
    partition = one.partition
    for each in partition.accounts.values():
        line = showing.shown(each, partition.number, partition.stamp, partition.judged_to(each))
        yield msgspec.json.decode(msgspec.json.encode(line))


def content(rng: Random) -> RuleSetContent:
    """Return some rule set of the suite's three rules."""
    silence = _rule("silence", "silence", {"metric": "@meaningful", "days": rng.choice((2, 2, 4))})
    paid = _rule("payment-failed", "change", {"what": "payment_failed"}, severity="high")
    left = _rule("champion-left", "change", {"what": "contact_left"}, severity="by_depth")
    silence["clear_days"] = rng.choice((1, 2))
    left["shadow"] = rng.random() < 0.2
    paid["params"]["count"] = rng.choice((1, 2, 2))
    rules = [silence, paid, left]
    if rng.random() < 0.2:
        del rules[rng.randrange(3)]
    overrides: list[dict[str, Any]] = []
    if rng.random() < 0.3:
        rule = rng.choice(rules)["id"]
        overrides.append({"rule": rule, "segment": "large", "off": True})
    inputs = {"usage": Input(topic=f"t{rng.randrange(2)}", format="cloudevents", source="/usage")}
    return RuleSetContent(
        rules=rules,
        overrides=overrides,
        metrics={"exports": MetricFlags(meaningful=rng.random() < 0.7)},
        features={name: FeatureFlags() for name in ("exports", "search")[: 1 + left["shadow"]]},
        inputs=inputs if rng.random() < 0.8 else {},
    )


def _rule(id: str, primitive: str, params: dict[str, Any], severity: str = "medium") -> Any:
    return {
        "id": id,
        "title": "A rule",
        "primitive": primitive,
        "params": params,
        "category": "early_signals",
        "severity": severity,
        "play": "call",
    }


def play(seed: int, steps: int = 25) -> Sim:
    """Return a company after some days of everything."""
    sim = Sim(seed)
    rng = sim.rng
    sim.apply(content(rng))
    sim.tick()
    for step in range(steps):
        if step > steps // 3:
            sim.mode = "live"
        before, sim.now = sim.now, sim.now + rng.choice((HOUR, 5 * HOUR, 5 * HOUR, 5 * HOUR, DAY))
        sim.late = rng.choice((0, 0, 0, 8 * HOUR, 40 * HOUR))
        sim.feed(rng.randrange(24), before)
        chance = rng.random()
        if chance < 0.1:
            sim.apply(content(rng))
        elif chance < 0.25:
            sim.erase()
        elif chance < 0.35:
            sim.replay()
        elif chance < 0.6:
            sim.vote()
        if rng.random() < 0.9:
            sim.tick(ago=rng.choice((0, 0, 2 * HOUR)))
        sim.go_on()
    sim.settle()
    return sim
