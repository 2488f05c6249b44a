"""Erasing: an account with all its records, a person out of every account (design.md §3)."""

import msgspec

from schemas.alerts import AccountNow
from schemas.envelope import ACCOUNT, PERSON, Entry
from schemas.events import AccountErased, PersonErased
from services.detector import facts
from services.detector.calendars import DAY_US
from services.detector.docket import Docket
from services.detector.episode import Episode
from services.detector.folding import Folding
from services.detector.ledger import REPAIR, Ledger
from services.detector.pending import Pending
from services.detector.persons import Persons
from services.detector.raising import When, supersede
from services.detector.refusals import Place
from services.detector.rulebook import RuleBook
from services.detector.subject import Account

_ABOUT_PEOPLE = ("contact_left",)
"""What rules ask for whose alerts have a person as their object."""


class Forgetting:
    """Erases accounts and people of a partition.

    Args:
        ledger: Remembers, by hash, what was erased.
        accounts: All accounts, by subject.
        persons: All persons.
        rules: Rule sets by number.
        docket: Judges an account before it changes, and lets go of one that is no more.
        pending: Takes what changed and the alerts that are closed.
        folding: Tells when an alert is closed.
    """

    def __init__(
        self,
        ledger: Ledger,
        accounts: dict[str, Account],
        persons: Persons,
        rules: RuleBook,
        docket: Docket,
        pending: Pending,
        folding: Folding,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._persons = persons
        self._rules = rules
        self._docket = docket
        self._pending = pending
        self._folding = folding

    def erase(self, at: Place, entry: Entry) -> None:
        """Erase what an entry names: its accounts, or the event's person.

        Args:
            at: Where it stands.
            entry: An `account.erased` or a `person.erased`; its time is known. The same once more
                erases nothing that came since.
        """
        if isinstance(entry.event, PersonErased):
            subject = PERSON + entry.event.person
            if self._ledger.erased.add(subject, entry.time):
                self._person(at, entry.event.person, entry.time)
            return
        assert isinstance(entry.event, AccountErased)
        for subject in entry.subjects:
            if subject.startswith(ACCOUNT) and self._ledger.erased.add(subject, entry.time):
                self._account(at, subject, entry.time)

    def _account(self, at: Place, subject: str, time: int) -> None:
        self._persons.forget_account(subject.removeprefix(ACCOUNT))
        self._erase_merged(subject.removeprefix(ACCOUNT), time)
        self._ledger.record.origins.pop(REPAIR + subject, None)
        account = self._accounts.get(subject)
        if account is None:
            return
        self._bring_up(account)
        when = self._folding.when(account, at, time)
        judgement = supersede(self._rules.current, account, when, lambda _: True)
        nobody = AccountNow(stamp=at.offset)
        judgement.alerts = [
            msgspec.structs.replace(one, account_now=nobody) for one in judgement.alerts
        ]
        self._pending.collect(judgement, at.appended)
        self._pending.forget(account, max(self._ledger.record.clock, at.appended) // DAY_US + 1)
        del self._accounts[subject]
        self._docket.drop(subject)
        self._pending.counts["erased", "account"] += 1

    def _erase_merged(self, id: str, time: int) -> None:
        """Have the accounts erased, too, that lived on in an erased one: they are the customer.

        Everywhere, as it was: who had joined them may be at home in any partition.
        """
        # Filtered before it is sorted: all accounts in order would take far longer to make.
        joined = [
            (subject, known.id)
            for subject, known in self._accounts.items()
            if known.merged is not None and known.merged.into == id
        ]
        for subject, name in sorted(joined):
            told = Entry(f"erase/{name}/{time}", "ebbwatch", time, (subject,), AccountErased())
            self._pending.broadcast(told)

    def _person(self, at: Place, person: str, time: int) -> None:
        self._persons.forget(PERSON + person)
        concerned = [one for one in self._accounts.values() if _names(one, person)]
        for account in sorted(concerned, key=lambda one: one.id):
            self._bring_up(account)
            self._forget(account, person, self._folding.when(account, at, time), at)
        self._pending.counts["erased", "person"] += 1

    def _forget(self, account: Account, person: str, when: When, at: Place) -> None:
        def concerned(known: Episode) -> bool:
            return known.object == person and self._asks_for_people(account, known)

        closed = supersede(self._rules.current, account, when, concerned)
        self._pending.collect(closed, at.appended)
        for key in [key for key, known in account.episodes.items() if concerned(known)]:
            del account.episodes[key]
        facts.forget(account.facts, person)
        self._pending.accounts[account.subject] = account

    def _asks_for_people(self, account: Account, known: Episode) -> bool:
        """Tell whether the object of an episode is a person, and no payment of the same name."""
        rule = self._rules.current.by_id.get(known.rule)
        if rule is None:
            return True
        params = rule.variant(account.facts.profile.segment).params
        return getattr(params, "what", None) in _ABOUT_PEOPLE

    def _bring_up(self, account: Account) -> None:
        if account.quarantine is None and account.merged is None:
            self._docket.bring_up(account)


def _names(account: Account, person: str) -> bool:
    about = any(known.object == person for known in account.episodes.values())
    return about or facts.names(account.facts, person)
