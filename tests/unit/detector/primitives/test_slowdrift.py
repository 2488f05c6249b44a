import numpy as np
import pytest

from services.detector.primitives.slowdrift import SlowDrift, SlowDriftParams
from tests.unit.detector.primitives.stories import days, series, word

PARAMS = SlowDriftParams(metric="usage")


def line(first: float, last: float, level: float = 1000.0) -> list[float]:
    """Return half a year at a level, then 13 weeks from the first to the last share of it."""
    weeks = [(7, level * (first + (last - first) * k / 12)) for k in range(13)]
    return days((119, level), *weeks)


def verdict(counts: list[float], masked: tuple[int, ...] = (), swing: float = np.nan) -> str:
    """Return the only row in a word."""
    return word(SlowDrift.judge(series(counts, masked=masked, swing=swing), PARAMS))


# fmt: off
STORIES = [
    ("steady", days((210, 100)), (), "clears"),
    ("it grows", line(1.0, 1.3), (), "clears"),
    ("it sinks by a third", line(1.0, 0.67), (), "medium"),
    ("it sinks by half and more", line(1.0, 0.45), (), "high"),
    ("it sinks by a fifth less a little", line(1.0, 0.81), (), "quiet"),
    ("one odd week on the way", line(1.0, 0.67)[:-14] + days((7, 2000), (7, 670)), (), "medium"),
    ("a fortnight of nothing is no line", days((196, 1000), (14, 0)), (), "clears"),
    ("weeks with three open days are left out", line(1.0, 0.6),
     tuple(k for week in (1, 4, 7) for k in range(7 * week, 7 * week + 4)), "medium"),
    ("four such weeks are too many", line(1.0, 0.6),
     tuple(k for week in (1, 4, 7, 10) for k in range(7 * week, 7 * week + 4)), "cannot tell"),
    ("thirteen open days in four weeks", line(1.0, 0.6), tuple(range(1, 16)), "cannot tell"),
    ("young: 111 known days", line(1.0, 0.6)[-111:], (), "cannot tell"),
    ("one event a day: a line through noise", line(1.0, 0.67, level=1), (), "quiet"),
    ("nothing, ever", days((210, 0)), (), "cannot tell"),
]
# fmt: on


@pytest.mark.parametrize("story, counts, masked, said", STORIES, ids=[s[0] for s in STORIES])
def test_a_story(story: str, counts: list[float], masked: tuple[int, ...], said: str) -> None:
    assert verdict(counts, masked) == said


def test_an_account_that_always_swings_must_sink_further() -> None:
    sunk = line(1.0, 0.67)
    assert (verdict(sunk), verdict(sunk, swing=0.04)) == ("medium", "quiet")


def test_the_evidence_holds_every_number_that_is_said() -> None:
    # levels 1000 .. 640 in steps of 30; the baseline, 182 days to day 28 before, holds nine of them
    said = SlowDrift.judge(series(line(1.0, 0.64)), PARAMS).because(0)
    assert len(said.pop("weekly")) == 8
    week = said.pop("usual_week")[0]
    weeks = said.pop("weeks")
    assert [one["observed"] for one in weeks] == [7000.0 - 210 * k for k in range(13)]
    assert {one["expected"] for one in weeks} == {6709.230769}  # (17 * 7000 + 9 * 6160) / 26
    assert week == pytest.approx(6709.230769 / 7 * 0.999, abs=3)  # the cap cuts next to nothing
    assert said.pop("baseline") == {"from": "2025-10-19", "to": "2026-04-18", "days_used": 182}
    assert (said.pop("first_level"), said.pop("last_level")) == (1.043339, 0.667737)
    thresholds = said.pop("thresholds_in_force")
    assert thresholds == {"fall": 0.2, "evidence": 3.3, "evidence_asked": 3.3}
    told = {name: said[name] for name in ("slope", "fall", "weeks_used", "masked_days", "window")}
    assert told == {
        "slope": -0.0313,
        "fall": 0.36,
        "weeks_used": 13,
        "masked_days": [],
        "window": {"from": "2026-02-15", "to": "2026-05-16", "days_used": 91},
    }
    # what is seen at least: evidence * spread of the middle, as a share of the first end
    seen = 3.3 * said["spread"]
    assert said["smallest_detectable_drop"] == pytest.approx(seen / (1 + seen / 2), abs=2e-6)
    assert said["evidence"] == pytest.approx(0.375603 / 0.855538 / said["spread"], rel=1e-5)
