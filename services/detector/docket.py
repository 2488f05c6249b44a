"""The docket: which accounts the open closings still have to judge, in hash order."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from services.detector import summary
from services.detector.closings import Closings
from services.detector.judging import judge_day
from services.detector.ledger import Closing, Ledger
from services.detector.peers import Scopes
from services.detector.pending import Pending
from services.detector.rulebook import RuleBook
from services.detector.rules import RuleSet
from services.detector.subject import Account, order_of

BATCH = 1_000
"""Accounts judged at once, as arrays."""

CLOSING_COST = 50
"""What a closing costs at least, in accounts: arrays have a price of their own."""

ROOM = 5 * CLOSING_COST
"""Accounts judged, or closings at their least, before it is asked again whether there is room."""

BACKLOG = 64_000
"""Bytes of open closings above which some are judged before more are opened: they are a part of the
ledger's record, which every flush writes."""


class Docket:
    """Judges accounts by open closings, in any portions, with the same outcome.

    Args:
        number: The partition.
        ledger: Holds the closings.
        accounts: All accounts, by subject; whoever adds one says so by `add`.
        closings: Opens closings, and knows the zones.
        rules: Rule sets by number.
        pending: Takes what is found.
    """

    def __init__(
        self,
        number: int,
        ledger: Ledger,
        accounts: dict[str, Account],
        closings: Closings,
        rules: RuleBook,
        pending: Pending,
    ) -> None:
        self._number = number
        self._record = ledger.record
        self._ledger = ledger
        self._accounts = accounts
        self._closings = closings
        self._rules = rules
        self._pending = pending
        self._order = sorted(order_of(subject) for subject in accounts)
        # Append time of the tick that opened closings last, the cause of their alerts.
        self.opened_at = ledger.record.appended

    def add(self, subject: str) -> None:
        """Put a new account into its place."""
        insort(self._order, order_of(subject))

    def drop(self, subject: str) -> None:
        """Take an account out that is no more."""
        del self._order[bisect_left(self._order, order_of(subject))]

    def judge(self, limit: int) -> bool:
        """Judge some accounts of the oldest open closing.

        Args:
            limit: Accounts to look at, at most.

        Returns:
            Whether closings are still open.
        """
        closings = self._record.closings
        while closings and limit > 0:
            closing = closings[0]
            start = bisect_right(self._order, tuple(closing.cursor))
            mine, end = self._batch(closing, start, min(start + limit, len(self._order)))
            if start == end:
                self._end(closings.pop(0))
                continue
            if mine:
                self._judge(closing, mine)
            closing.cursor = self._order[end - 1]
            limit -= max(end - start, CLOSING_COST)
        return bool(closings)

    def _batch(self, closing: Closing, start: int, limit: int) -> tuple[list[Account], int]:
        """Return the next accounts that a closing judges, and the place where the others begin.

        A full batch of them, however many of another zone stand between: arrays have a price each.
        """
        mine: list[Account] = []
        for place in range(start, limit):
            account = self._accounts[self._order[place][1]]
            if _is_judged(account, closing):
                mine.append(account)
                if len(mine) == BATCH:
                    return mine, place + 1
        return mine, limit

    def _end(self, closing: Closing) -> None:
        """Say how the day went, now that all accounts of the closing are judged."""
        for part in self._ledger.parts.close(closing.day, closing.zone, closing.due):
            self._pending.broadcast(part.entry(self._number, closing.due))
        self._ledger.drop_unasked()

    def make_room(self) -> None:
        """Judge the oldest closings before more are opened, so that the ledger stays small."""
        while self._closings.weight() > BACKLOG:
            self.judge(ROOM)

    def catch_up(self, account: Account) -> None:
        """Judge an account by the open closings before an entry changes it.

        The caller then takes all their days for judged at once, by the rules in force: as it does
        where they were judged in time, so that what is forgotten is the same.
        """
        for closing in self._record.closings:
            if tuple(closing.cursor) < order_of(account.subject) and _is_judged(account, closing):
                self._judge(closing, [account])

    def bring_up(self, account: Account) -> None:
        """Judge an account by the open closings, as if each had been judged when it opened.

        Whoever changes an account calls it first, so that when it is judged decides nothing.
        """
        if self._record.closings:
            self.catch_up(account)
        newest = self._closings.newest(account.facts.profile)
        if newest > account.judged:
            advance(account, newest, self._rules.current)

    def judged_to(self, account: Account) -> int:
        """Return the newest local day of an account that is judged, negative for none."""
        if account.merged is not None:
            return account.judged
        for closing in self._record.closings:
            if (
                tuple(closing.cursor) < order_of(account.subject)
                and account.facts.profile.is_judged_in(closing.zone, closing.day)
                and account.judged < closing.day
            ):
                return closing.day - 1
        return self._closings.newest(account.facts.profile)

    def _judge(self, closing: Closing, mine: Sequence[Account]) -> None:
        """Judge accounts that the closing is there for, one at least."""
        rules = self._rules.get(closing.rules)
        brief = self._ledger.brief
        judgement = judge_day(
            rules, mine, self._ledger.seen(closing), self._tally(closing), brief=brief
        )
        for account in judgement.changed.values():
            advance(account, closing.day, rules)
        self._pending.collect(judgement, self.opened_at)
        if closing.historic and not summary.ends_month(closing.day):
            return
        for account in mine:
            if summary.shows(account, closing.day, closing.historic):
                self._pending.show(account, closing.day)

    def _tally(self, closing: Closing) -> Scopes | None:
        """Return where the accounts are counted; of imported history nobody can ask in time."""
        if closing.historic and not self._ledger.in_step:
            return None
        return self._ledger.parts.tally(closing.day, closing.zone)


def _is_judged(account: Account, closing: Closing) -> bool:
    return (
        account.judged < closing.day
        and account.since <= closing.offset
        and account.quarantine is None
        and account.merged is None
        and account.facts.profile.is_judged_in(closing.zone, closing.day)
    )


def advance(account: Account, judged: int, rules: RuleSet) -> None:
    """Take a day for judged, and forget what no rule can ask for any more.

    Here, and not when a snapshot is cut: what is forgotten must not depend on when that is.

    Args:
        account: The account.
        judged: A judged local day; an older one than is known changes nothing.
        rules: Their history is kept.
    """
    if judged > account.judged:
        account.judged = judged
        account.facts.buckets.trim(judged - rules.history_days + 1)
