from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector import episode
from services.detector.episode import EASE_DAYS, KEEP_DAYS, Change, Episode, Policy, Verdict

LOW, MEDIUM, HIGH = 1, 2, 3
FIRES, CLEARS, BETWEEN = (
    Verdict(True, False, MEDIUM),
    Verdict(False, True, 0),
    Verdict(False, False, 0),
)
LETTERS = {"F": FIRES, "C": CLEARS, ".": BETWEEN, "H": Verdict(True, False, HIGH)}


def run(story: str, policy: Policy, known: Episode | None = None) -> list[tuple[int, str]]:
    """Play one evaluation a day; tell (day, what) of what changed. A blank is a day untold."""
    changes: list[tuple[int, str]] = []
    for day, letter in enumerate(story):
        if letter == " ":
            continue
        begin = Episode("rule", "object", "pending", day)
        known, change = episode.step(known, LETTERS[letter], day, policy, begin)
        if change is not None:
            changes.append((day, change.reason or change.kind))
    return changes


def fire(cond: list[bool], cool: int = 28, rearm: int = 7) -> list[int]:
    """The prototype of detection.md: rising edges with cool-down and re-arm."""
    out: list[int] = []
    last, armed, clear = -(10**9), True, 0
    for t, c in enumerate(cond):
        if c:
            if armed and t - last >= cool:
                out.append(t)
                last, armed = t, False
            clear = 0
        else:
            clear += 1
            armed = armed or clear >= rearm
    return out


@pytest.mark.parametrize(
    "story, policy, changes",
    [
        ("", Policy(), []),
        ("...CCC", Policy(), []),
        ("F", Policy(), [(0, "raised")]),
        # dwell: three running
        ("FF.FFF", Policy(dwell=3), [(5, "raised")]),
        ("FF FFF", Policy(dwell=3), [(3, "raised")]),
        # hysteresis: two clear ones running, anything else begins anew; an untold day is none
        ("FC.CC", Policy(clear_days=2), [(0, "raised"), (4, "recovered")]),
        ("FC  C", Policy(clear_days=2), [(0, "raised"), (4, "recovered")]),
        ("FCFCFC", Policy(clear_days=2), [(0, "raised")]),
        # cool-down of six days: days 2 to 5 raise nothing, armed by one quiet day
        (
            "FCFCFCF",
            Policy(clear_days=1, cooldown_days=6, rearm_days=1),
            [(0, "raised"), (1, "recovered"), (6, "raised")],
        ),
        # re-arm: cooled down on day 3, but never three quiet days running
        ("FCFCCFC.FC..F", Policy(clear_days=1, cooldown_days=3, rearm_days=3), [
            (0, "raised"), (1, "recovered"), (12, "raised"),
        ]),
        # a standing condition is the new normal, and is not raised again while it stands
        (
            "FFFFFFFFCF",
            Policy(clear_days=1, expire_days=4, cooldown_days=2, rearm_days=1),
            [(0, "raised"), (4, "new_normal"), (9, "raised")],
        ),
        # nor when it was only less unusual for a while
        (
            "FFFFF.......F.CCF",
            Policy(clear_days=1, expire_days=4, cooldown_days=2, rearm_days=2),
            [(0, "raised"), (4, "new_normal"), (16, "raised")],
        ),
        # but where a condition that holds no longer is over
        (
            "FFFFF.......F.CCF",
            Policy(clear_days=1, expire_days=4, cooldown_days=2, rearm_days=2, rearms="calm"),
            [
                *((0, "raised"), (4, "new_normal"), (12, "raised")),
                *((14, "recovered"), (16, "raised")),
            ],
        ),
        # another alert asks for as many running as the first
        (
            "FFCF.FFC",
            Policy(dwell=2, clear_days=1, cooldown_days=3, rearm_days=1),
            [(1, "raised"), (2, "recovered"), (6, "raised"), (7, "recovered")],
        ),
        # what is older than all that is compared with is no reason to be quiet
        (
            "FFFFFFFFFF",
            Policy(expire_days=2, cooldown_days=1, rearm_days=9, memory_days=6),
            [(0, "raised"), (2, "new_normal"), (6, "raised"), (8, "new_normal")],
        ),
        # what is compared with the new normal from then on may be told at once
        (
            "FFFFF",
            Policy(expire_days=2, cooldown_days=1, rearm_days=9, rearms="relearned"),
            [(0, "raised"), (2, "new_normal"), (3, "raised")],
        ),
        # worse at once, better only after a week of it
        ("FHFFFFFFF", Policy(), [(0, "raised"), (1, "worsened"), (1 + EASE_DAYS, "eased")]),
        ("FHFFFFFFHFF", Policy(), [(0, "raised"), (1, "worsened")]),
    ],
)  # fmt: skip
def test_a_condition_becomes_alerts(
    story: str, policy: Policy, changes: list[tuple[int, str]]
) -> None:
    assert run(story, policy) == changes


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=12),
    st.integers(0, 40),
    st.integers(1, 10),
)
def test_cool_down_and_re_arm_are_those_of_the_prototype(
    stretches: list[tuple[bool, int]], cool: int, rearm: int
) -> None:
    cond = [held for held, days in stretches for _ in range(days)]
    policy = Policy(clear_days=1, expire_days=None, cooldown_days=cool, rearm_days=rearm)
    story = "".join("F" if held else "C" for held in cond)
    raised = [day for day, what in run(story, policy) if what == "raised"]
    assert raised == fire(cond, cool, rearm)


@given(
    st.lists(st.sampled_from("FH.C "), max_size=120),
    st.builds(
        Policy,
        dwell=st.integers(1, 3),
        clear_days=st.integers(1, 4),
        expire_days=st.sampled_from([None, 5, 20]),
        cooldown_days=st.integers(0, 30),
        rearm_days=st.integers(1, 8),
    ),
)
def test_alerts_open_and_close_in_turn_and_not_within_the_cool_down(
    story: list[str], policy: Policy
) -> None:
    opened: int | None = None
    last = -(10**9)
    for day, what in run("".join(story), policy):
        if what == "raised":
            assert opened is None
            assert day - last >= policy.cooldown_days
            opened = last = day
        elif what in ("recovered", "new_normal"):
            assert opened is not None
            opened = None
        else:
            assert opened is not None


def test_a_withdrawn_alert_starts_no_cool_down() -> None:
    policy = Policy()
    known = Episode("rule", "object", "firing", 0, raised_on=3, quiet=0)
    assert episode.close(known, "withdrawn", policy) == Change("cleared", "withdrawn")
    assert run("    F", policy, known) == [(4, "raised")]
    known = Episode("rule", "object", "firing", 0, raised_on=3, quiet=0)
    episode.close(known, "recovered", policy)
    assert run("    F", policy, known) == []


@pytest.mark.parametrize("state, is_open", [
    ("pending", False), ("firing", True), ("clearing", True), ("cooling", False),
])  # fmt: skip
def test_an_alert_is_open_while_it_fires_or_clears(state: Any, is_open: bool) -> None:
    assert Episode("rule", "object", state, 0).open is is_open


@pytest.mark.parametrize(
    "state, day, days, is_old",
    [
        ("firing", 86, 84, False),
        ("firing", 87, 84, True),
        ("clearing", 87, 84, True),
        ("firing", 999, None, False),
        ("pending", 87, 84, False),
        ("cooling", 87, 84, False),
    ],
)
def test_only_an_open_alert_expires_and_only_where_its_policy_says_when(
    state: Any, day: int, days: int | None, is_old: bool
) -> None:
    known = Episode("rule", "object", state, 0, raised_on=3)
    assert episode.expires(known, day, Policy(expire_days=days)) is is_old


def test_the_new_normal_counts_as_told_until_its_condition_is_over() -> None:
    policy = Policy(expire_days=2, cooldown_days=9, rearm_days=2)
    known = Episode("rule", "object", "pending", 0)
    found = []
    for day, letter in enumerate("FFFF..CFCC"):
        _, change = episode.step(known, LETTERS[letter], day, policy, known)
        found.append((known.told, change.reason or change.kind if change else None))
    assert found == [
        *((True, "raised"), (True, None), (True, "new_normal"), (True, None), (True, None)),
        *((True, None), (True, None), (True, None), (True, None), (False, None)),
    ]


def test_what_an_incident_tells_is_quiet_until_it_is_released_and_keeps_a_cool_down() -> None:
    policy = Policy(cooldown_days=9, rearm_days=2)
    cooling = Episode("rule", "object", "cooling", 0, raised_on=0, quiet=1)
    fresh = Episode("rule", "object", "pending", 0)
    found = []
    for known in (cooling, fresh):
        episode.join(known)
        assert known.told
        assert run("F", policy, known) == []
        episode.release(known)
        found.append(run("          F" if known is cooling else "F", policy, known))
        found.append(run("F", policy, known) if known.state == "cooling" else [])
    assert found == [[(10, "raised")], [], [(0, "raised")], []]


def test_a_second_alert_of_one_day_has_another_id() -> None:
    policy = Policy(clear_days=1, cooldown_days=0, rearm_days=1)
    known: Episode | None = Episode("rule", "object", "pending", 0)
    found = []
    for verdict in (FIRES, CLEARS, FIRES):
        known, change = episode.step(known, verdict, 5, policy, Episode("r", "o", "pending", 5))
        assert known is not None
        if change == Change("raised"):
            found.append((known.raised_on, known.ordinal))
    assert found == [(5, 0), (5, 1)]


def test_an_episode_is_remembered_as_long_as_its_alert_id_might_be_given_again() -> None:
    policy = Policy(clear_days=1, expire_days=None, cooldown_days=0, rearm_days=1)
    known: Episode | None = None
    kept = []
    for day, verdict in enumerate([FIRES, *[CLEARS] * (KEEP_DAYS + 1)], start=5):
        known, _ = episode.step(known, verdict, day, policy, Episode("r", "o", "pending", day))
        kept.append(known is not None)
    assert kept == [True] * KEEP_DAYS + [False] * 2


def test_an_alert_id_tells_all_five_parts_apart() -> None:
    base = ("account:a", "usage-drop", "api_calls", 20_000, 0)
    others = [("account:b", 0), ("usage-fell", 1), ("seats", 2), (20_001, 3), (1, 4)]
    ids = {episode.alert_id(*base)}
    for value, place in others:
        changed: list[Any] = list(base)
        changed[place] = value
        ids.add(episode.alert_id(*changed))
    assert len(ids) == 6
    assert {UUID(one).version for one in ids} == {5}
    assert episode.alert_id(*base) == "1dcbb203-ceac-5fdf-8926-9bb658db92da"
    assert episode.key("usage-drop", "api|calls") == "usage-drop|api|calls"
