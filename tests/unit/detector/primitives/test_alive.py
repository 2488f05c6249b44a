import numpy as np
import pytest

from services.detector.primitives import alive
from services.detector.primitives.alive import Histories, Population
from services.detector.primitives.day import Series
from tests.unit.detector.primitives.real import REAL, purchases, real
from tests.unit.detector.primitives.reference.account import account
from tests.unit.detector.primitives.reference.alive import history, likelihood, p_alive
from tests.unit.detector.primitives.stories import days, random_series, series

FLEET = Population(r=0.8, alpha=40.0, a=0.9, b=3.0)


def drawn(seed: int, accounts: int) -> Histories:
    """Return accounts that do as the model says, for a year and a half."""
    rng = np.random.default_rng(seed)
    told = np.zeros((3, accounts))
    for row in range(accounts):
        rate, leaving = rng.gamma(FLEET.r, 1 / FLEET.alpha), rng.beta(FLEET.a, FLEET.b)
        at, age = 0.0, float(rng.integers(360, 540))
        while (at := at + rng.exponential(1 / rate)) <= age:
            told[0, row] += 1
            told[1, row] = at
            if rng.random() < leaving:
                break
        told[2, row] = age
    return Histories(*told)


def test_an_account_s_history_is_read_from_the_days_in_sight() -> None:
    one = series(days((1, 1), (9, 0), (1, 1), (4, 0), (1, 1), (20, 0)), days((40, 0)), days((1, 1)))
    assert [part.tolist() for part in alive.histories(one, 210)] == [
        [2, 0, 0],
        [15, 0, 0],
        [35, 0, 0],
    ]
    assert [part.tolist() for part in alive.histories(one, 30)] == [
        [1, 0, 0],
        [5, 0, 0],
        [25, 0, 0],
    ]


GIVEN = {f"random {seed}": random_series(seed, accounts=60) for seed in range(4)} | {
    source: real(source) for source in REAL
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("days", [210, 90])
def test_histories_and_probabilities_agree_with_the_scalar_formulas(
    given: Series, days: int
) -> None:
    told = alive.histories(given, days)
    expected = [history(account(given, row), days) for row in range(len(given.known))]
    assert list(zip(*(part.tolist() for part in told), strict=True)) == expected
    chances = [p_alive(*one, *FLEET) for one in expected]
    assert alive.alive(told, FLEET).tolist() == pytest.approx(chances, abs=1.1e-9)


def test_probabilities_of_real_customers_agree_with_the_scalar_formula() -> None:
    told = purchases(weeks=39)
    chances = [
        p_alive(int(x), int(recency), int(age), *FLEET)
        for x, recency, age in zip(*(part.tolist() for part in told), strict=True)
    ]
    assert len(chances) > 4000
    assert alive.alive(told, FLEET).tolist() == pytest.approx(chances, abs=1.1e-9)


def test_who_never_came_twice_cannot_have_left() -> None:
    never = Histories(np.zeros(1), np.zeros(1), np.array([500.0]))
    assert alive.alive(never, FLEET).tolist() == [1.0]


def test_the_likelihood_agrees_with_the_scalar_formula() -> None:
    told = drawn(3, 40)
    expected = -np.mean([likelihood(*one, *FLEET) for one in zip(*told, strict=True)])
    assert alive._surprise(np.log(FLEET), *told) == pytest.approx(expected, abs=1e-9)


def test_a_population_is_found_again() -> None:
    found = alive.fit(drawn(5, 3000))
    assert found is not None
    assert list(found[:2]) == pytest.approx(FLEET[:2], rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(FLEET.a / (FLEET.a + FLEET.b), rel=0.2)
    assert found == alive.fit(drawn(5, 3000))


def test_customers_of_a_shop_are_the_population_that_others_found() -> None:
    # Fader, Hardie, Lee 2005, from a tenth of the shop's customers, alpha in weeks
    found = alive.fit(purchases(weeks=39))
    assert found is not None
    assert found.r == pytest.approx(0.243, rel=0.1)
    assert found.alpha / 7 == pytest.approx(4.414, rel=0.2)
    assert found.a / (found.a + found.b) == pytest.approx(0.793 / (0.793 + 2.426), rel=0.05)


def test_too_few_accounts_are_no_population() -> None:
    assert alive.fit(drawn(5, 199)) is None


def test_accounts_of_which_nothing_can_be_learned_are_no_population() -> None:
    nobody = Histories(np.zeros(300), np.zeros(300), np.full(300, 100.0))
    assert alive.fit(nobody) is None
