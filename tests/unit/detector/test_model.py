"""The model test: whatever crashes, whoever owns the partition, the log decides (design.md §5)."""

from collections.abc import Callable, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from schemas import alerts as alert_codec
from schemas.alerts import Alert
from schemas.config import MetricFlags
from schemas.envelope import Entry, Origin
from schemas.events import ClockTicked, UsageRecorded
from services.detector.calendars import to_date
from services.detector.facts import Moment, Step
from services.detector.facts.usage import Usage
from services.detector.partition import Partition
from tests import builders as a
from tests.unit.detector.oracle import Buckets, Recount

HORIZON = 40
"""Ids remembered: generations of eight, so that their borders are met often."""

BUG = "bug"
"""The metric on which the fold raises: its account is quarantined until it is repaired."""

WHO = ("acme", "beta", "gamma")
ZONES = ("Asia/Kolkata", "Europe/Berlin")
NO_RULES_KEEP = 60

RULE_SETS: tuple[tuple[int, Sequence[Any], dict[str, Any]], ...] = (
    # the days of silence, 56 of rhythm, 28 for corrections
    (2 + 56 + 28, (a.silent(2), a.unpaid(2)), {}),
    (2 + 56 + 28, (a.silent(2, clear_days=2), a.unpaid(1), a.gone(), a.no_admin()), {}),
    (40 + 56 + 28, (a.silent(40),), {"metrics": {"logins": MetricFlags(meaningful=False)}}),
    (2 + 56 + 28, (a.silent(2, off=True), a.unpaid(2, shadow=True)), {}),
    (60 + 28, (a.unpaid(1),), {}),
    (140 + 56 + 28, (a.silent(140),), {}),
)

specs = st.lists(
    st.tuples(
        st.sampled_from(
            ["usage"] * 6
            + ["late", "late", "older", "ancient", "future", "again", "origin", "replay"]
            + ["failed", "failed", "paid", "left", "role", "admin", "no_admin", "touch"]
            + ["profile", "zone", "closure", "all", "bug"]
        ),
        st.integers(0, 2),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=6,
)


class PartitionModel(RuleBasedStateMachine):
    """A log that grows, an owner that folds it, crashes and is replaced, and a store."""

    def __init__(self) -> None:
        super().__init__()
        self.log = a.Log()
        self.now = a.at(100, 3)
        self.owner = Partition.begin(0, 1, HORIZON)
        self.zombie: Partition | None = None
        self.store: dict[str, bytes] = {}
        self.alerts: list[Alert] = []
        self.zoned: set[str] = set()
        self.offsets = 0
        self.kept_days = {0: NO_RULES_KEEP}
        self.buggy: set[str] = set()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(Usage, "fold", _with_a_bug(Usage.fold))

    @initialize()
    def begins(self) -> None:
        early = [a.usage(3, account=who, person="u1", day=99) for who in WHO]
        self.log.add(self._rules(0), a.tick(100, 3, seen={"app": [99]}), *early)

    @rule(told=specs)
    def append_events(self, told: list[tuple[str, int, int]]) -> None:
        self.log.add(*[self._entry(*one) for one in told], appended=self.now)

    @rule(days=st.sampled_from([1, 0, 2, 1, 3, 0, 5, 31]), quiet=st.integers(0, 5))
    def append_a_tick(self, days: int, quiet: int) -> None:
        hours = 6 if days == 0 else 24 * days
        before, self.now = self.now, self.now + hours * a.HOUR_US
        gone = range((self.now - before) // a.HOUR_US + 1)
        seen = {} if quiet == 5 else {"app": [before // a.HOUR_US + hour for hour in gone]}
        event = ClockTicked(at=self.now, mode="live", seen=seen)
        self.log.add(Entry("", "ebbwatch", 0, (), event), appended=self.now)

    @rule(who=st.sampled_from(WHO), back=st.integers(1, 3))
    def append_days_of_silence_that_late_data_take_back(self, who: str, back: int) -> None:
        self.append_events([("usage", WHO.index(who), 9)])
        for _ in range(4):
            self.append_a_tick(1, 0)
        self.log.add(a.usage(account=who, time=self.now - back * a.DAY_US), appended=self.now)
        self.append_a_tick(1, 0)

    @rule(which=st.integers(0, len(RULE_SETS) - 1))
    def append_rules(self, which: int) -> None:
        self.log.add(self._rules(which), appended=self.now)

    @rule(who=st.sampled_from(WHO))
    def append_a_repair(self, who: str) -> None:
        self.log.add(a.repaired(who), appended=self.now)

    @rule()
    def append_poison(self) -> None:
        self.log.garbage(b"\x92\x01\x91\x01")

    @rule(count=st.integers(1, 8))
    def fold(self, count: int) -> None:
        a.apply(self.owner, self.log.messages[self.owner.stamp + 1 :][:count])

    @rule(limit=st.integers(1, 4))
    def judge(self, limit: int) -> None:
        self.owner.judge(limit)

    @rule()
    def replay(self) -> None:
        a.apply(self.owner, self.log.messages[: self.owner.stamp + 1])

    @rule()
    def commit(self) -> None:
        cut = self.owner.cut()
        self.store = a.store(self.store, cut)
        self.alerts.extend(cut.alerts)

    @rule()
    def crash(self) -> None:
        self.owner = self._restored()

    @rule()
    def crash_before_the_commit(self) -> None:
        self.owner.cut()
        self.owner = self._restored()

    @rule()
    def lose_the_partition(self) -> None:
        self.zombie, self.owner = self.owner, self._restored()

    @precondition(lambda self: self.zombie is not None)
    @rule(count=st.integers(1, 4))
    def the_former_owner_goes_on_and_is_refused(self, count: int) -> None:
        assert self.zombie is not None
        a.apply(self.zombie, self.log.messages[self.zombie.stamp + 1 :][:count])
        self.zombie.judge(count)
        self.zombie.cut()

    def teardown(self) -> None:
        try:
            if self.log.messages:
                self._end()
        finally:
            self.patch.undo()

    def _end(self) -> None:
        self.fold(len(self.log.messages))
        a.settle(self.owner, 2)
        self.commit()
        for judged_at_once in (1, 250):
            undisturbed = Partition.begin(0, 1, HORIZON)
            for message in self.log:
                undisturbed.apply(*message)
                if judged_at_once > 1:
                    a.settle(undisturbed, judged_at_once)
            a.settle(undisturbed, judged_at_once)
            cut = undisturbed.cut()
            assert self.store == a.store({}, cut)
            assert _encoded(self.alerts) == _encoded(cut.alerts)
        assert len({_moment(one) for one in self.alerts}) == len(self.alerts)
        recount = Recount(self.kept_days)
        for message, entries in zip(self.log, self.log.entries, strict=True):
            recount.message(message.appended, entries)
        counted = buckets(self._restored(), recount)
        assert _without(self.buggy, counted) == _without(self.buggy, recount.kept())

    def _restored(self) -> Partition:
        return Partition.restore(0, 1, self.store, HORIZON)

    def _rules(self, which: int) -> Entry:
        kept, declared, beside = RULE_SETS[which]
        n = len(self.kept_days)
        self.kept_days[n] = kept
        return a.rules(*declared, n=n, **beside)

    def _entry(self, kind: str, who: int, n: int) -> Entry:
        where = a.Where(account=WHO[who], time=self.now - n * a.MINUTE_US)
        person = f"u{n % 3}"
        metric = "logins" if n % 4 == 0 else "usage"
        match kind:
            case "usage":
                return a.usage(n / 8, metric=metric, person=[None, person][n % 2], **where)
            case "late" | "older" | "ancient" | "future":
                days = {"late": -(n % 7), "older": -n, "ancient": -90 - n, "future": n + 1}[kind]
                where["time"] = self.now + days * a.DAY_US
                return a.usage(1, person=person, **where)
            case "bug" if n > 45:
                self.buggy.add(WHO[who])
                return a.usage(1, metric=BUG, **where)
            case "again" | "replay":
                return self._repeated(kind == "replay", n)
            case "origin":
                self.offsets += 1 + n % 2
                where["origin"] = Origin("usage", who, self.offsets, n)
                return a.usage(2, **where)
            case "zone" if WHO[who] not in self.zoned:
                self.zoned.add(WHO[who])
                return a.zone(ZONES[n % 2], **where)
            case "failed":
                return a.payment_failed(f"p{n % 2}", **where)
            case "paid":
                return a.payment_succeeded(f"p{n % 2}", **where)
            case "left":
                return a.left(person, **where)
            case "role":
                return a.contact(person, {"role": "champion", "status": "active"}, **where)
            case "admin":
                return a.granted(person, **where)
            case "no_admin":
                return a.revoked(person, **where)
            case "touch":
                return a.touch(person, **where)
            case "closure":
                return a.closure(100 + n, 102 + n, **where)
            case "all":
                return a.closure_for_all(100 + n, 100 + n, **where)
        return a.profile({"arr": n, "segment": f"s{n % 2}"}, **where)

    def _repeated(self, exactly: bool, n: int) -> Entry:
        """An entry of the last few messages once more: as it was, or by its id alone."""
        recent = [
            one
            for entries in self.log.entries[-4:]
            for one in entries
            if one.subjects and (one.origin is not None or not exactly)
        ]
        if not recent:
            return a.usage(1, time=self.now)
        known = recent[n % len(recent)]
        if exactly or known.origin is None:
            return known
        self.offsets += 1
        origin = known.origin._replace(offset=self.offsets)
        return msgspec.structs.replace(known, origin=origin)


def buckets(partition: Partition, recount: Recount) -> Buckets:
    """Return a partition's day buckets as the oracle tells them."""
    found: Buckets = {}
    for account in partition.accounts.values():
        for metric, line in account.facts.buckets.lines.items():
            days: dict[date, Fraction] = {}
            for place, value in enumerate(line.values):
                day = to_date(line.first + place)
                if value and day >= recount.kept_from(account.id):
                    days[day] = Fraction(value, 1000)
            found.setdefault(account.id, {})[metric] = days
    return found


def _with_a_bug(fold: Callable[..., Step | str | None]) -> Callable[..., Step | str | None]:
    """A fold that raises on one metric."""

    def folded(usage: Usage, one: Entry, at: Moment) -> Step | str | None:
        if isinstance(one.event, UsageRecorded) and one.event.metric == BUG:
            raise ArithmeticError("a bug")
        return fold(usage, one, at)

    return folded


def _without(accounts: set[str], counted: Buckets) -> Buckets:
    return {account: days for account, days in counted.items() if account not in accounts}


def _encoded(alerts: Sequence[Alert]) -> list[bytes]:
    return sorted(alert_codec.encode(one) for one in alerts)


def _moment(one: Alert) -> tuple[str, str, Any]:
    return one.alert_id, type(one).__name__, one.fired_at


PartitionModel.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=35,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestPartitionModel(PartitionModel.TestCase):  # type: ignore[misc,valid-type]
    """Hypothesis runs the machine; on a failure it prints the shortest story it found."""

    pytestmark = pytest.mark.timeout(120)
