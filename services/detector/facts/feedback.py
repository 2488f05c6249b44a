"""What people said alerts of an account were worth: the votes that later alerts mention."""

from typing import ClassVar, NamedTuple

import msgspec
import xxhash

from schemas.envelope import Entry
from schemas.events import FeedbackGiven, Fields
from services.detector.facts.contacts import stamp_of
from services.detector.facts.moment import Moment

VOTE_LIMIT = 100
"""Votes that are kept of one account, the newest: one for each alert and person."""

FALSE_ALARM = "false_alarm"


class Vote(NamedTuple):
    """One person's word on one alert, and the (event time, id) that said so."""

    rule: str
    verdict: str
    time: int
    id: str


class Feedback(msgspec.Struct, omit_defaults=True):
    """Votes on the alerts of an account.

    Attributes:
        votes: By hash of alert and person: who voted is no fact of the account.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (FeedbackGiven,)

    votes: dict[int, Vote] = msgspec.field(default_factory=dict)

    def fold(self, entry: Entry, at: Moment) -> str | None:
        """Take a vote over; of one person on one alert the newest holds, in whatever order."""
        event = entry.event
        assert isinstance(event, FeedbackGiven)
        if event.rule is None:
            return None
        key = xxhash.xxh3_64_intdigest(f"{event.alert}\x1f{event.author or ''}".encode())
        vote = Vote(event.rule, event.verdict, *stamp_of(at.time, entry.id))
        known = self.votes.get(key)
        if known is None or vote[2:] > known[2:]:
            self.votes[key] = vote
        if len(self.votes) > VOTE_LIMIT:
            del self.votes[min(self.votes, key=lambda one: (self.votes[one][2:], one))]
        return None

    def counted(self) -> dict[str, dict[str, int]]:
        """Return how many votes there are, by rule and verdict."""
        found: dict[str, dict[str, int]] = {}
        for _, one in sorted(self.votes.items(), key=lambda item: (item[1][:2], item[0])):
            verdicts = found.setdefault(one.rule, {})
            verdicts[one.verdict] = verdicts.get(one.verdict, 0) + 1
        return found

    def false_alarms(self, rule: str, before: int) -> int:
        """Return how many people said of alerts of a rule that they were false.

        Args:
            rule: The rule's id.
            before: Votes of this moment and later do not count, microseconds.
        """
        return sum(
            one.rule == rule and one.verdict == FALSE_ALARM and one.time < before
            for one in self.votes.values()
        )
