"""One partition of a backtest: rows in, step by step, alerts and forwards out."""

import heapq
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from msgspec.structs import replace

from schemas.alerts import Alert
from schemas.envelope import ACCOUNT, Entry, account, decode_entry
from schemas.events import ClockTicked, RulesApplied
from services.backtest.orders import Begin, Key, Order, Report, Total
from services.backtest.outcome import EXAMPLES, Sent
from services.backtest.pasts import Past, pasts_of
from services.backtest.plain_rows import Keyed, Plain, Rows
from services.detector.calendars import due_at, to_day
from services.detector.partition import Partition
from services.detector.primitives.baseline import KNOWN_DAYS
from services.detector.subject import Account
from services.ingest.entries import SYSTEM_SOURCE
from services.ingest.history.play import DAY, QUARTER

BATCH: Final = 1 << 30
"""Accounts judged in one call: nothing else waits here."""

HORIZON: Final = 1 << 10
"""Ids remembered: entries of an import are told apart by their origin."""

SHOWN: Final = ("headline", "text", "ratio", "probability", "observed", "expected")
"""What of an alert's evidence a backtest shows."""


class Worker:
    """Plays one partition.

    Args:
        begin: What it is told once.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._partition = Partition.begin(
            begin.number, begin.partitions, HORIZON, in_step=True, brief=not begin.whole
        )
        self._plain = Plain(begin.folder, begin.number, begin.stems, begin.sources, begin.ends)
        self._seen: dict[str, list[int]] = {}
        self._leaving = [(day, account(id_)) for id_, day in begin.ends.items()]
        heapq.heapify(self._leaving)
        self._accounts: set[str] = set()
        self._days = 0
        self._last: int | None = None
        self._examples: list[str] = []
        self._pasts: list[Past] = []
        self._failed: Counter[str] = Counter()
        rules = RulesApplied(n=1, content=begin.content)
        self._take([Entry("rules", SYSTEM_SOURCE, begin.now, (), rules)])
        self._tick(begin.first)

    def play(self, order: Order) -> Report:
        """Play everything before an instant, and judge the days that are due by then."""
        for source, hours in order.seen.items():
            self._seen.setdefault(source, []).extend(hours)
        if order.forwards:
            self._take([decode_entry(raw) for raw in order.forwards])
        if order.quiet and order.start % DAY == 0:
            self._tick(order.start)
        rows = 0
        beside = [Keyed(key, decode_entry(raw)) for key, raw in order.entries]
        for chunk in self._plain.until(order.until):
            rows += len(chunk.entries)
            if beside:
                self._fold(self._merged(chunk, beside), order.quiet)
            else:
                self._fold(chunk.entries, order.quiet)
        self._fold([one.entry for one in beside], order.quiet)
        if not order.quiet:
            self._close(order.until)
        report = Report(self._found(), self._partition.forwards(), rows)
        self._leave(order.until)
        return report

    def total(self) -> Total:
        """Count what was judged; nothing is played afterwards."""
        for one in list(self._partition.accounts.values()):
            self._count(one)
        counts = self._partition.counts
        refused = Counter({what[1]: n for what, n in counts.items() if what[0] == "rejected"})
        refused.update(self._failed)
        if beyond := self._plain.beyond:
            refused["after_end"] += len(beyond)
            self._examples += [f"{one} had ended by then" for one in beyond[:EXAMPLES]]
        return Total(
            frozenset(self._accounts),
            self._days,
            self._last,
            refused,
            self._examples[:EXAMPLES],
            self._pasts,
        )

    def _merged(self, chunk: Rows, beside: list[Keyed]) -> list[Entry]:
        """Return plain rows and what comes before the last of them, which is taken out."""
        plain = chunk.keyed()
        ahead = [one for one in beside if plain and one.key < plain[-1].key]
        del beside[: len(ahead)]
        return [one.entry for one in sorted((*plain, *ahead), key=_key)]

    def _fold(self, entries: Sequence[Entry], quiet: bool) -> None:
        for quarter, group in groupby(entries, _quarter):
            at = quarter * QUARTER
            if not quiet:
                self._close(at + 1)
                if self._partition.ledger.record.clock < at <= self._begin.now:
                    self._tick(at)
            self._take(list(group))

    def _close(self, until: int) -> None:
        """Tick whenever a day is due somewhere before an instant, up to now."""
        # A tick that lies ahead is refused, and no day would ever be done.
        until = min(until, self._begin.now)
        opened = self._partition.ledger.record.opened
        if not opened and until > self._partition.ledger.record.clock:
            # Without an account of its own a partition may still be the company's home.
            self._tick(until)
        while opened:
            due = min(due_at(zone, day + 1) for zone, day in opened.items())
            at = -(-due // QUARTER) * QUARTER
            if at >= until:
                return
            self._tick(at)

    def _tick(self, at: int) -> None:
        """Move the clock, and judge what is due; days are judged before anything else comes."""
        seen, self._seen = self._seen, {}
        event = ClockTicked(at=at, mode="importing", seen=seen)
        self._take([Entry(f"tick-{at}", SYSTEM_SOURCE, at, (), event)])
        while self._partition.judge(BATCH):
            pass

    def _take(self, entries: list[Entry]) -> None:
        self._partition.take(self._partition.stamp + 1, self._begin.now, entries)

    def _leave(self, until: int) -> None:
        """Let accounts go whose last day is judged."""
        late: list[tuple[int, str]] = []
        while self._leaving and self._leaving[0][0] * DAY < until:
            day, subject = heapq.heappop(self._leaving)
            known = self._partition.accounts.get(subject)
            if known is None:
                # Its first row may still come, of a day that has ended elsewhere.
                if (day + 3) * DAY > until:
                    late.append((day, subject))
            elif self._partition.judged_to(known) >= day:
                self._count(known)
                self._partition.leave(subject)
            else:
                late.append((day, subject))
        for one in late:
            heapq.heappush(self._leaving, one)

    def _count(self, known: Account) -> None:
        end = self._begin.ends.get(known.id)
        judged = self._partition.judged_to(known)
        last = judged if end is None else min(judged, end)
        self._accounts.add(known.id)
        starts = [line.start for line in known.facts.buckets.lines.values()]
        if starts:
            self._days += max(0, last - (min(starts) + KNOWN_DAYS - 1) + 1)
        if last >= 0:
            self._last = last if self._last is None else max(self._last, last)
        self._pasts += pasts_of(known, self._partition.rules, self._begin.pasts, last)

    def _found(self) -> list[Sent]:
        alerts, rejects = self._partition.found()
        for reject in rejects[: EXAMPLES - len(self._examples)]:
            self._examples.append(f"{reject.field or reject.source}: {reject.detail}")
        for failure in self._partition.failures:
            self._failed["rule_failed"] += 1
            what = f"rule {failure.rule} raised" if failure.rule else "a fold raised"
            self._examples.append(f"{failure.account}: {what}: {failure.error}")
        self._partition.failures.clear()
        return [self._told(one) for one in alerts if self._concerns(one)]

    def _concerns(self, alert: Alert) -> bool:
        end = self._begin.ends.get(alert.account)
        return end is None or to_day(alert.day) <= end

    def _told(self, alert: Alert) -> Sent:
        known = self._partition.accounts.get(ACCOUNT + alert.account)
        if not self._begin.whole:
            because = {name: alert.because[name] for name in SHOWN if name in alert.because}
            alert = replace(alert, because=because)
        return Sent(alert, None if known is None else known.facts.profile.segment)


def _quarter(entry: Entry) -> int:
    return entry.time // QUARTER


def _key(one: Keyed) -> Key:
    return one.key
