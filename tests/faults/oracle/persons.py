"""Persons of one partition: whose they are, and what waits until that is known (design.md §3)."""

from dataclasses import dataclass, field
from typing import Any

from schemas.envelope import Entry

from . import days
from .reading import NEVER, Place, Stamp

WAITING, PATIENCE = 1_000, 14 * days.DAY


@dataclass
class Person:
    """A person, and the events that wait for an account, in order."""

    account: str | None = None
    stamp: Stamp = NEVER
    waiting: list[tuple[Place, Entry]] = field(default_factory=list)

    def join(self, account: str, stamp: Stamp) -> list[Entry]:
        """Take an account over, if that is newer; return what need not wait any more."""
        if stamp > self.stamp:
            self.account, self.stamp = account, stamp
        released, self.waiting = self.waiting, []
        return [one for _, one in released]

    def plain(self) -> dict[str, Any]:
        return {"account": self.account, "waiting": len(self.waiting)}


@dataclass
class Persons:
    """All persons of one partition, by id."""

    known: dict[str, Person] = field(default_factory=dict)

    def keep(self, who: str, at: Place, entry: Entry) -> str | None:
        """Let an event wait; return why not, if refused."""
        if len(self.known.get(who, Person()).waiting) >= WAITING:
            return "too_many_waiting"
        self.known.setdefault(who, Person()).waiting.append((at, entry))
        return None

    def expire(self, clock: int) -> list[Place]:
        """Give up what has waited for a fortnight; return where it stood."""
        given_up = []
        for who, one in list(self.known.items()):
            gone = [at for at, _ in one.waiting if at.appended + PATIENCE <= clock]
            one.waiting = one.waiting[len(gone) :]
            if gone and not one.waiting:
                del self.known[who]
            given_up += gone
        return given_up

    def forget_account(self, account: str) -> None:
        """Forget everybody who belongs to an account."""
        self.known = {who: one for who, one in self.known.items() if one.account != account}
