"""One alert of the company in place of many of its accounts. Pure."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from schemas.alerts import AccountNow
from schemas.envelope import COMPANY, Entry
from services.detector import alert_record, explanation, fleet
from services.detector.alert_record import About, Means
from services.detector.calendars import due_at, local_day, to_date
from services.detector.episode import Change
from services.detector.fleet import KIND, OBJECT, PLAY, TITLE, Look, Shared
from services.detector.judgement import Judgement, When
from services.detector.ledger import Ledger
from services.detector.peers import FALLEN_RATIO
from services.detector.pending import Pending
from services.detector.rulebook import RuleBook

HASH: Final = 1332709506
"""Kafka's hash of `company`: that subject is at home in partition `HASH % partitions`."""

ZONE: Final = "UTC"
"""Where a day must have ended for the fleet to be looked at."""

ENDED_DAYS = 1
"""What is looked at is the day so long before: it has ended in every time zone."""


class Incidents:
    """Watches for falls that many accounts share.

    One partition does, the company's home, when a day has ended in `ZONE`. It tells people, and it
    tells all partitions, itself too, through the log: so all hold back the alerts of their accounts
    under the same incident, and under none that nobody was told of.

    Args:
        number: The partition.
        ledger: What all partitions have said, and what is remembered of it.
        rules: Whether such falls are told, and to people.
        pending: Takes the alert, and what all partitions are to know.
    """

    def __init__(self, number: int, ledger: Ledger, rules: RuleBook, pending: Pending) -> None:
        self._home = number == HASH % ledger.record.partitions
        self._ledger = ledger
        self._rules = rules
        self._pending = pending

    def advance(self, opens: Callable[[int], bool], offset: int) -> None:
        """Look how all accounts do, after each day that has ended since.

        Args:
            opens: Tells whether a day that is due at an instant may be judged at the ledger's
                clock; microseconds since 1970-01-01 UTC.
            offset: The message that has set the clock.
        """
        if not self._home:
            return
        record = self._ledger.record
        if record.fleet.day < 0:
            record.fleet.day = local_day(ZONE, record.clock) - 1
        while opens(due := due_at(ZONE, record.fleet.day + 1)):
            self._close(record.fleet.day + 1, due, offset)

    def _close(self, day: int, due: int, offset: int) -> None:
        record, rule = self._ledger.record, self._rules.current.common_fall
        known = record.fleet
        values = self._ledger.part(COMPANY, day - ENDED_DAYS)
        found = fleet.step(known, day, values, off=rule.off)
        if known.now is None:
            return
        if found is not None:
            historic = record.mode == "importing"
            when = When(day, due, offset, historic, record.rules)
            self._tell(known.now, when, *found, shadow=rule.shadow)
        said = known.now
        if rule.shadow and not said.ended:
            # Of a fall that nobody is told of nothing is a part.
            said = msgspec.structs.replace(said, ended="recovered")
        if said != known.said:
            known.said = said
            self._pending.broadcast(
                Entry(f"incident-{to_date(day)}", "ebbwatch", due, (), said.event(day))
            )

    def _tell(
        self, shared: Shared, when: When, found: Look, change: Change, *, shadow: bool
    ) -> None:
        known = self._ledger.record.fleet.episode
        assert known is not None
        because = _because(found, shared, when.day)
        text = {
            "title": TITLE,
            "play": PLAY,
            "headline": explanation.headline(KIND, OBJECT, because),
            "text": explanation.explain(KIND, OBJECT, because),
        }
        about = About(COMPANY, AccountNow(stamp=when.stamp, name="All customers"))
        told = alert_record.record(
            known, change, when, Means(KIND, shadow=shadow), about, because | text
        )
        self._pending.collect(Judgement(alerts=[told]), self._ledger.record.clock)


def _because(found: Look, shared: Shared, day: int) -> dict[str, Any]:
    """Return the evidence of an incident; shares are of 1."""
    last = day - ENDED_DAYS
    return {
        "window": {
            "from": to_date(last - 13).isoformat(),
            "to": to_date(last).isoformat(),
        },
        "since": to_date(shared.since).isoformat(),
        "accounts_told": found.told,
        "accounts_fallen": found.fallen,
        "share": found.share / 1000,
        "ordinary_share": found.ordinary / 1000,
        "common_share": found.common / 1000,
        "median_ratio": found.median / 100,
        "median_ratio_fallen": found.depth / 100,
        "thresholds_in_force": {
            "common_share": fleet.SHARE / 1000,
            "clear": fleet.CLEAR / 1000,
            "fallen_ratio": FALLEN_RATIO,
        },
    }
