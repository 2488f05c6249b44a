"""What the model test tells of: events of every kind, and the partitions at which they arrive."""

from collections.abc import Iterable, Sequence

import msgspec

from schemas.envelope import Entry, Origin
from tests import builders as a

WHO = ("acme", "beta", "gamma")
ZONES = (
    "Asia/Kolkata",
    "Europe/Berlin",
    "Pacific/Kiritimati",
    "Pacific/Honolulu",
    "America/New_York",
    None,
)
"""In none of them a clock that ticks at 3, 9, 15 or 21 UTC shows an hour from midnight to two."""

BUG = "bug"
"""The metric on which the fold raises: its account is quarantined until it is repaired."""

KINDS = (
    ["usage"] * 6
    + ["late", "late", "older", "ancient", "future", "again", "origin", "replay"]
    + ["failed", "failed", "paid", "left", "role", "admin", "no_admin", "touch"]
    + ["profile", "zone", "zone", "closure", "all", "bug"]
    + ["joins", "joins", "of_person", "of_person", "of_person", "merges", "spends"]
)

_HOMES = {
    "account:beta": 1,
    "person:u1": 1,
    "person:u2": 1,
    "company": 1,
}
"""The partition of a subject, where it is not the first."""


def home(subject: str) -> int:
    """Return the partition of a subject."""
    return _HOMES.get(subject, 0)


class Stories:
    """Makes entries, each with an id of its own."""

    def __init__(self) -> None:
        self._offsets = 0
        self._numbered = 0

    def spread(self, told: Iterable[Entry], partitions: int) -> list[list[Entry]]:
        """Return what arrives at each partition: of one event one entry in each."""
        arriving: list[list[Entry]] = [[] for _ in range(partitions)]
        for one in told:
            self._numbered += 1
            named = one if one.id else msgspec.structs.replace(one, id=f"e{self._numbered:06}")
            for number, entries in enumerate(arriving):
                mine = tuple(each for each in named.subjects if home(each) == number)
                if mine or not named.subjects:
                    entries.append(a.about(named, *mine))
        return arriving

    def tell(
        self, kind: str, who: int, n: int, now: int, recent: Sequence[Sequence[Entry]]
    ) -> Entry:
        """Return an entry with all its subjects.

        Args:
            kind: One of `KINDS`.
            who: Whose event it is, an index into `WHO`.
            n: Varies it, 0..60.
            now: The time, microseconds.
            recent: Entries of the last messages, of which some are repeated.
        """
        where = a.Where(account=WHO[who], time=now - n * a.MINUTE_US)
        person = f"u{n % 3}"
        metric = "logins" if n % 4 == 0 else "usage"
        match kind:
            case "usage":
                return a.usage(n / 8, metric=metric, person=[None, person][n % 2], **where)
            case "late" | "older" | "ancient" | "future":
                days = {"late": -(n % 7), "older": -n, "ancient": -90 - n, "future": n + 1}[kind]
                where["time"] = now + days * a.DAY_US
                return a.usage(1, person=person, **where)
            case "bug" if n > 45:
                one = a.usage(1, metric=BUG, person=person, **where)
                return a.of_person(one, person) if n > 55 else one
            case "again" | "replay":
                return self._repeated(kind == "replay", n, now, recent)
            case "origin":
                self._offsets += 1 + n % 2
                where["origin"] = Origin("usage", who, self._offsets, n)
                return a.usage(2, **where)
            case "of_person":
                return self._of_person(person, n, where)
            case "zone":
                return a.zone(ZONES[n % len(ZONES)], **where)
        return self._fact(kind, person, n, where)

    def _of_person(self, person: str, n: int, where: a.Where) -> Entry:
        if n % 5 == 0:
            self._offsets += 1
            where["origin"] = Origin("usage", 9, self._offsets, n)
        if n % 7 == 0:
            touch = a.touch(person, **where)
            return a.about(touch, f"person:{person}", "colleague:ana")
        return a.of_person(a.usage(n / 8, person=person, **where), person)

    def _fact(self, kind: str, person: str, n: int, where: a.Where) -> Entry:
        match kind:
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
                one = a.touch(person, **where)
                return a.about(one, *one.subjects, "colleague:ana")
            case "closure":
                return a.closure(100 + n, 102 + n, **where)
            case "all":
                return a.closure_for_all(100 + n, 100 + n, **where)
            case "joins":
                return a.joined(person, **where)
            case "merges" if n % 3 == 0:
                return a.merged(WHO[n // 3 % 3], **where)
            case "spends":
                return a.spent(n, f"2026-{1 + n % 12:02}", **where)
        return a.profile({"arr": n, "segment": f"s{n % 2}"}, **where)

    def _repeated(
        self, exactly: bool, n: int, now: int, recent: Sequence[Sequence[Entry]]
    ) -> Entry:
        """An entry of the last few messages once more: as it was, or by its id alone."""
        known = [
            one
            for entries in recent
            for one in entries
            if one.subjects
            and (one.origin is not None or not exactly)
            and (exactly or one.origin is None or one.origin.input == "usage")
        ]
        if not known:
            return a.usage(1, time=now)
        again = known[n % len(known)]
        if exactly or again.origin is None:
            return again
        self._offsets += 1
        origin = again.origin._replace(offset=self._offsets)
        return msgspec.structs.replace(again, origin=origin)
