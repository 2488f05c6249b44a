import pytest

from services.detector.primitives.breadth import Breadth, BreadthParams
from tests.unit.detector.primitives.stories import days, series, word

PARAMS = BreadthParams()


def verdict(counts: list[float], masked: tuple[int, ...] = (), fewer: int = 2) -> str:
    """Return the only row in a word; counts are of features used in the 28 days to each day."""
    return word(Breadth.judge(series(counts, masked=masked), BreadthParams(fewer=fewer)))


# fmt: off
STORIES = [
    ("five as ever", days((210, 5)), (), "clears"),
    ("three of five for 14 days", days((196, 5), (14, 3)), (), "medium"),
    ("for 13 days", days((197, 5), (13, 3)), (), "quiet"),
    ("four of five", days((196, 5), (14, 4)), (), "clears"),
    ("two of four: half of them", days((196, 4), (14, 2)), (), "high"),
    ("a fourth one day ago", days((196, 5), (12, 3), (1, 4), (1, 3)), (), "quiet"),
    ("months of 5, 5, 3, 5, 5: the median is 5", days((100, 5), (28, 3), (68, 5), (14, 3)), (),
     "medium"),
    ("three of five months were narrow", days((90, 5), (120, 3)), (), "clears"),
    # the third month before the judged days ends 98 days ago, and lies wholly in the known days
    ("young: 126 known days", days((112, 5), (14, 3)), (), "medium"),
    ("young: 125 known days", days((111, 5), (14, 3)), (), "cannot tell"),
    ("two at most are usual, and lost", days((196, 2), (14, 0)), (), "high"),
    ("a single one is usual", days((196, 1), (14, 0)), (), "cannot tell"),
    ("the judged day is masked", days((196, 5), (14, 3)), (0,), "cannot tell"),
    ("a masked day is no evaluation", days((196, 5), (14, 3)), (5,), "quiet"),
    ("and one more has the fourteenth", days((195, 5), (15, 3)), (5,), "medium"),
    # the 14 evaluations and the 27 days before them are 41 days of the last 63
    ("22 days masked", days((174, 5), (36, 3)), tuple(range(1, 23)), "medium"),
    ("23 days masked", days((173, 5), (37, 3)), tuple(range(1, 24)), "cannot tell"),
    # with a masked day in it the third month begins a day before the 126 known ones
    ("young: a day of a month is masked", days((112, 5), (14, 3)), (100,), "cannot tell"),
    ("young: known for a day longer", days((113, 5), (14, 3)), (100,), "medium"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(counts, masked) == said


def test_a_company_may_ask_for_more() -> None:
    assert verdict(days((196, 5), (14, 3)), fewer=3) == "clears"


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # months end 42, 70, 98, 126, 154 days ago; DAY is 2026-05-16
    counts = days((70, 4), (28, 5), (97, 6), (15, 3))
    said = Breadth.judge(series(counts, masked=(5,)), PARAMS).because(0)
    assert said == {
        "window": {"from": "2026-04-05", "to": "2026-05-16", "days_used": 41},
        "used_since": "2026-04-18",
        "used": 3.0,
        "most_of_late": 3.0,
        "usual": 6.0,
        "by_month": [4.0, 5.0, 6.0, 6.0, 6.0],
        "smallest_detectable_loss": 2,
        "masked_days": ["2026-05-11"],
        "thresholds_in_force": {"fewer": 2, "days": 14},
    }


def test_over_is_what_is_near_what_was_usual_then_and_not_what_has_become_usual() -> None:
    said = Breadth.judge(series(days((70, 6), (140, 3))), PARAMS)
    assert word(said) == "clears"
    assert said.usual is not None
    assert said.over is not None
    assert (said.usual.tolist(), said.over(0, 6.0), said.over(0, 4.0)) == ([3.0], False, True)
