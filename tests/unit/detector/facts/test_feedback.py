from itertools import permutations

from schemas.envelope import Entry
from schemas.events import FeedbackGiven
from services.detector.facts.feedback import VOTE_LIMIT, Feedback
from tests import builders as a


def vote(
    verdict: str = "false_alarm",
    alert: str = "a1",
    author: str = "ana",
    day: float = 1,
    id: str = "",
) -> Entry:
    """Somebody's word on an alert of the rule `silent`."""
    event = FeedbackGiven(alert=alert, verdict=verdict, author=author, rule="silent")  # type: ignore[arg-type]
    return a.entry(event, day=day, id=id)


def folded(*votes: Entry) -> Feedback:
    found = Feedback()
    for one in votes:
        assert found.fold(one, a.moment(one)) is None
    return found


def test_of_one_person_on_one_alert_the_newest_word_holds_in_any_order() -> None:
    said = (vote(day=1, id="1"), vote("useful", day=2, id="2"), vote(author="kim", day=1, id="3"))
    for order in permutations(said):
        assert folded(*order).counted() == {"silent": {"false_alarm": 1, "useful": 1}}


def test_the_same_word_twice_counts_once() -> None:
    assert folded(vote(id="1"), vote(id="1")).counted() == {"silent": {"false_alarm": 1}}


def test_votes_count_by_rule_and_up_to_a_moment() -> None:
    found = folded(vote(day=1), vote(alert="a2", day=2), vote("known", alert="a3", day=2))
    assert found.false_alarms("silent", 1 << 63) == 2
    assert found.false_alarms("silent", a.at(2)) == 1
    assert found.false_alarms("drop", 1 << 63) == 0


def test_a_word_that_names_no_rule_counts_for_none() -> None:
    said = a.entry(FeedbackGiven(alert="a1", verdict="false_alarm"), id="1")
    assert folded(said).votes == {}


def test_only_the_newest_votes_are_kept_in_any_order() -> None:
    said = [vote(alert=f"a{n:03}", day=1 + n / 100, id=f"{n}") for n in range(VOTE_LIMIT + 5)]
    forth, back = folded(*said), folded(*reversed(said))
    assert forth.votes == back.votes
    assert min(one.time for one in forth.votes.values()) == said[5].time
    assert len(forth.votes) == VOTE_LIMIT
