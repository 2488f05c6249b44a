"""Whatever stands in an alert's evidence, the page of its account can be read."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.alerts.console.labels import ELSEWHERE, NUMBERS, STATISTICS
from tests.unit.alerts.console.door import Door, opened, text
from tests.unit.alerts.console.test_evidence import DROP
from tests.unit.alerts.fakes import alert

GOOD: dict[str, Any] = DROP | {
    "weekly": [{"observed": 50.0, "expected": 100.0}],
    "masked_days": [{"date": "2026-05-01", "reason": "public holiday"}],
    "usual_week": [100.0] * 7,
    "computed_from": {"from": "2026-05-01", "known": 3, "counts": [1, 2, 3], "masked": [1]},
    "amount": 800_000,
    "currency": "EUR",
}
ODD: list[dict[str, Any]] = [
    {"weekly": 5},
    {"weekly": [{"observed": "x", "expected": 1}]},
    {"weekly": [{"observed": 10**400, "expected": 1}]},
    {"weekly": [{"observed": 1e308, "expected": 1e-300}]},
    {"metrics": 5},
    {"metrics": [[]]},
    {"d": "2026-13-45"},
    {"since_estimate": "2026-13-45"},
    {"window": {"from": "x"}},
    {"ratio": 1e308},
    {"observed": 10**400},
    {"observed": -(10**400)},
    {"dispersion": -5.0},
    {"dispersion": 1e308},
    {"usual_week": [1e308] * 7, "drift_sd": 1e308},
    {"usual_week": {"1": 2}},
    {"computed_from": {"from": "0001-01-01", "counts": [1, 2], "masked": ["x"]}},
    {"computed_from": {"from": "9999-12-31", "counts": [1, 2]}},
    {"computed_from": 5},
    {"computed_from": {"from": "2026-05-01", "counts": [10**400, 10**400]}},
    {"masked_days": [5]},
    {"masked_days": {"2026-05-01": "x"}},
    {"thresholds_in_force": [1]},
    {"thresholds_in_force": {"ratio": 10**400}},
    {"baseline": 7},
    {"amount": 5, "currency": 5},
    {"amount": 5, "currency": {}},
]


KEYS = sorted({row.key for row in (*NUMBERS, *STATISTICS)} | ELSEWHERE)
KINDS = (
    *("usage_drop", "silence", "policy_silence", "expansion", "ticket_spike", "seat_utilisation"),
    *("seat_expansion", "feature_abandoned", "breadth", "incident", "change", "deadline", "other"),
)


async def _shown(door: Door, because: dict[str, Any], kind: str = "usage_drop") -> str:
    """The words of a page with an alert of this evidence and a sound one beside it."""
    page = door.view.pages["acct_1"]
    alerts = [
        alert(alert_id="odd", headline="the odd one", because=because, kind=kind),
        alert(alert_id="sound", headline="the sound one", because=GOOD),
    ]
    door.view.pages["acct_1"] = page.model_copy(update={"alerts": alerts})
    answer = await door.get("/accounts/acct_1")
    assert answer.status_code == 200, answer.text
    told = text(answer)
    assert "The odd one" in told
    assert "Rule usage.drop of rule set 7" in told
    assert "16 April to 13 May 2026, 26 days counted" in told
    return told


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd)[:40])
async def test_odd_evidence_takes_no_page_away(door: Door, odd: dict[str, Any]) -> None:
    await _shown(door, GOOD | odd)
    await _shown(door, odd)


async def test_an_alert_without_its_evidence_says_so_and_the_log_says_why(door: Door) -> None:
    with capture_logs() as logged:
        told = await _shown(door, GOOD | {"weekly": 5})

    assert told.count("Its evidence cannot be shown; the log of the service says why.") == 1
    assert logged == [
        {
            "log_level": "warning",
            "event": "evidence of an alert cannot be shown",
            "alert": "odd",
            "account": "acct_1",
            "rule": "usage.drop",
            "error": "TypeError: 'int' object is not iterable",
        }
    ]


_texts = st.text(max_size=12) | st.sampled_from(
    ["2026-05-01", "2026-13-45", "0001-01-01", "2026-05-01T99", "from", "to", "counts", "date"]
)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 1e308, -1e308, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def held() -> Iterator[tuple[asyncio.Runner, Door]]:
    """A door for all examples, and the loop in which it stands."""
    with asyncio.Runner() as runner:
        entered = opened()
        yield runner, runner.run(entered.__aenter__())
        runner.run(entered.__aexit__(None, None, None))


@given(
    whole=st.dictionaries(st.sampled_from(KEYS) | _texts, _json, max_size=4),
    within=st.dictionaries(
        st.sampled_from(["from", "to", "days_used", "counts", "known", "masked", "ratio"]),
        _json,
        max_size=2,
    ),
    where=st.sampled_from(["computed_from", "window", "baseline", "thresholds_in_force"]),
    kind=st.sampled_from(KINDS),
)
@settings(max_examples=200, deadline=None)
def test_any_json_in_real_evidence_is_shown_or_left_out(
    held: tuple[asyncio.Runner, Door],
    whole: dict[str, Any],
    within: dict[str, Any],
    where: str,
    kind: str,
) -> None:
    runner, door = held

    runner.run(_shown(door, GOOD | {where: GOOD[where] | within} | whole, kind))
