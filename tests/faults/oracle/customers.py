"""The accounts of one partition: entries counted into them, days closed over them, their ends."""

from msgspec.structs import replace

from schemas.alerts import AccountNow, Alert
from schemas.envelope import Entry
from schemas.events import AccountMerged, AccountUpdated

from .accounts import COUNTED, Account
from .addressing import Owned
from .clocks import Clock, Closing
from .homes import ACCOUNT
from .raising import YOUNG, When, judge_day, judge_event, supersede
from .reading import Place, stamp_of
from .sending import Sending
from .summaries import Summaries

LEARNED = 112
"""Known days from which on statistics tell a metric's data state, which the oracle does not."""

RARE = 7
"""Days running without a ticket of anybody that are an outage. Source: window.py."""


class Customers:
    """Accounts, and what is said of them.

    Args:
        clock: The partition's.
        sending: Takes what goes on to other accounts.
        summaries: Takes days that have closed.
        erased: Event time up to which a subject is forgotten.

    Attributes:
        known: By id.
        alerts: Records for the alert log, in order.
        owners: Who has owned which account, from where in the log on; also of erased ones.
        dropped: Entries passed over because their account was erased.
    """

    def __init__(
        self, clock: Clock, sending: Sending, summaries: Summaries, erased: dict[str, int]
    ) -> None:
        self.known: dict[str, Account] = {}
        self.alerts: list[Alert] = []
        self.owners: dict[str, list[Owned]] = {}
        self.dropped = 0
        self._clock = clock
        self._sending = sending
        self._summaries = summaries
        self._erased = erased

    def fold(self, at: Place, id: str, entry: Entry) -> str | None:
        """Count an entry; return why not, if refused."""
        if entry.time <= self._erased.get(ACCOUNT + id, 0):
            self.dropped += 1
            return None
        account, event = self._get(id, at), entry.event
        if account.merged is not None and not isinstance(event, AccountMerged):
            return self._sending.send(at, entry, account.merged[1])
        if account.merged is None:
            self._bring_up(account)
        if isinstance(event, AccountMerged):
            return self._merge(account, event.into, at, entry)
        day = account.zones.day_of(entry.time) if entry.day is None else entry.day
        oldest = account.judged + 1 - self._clock.rules.history
        tracked = self._clock.rules.features
        refused = account.fold(entry, day, self._clock.now, oldest, tracked)
        if refused is not None:
            return refused
        account.hear(entry)
        if isinstance(event, AccountUpdated):
            self._clock.use(account.zones.now)
            self._own(at, id, account.facts.get("owner"))
        if entry.time >= self._clock.now - YOUNG:
            self.alerts += judge_event(account, entry, self._when(day, entry.time, at))
        return None

    def vote(self, at: Place, id: str, entry: Entry) -> str | None:
        """Count what somebody said of an alert; nobody begins anew for that."""
        return self.fold(at, id, entry) if id in self.known else None

    def close(self, closing: Closing) -> None:
        """Judge the accounts whose day has closed."""
        mine = [
            one
            for _, one in sorted(self.known.items())
            if one.judged < closing.day
            and one.since <= closing.offset
            and one.merged is None
            and one.zones.judges(closing.zone, closing.day)
        ]
        if not closing.historic:
            self._summaries.close(closing, mine)
        for account in mine:
            _observe(account, closing)
            self.alerts += judge_day(account, closing)
            account.judge(closing.day, closing.rules.history)

    def newest(self, account: Account) -> int:
        """Return the newest day of an account that has closed."""
        return account.zones.closed(self._clock.opened)

    def erase(self, at: Place, id: str, time: int) -> None:
        """Forget an account; its open alerts end, and say nothing of it any more."""
        account = self.known.pop(id, None)
        if account is not None:
            ended = supersede(account, self._ended(account, time, at), set(account.episodes))
            nobody = AccountNow(stamp=at.offset)
            self.alerts += [replace(one, account_now=nobody) for one in ended]
            self._own(at, id, None)

    def forget(self, at: Place, person: str, time: int) -> None:
        """Take a person out of every account; sums of days remain."""
        for _, account in sorted(self.known.items()):
            if account.names(person):
                if account.merged is None:
                    self._bring_up(account)
                self._forget(account, person, self._ended(account, time, at))

    def _forget(self, account: Account, person: str, when: When) -> None:
        rules = when.rules.of(account.segment)
        about = {
            (rule, object_)
            for rule, object_ in account.episodes
            # A payment may be called as a person is.
            if object_ == person
            and (rule not in rules or rules[rule].params.get("what") == "contact_left")
        }
        self.alerts += supersede(account, when, about)
        for key in about:
            del account.episodes[key]
        account.people.pop(person, None)
        account.contacts.forget(person)

    def _get(self, id: str, at: Place) -> Account:
        if id not in self.known:
            self.known[id] = Account(id, at.offset)
            self._clock.use("UTC")
        return self.known[id]

    def _bring_up(self, account: Account) -> None:
        """Take every day that has closed for judged: the account is about to change."""
        newest = self.newest(account)
        if newest > account.judged:
            account.judge(newest, self._clock.rules.history)

    def _merge(self, account: Account, into: str, at: Place, entry: Entry) -> str | None:
        if into == account.id or not into.isprintable():
            return "invalid"
        account.hear(entry)
        stamp = stamp_of(entry.time, entry.id)
        if account.merged is None or stamp > account.merged[0]:
            account.merged = (stamp, into)
            when = self._ended(account, entry.time, at)
            self.alerts += supersede(account, when, set(account.episodes))
        return None

    def _own(self, at: Place, id: str, owner: str | None) -> None:
        # No summary is ever written within a message.
        known = [one for one in self.owners.get(id, []) if one.offset < at.offset]
        if owner != (known[-1].owner if known else None):
            known = [*known, Owned(at.offset, at.appended, owner)]
        self.owners[id] = known

    def _when(self, day: int, at: int, place: Place) -> When:
        historic = self._clock.mode == "importing"
        return When(day, at, place.offset, historic, self._clock.rules)

    def _ended(self, account: Account, time: int, at: Place) -> When:
        """Return when something ends that no rule ends: now, or with an entry that is newer."""
        now = max(self._clock.now, time)
        return self._when(account.zones.day_of(now), now, at)


def _observe(account: Account, closing: Closing) -> None:
    """Note what can be said of each metric; nothing where that takes statistics."""
    for name, line in account.lines.items():
        counted = name in COUNTED
        dark = all(_is_out(closing, one, RARE if counted else 1) for one in line.sources)
        start = min(one.start for one in account.lines.values()) if counted else line.start
        known = min(closing.day - start + 1, closing.rules.history)
        state = "warming_up" if known < LEARNED else ""
        account.states[name] = "no_data" if dark else state


def _is_out(closing: Closing, source: str, least: int) -> bool:
    """Tell whether a source has been silent for so many days running, or as long as is known."""
    reach = range(min(least, closing.rules.history))
    return all(closing.is_dark(source, closing.day - lag) for lag in reach)
