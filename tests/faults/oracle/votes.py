"""What people said of the alerts of one account, and what later alerts mention of it."""

from dataclasses import dataclass, field
from typing import Any

from schemas.events import FeedbackGiven

from . import days
from .reading import Stamp, Unaccountable

KEPT = 100
"""Votes of one account that are kept. Source: facts/feedback.py."""


@dataclass
class Votes:
    """The newest word of each person on each alert, and on which days rules raised alerts."""

    told: dict[tuple[str, str], tuple[Stamp, str, str]] = field(default_factory=dict)
    raised: dict[str, set[int]] = field(default_factory=dict)

    def fold(self, event: FeedbackGiven, stamp: Stamp) -> None:
        """Take a vote.

        Raises:
            Unaccountable: There are so many that the detector forgets some by their hash.
        """
        if event.rule is None:
            return
        key = event.alert, event.author or ""
        if key not in self.told or stamp > self.told[key][0]:
            self.told[key] = stamp, event.rule, event.verdict
        if len(self.told) > KEPT:
            raise Unaccountable(f"more than {KEPT} votes on alerts of one account")

    def plain(self) -> dict[str, dict[str, int]]:
        """Return how many votes there are, by rule and verdict."""
        found: dict[str, dict[str, int]] = {}
        for _, rule, verdict in self.told.values():
            verdicts = found.setdefault(rule, {})
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
        return found

    def history(self, rule: str, raised_on: int, settled: int) -> dict[str, Any]:
        """Return what an alert says of those before it (detection.md §7).

        Args:
            rule: Its rule.
            raised_on: The day on which it was raised.
            settled: Days before that which no event can change any more; 0 where a day has ended.
        """
        until = raised_on - settled
        earlier = [day for day in self.raised.get(rule, ()) if day < until]
        false = [
            stamp
            for stamp, of, verdict in self.told.values()
            if (of, verdict) == (rule, "false_alarm")
            and (not settled or stamp[0] < until * days.DAY)
        ]
        return {
            "last_alert": days.iso(max(earlier)) if earlier else None,
            "false_alarm_votes": len(false),
        }
