"""What the accounts of a backtest say of silence: the same as the primitives say of them."""

from pathlib import Path

import numpy as np
import pytest

from services.backtest import run
from services.backtest.fitting import asked, fitted
from services.backtest.pasts import Past, pasts_of, series
from services.company import shipped
from services.detector.primitives import alive, rhythm
from services.detector.rules import compile_rules
from services.detector.subject import Account
from tests.unit.backtest import histories

CONTENT = shipped().content


def visits(seed: int, number: int, segment: str | None) -> list[Past]:
    """Accounts that come now and then, and leave by and by."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        age = int(rng.integers(150, 210))
        days, at = [0], 0.0
        while (at := at + rng.exponential(12)) < age and rng.random() > 0.08:
            days.append(int(at))
        lags = sorted({age - day for day in days})
        found.append(Past("@meaningful", segment, len(lags), age + 1, tuple(lags)))
    return found


def test_only_rules_of_a_rhythm_can_learn() -> None:
    assert [(rule, metric) for rule, (metric, _) in asked(CONTENT).items()] == [
        ("gone-silent", "@meaningful")
    ]


def test_a_fleet_has_one_population_and_a_segment_of_200_accounts_its_own() -> None:
    smb, few = visits(1, 240, "smb"), visits(2, 30, "few")
    options = fitted(CONTENT, [*smb, *few])["gone-silent"]
    whole = alive.fit(alive.histories(series(_sorted([*smb, *few])), 210))
    own = alive.fit(alive.histories(series(_sorted(smb)), 210))
    assert whole is not None
    assert own is not None
    told = rhythm.measure(series([*smb, *few]))
    limits = np.ceil(np.clip(rhythm.limit(told, 20), 5, 150))
    known = told.active >= 5
    medians = rhythm.medians(limits, known, ["smb"] * 240 + ["few"] * 30)
    unknown = {name: {"unknown": days} for name, days in medians.items()}
    assert [one.params for one in options] == [
        {},
        {"population": list(whole)},
        {"population": list(whole)},
    ]
    assert [one.segments for one in options] == [
        unknown,
        {"smb": {"population": list(own)}},
        {"few": unknown["few"], "smb": unknown["smb"] | {"population": list(own)}},
    ]


def test_the_order_of_accounts_says_nothing() -> None:
    some = visits(1, 240, "smb")
    assert fitted(CONTENT, some) == fitted(CONTENT, some[::-1])


@pytest.mark.parametrize("pasts", [[], visits(3, 4, "smb"), visits(3, 4, None)])
def test_of_few_accounts_nothing_is_learned(pasts: list[Past]) -> None:
    assert fitted(CONTENT, pasts) == {}


def test_a_past_says_of_silence_what_the_account_s_own_days_say(tmp_path: Path) -> None:
    files = run.look_at(histories.write(tmp_path, 5, accounts=6))
    (outcome,) = run.backtest(files, [CONTENT], histories.outside(pasts=("api_calls", "logins")))
    pasts = [one for one in outcome.pasts if one.selector == "api_calls"]
    assert len(pasts) == outcome.accounts == 6
    lively = [one for one in pasts if one.known >= 190 and len(one.lags) > 150]
    assert len(lively) >= 4
    # One of them is active on Wednesdays only, and no more after a hundred days.
    (rare,) = [one for one in pasts if one.lags[0] > 80]
    assert len({lag % 7 for lag in rare.lags if lag > 100}) <= 3
    assert {one.segment for one in pasts} == {"s0", "s1"}
    assert {one.selector for one in outcome.pasts} == {"api_calls", "logins"}


def test_nobody_who_was_not_judged_has_a_past() -> None:
    acme = Account("acme", since=0)
    assert list(pasts_of(acme, compile_rules(1, CONTENT), ["@meaningful"], -1)) == []


def _sorted(pasts: list[Past]) -> list[Past]:
    return sorted(pasts, key=lambda one: (one.lags, one.known, one.active))
