"""Every shipped rule's alert on its account's page, and wherever else its words are read."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest

from schemas.alerts import Alert, AlertCleared
from schemas.cases import Step
from schemas.envelope import COMPANY
from services.alerts import showing
from services.alerts.cases.standing import Standing
from services.alerts.channels.message import Addressee, compose
from services.alerts.console.labels import ELSEWHERE, NUMBERS, STATISTICS
from services.alerts.shown import AccountPage, AlertShown
from services.commands.alerts import render
from tests.unit.alerts.console.door import Door
from tests.unit.alerts.fakes import alert as shown
from tests.unit.detector.packed import RULES, fired
from tests.unit.detector.test_incident import FALL, play, shared

RISES = ("expansion", "ticket_spike", "seat_expansion")
FALLS = ("usage_drop", "feature_abandoned", "silence", "seat_utilisation", "breadth")
FIGURE = re.compile(
    r"<dt>(?P<name>.*?)</dt><dd>(?P<value>.*?)(?: <span class=\"quiet\">(?P<note>.*?)</span>)?</dd>"
)
RAW = re.compile(r"None|\b(nan|inf)\b|[{}\[\]@]|[a-z]_[a-z]|: (observed|expected|feature|from)\b")
BARE = re.compile(r"[−+-]?[\d.,]+$")


def states_of(records: Iterable[Alert]) -> Iterator[Standing]:
    """An alert as each of its records leaves it."""
    first, *rest = records
    begun = Standing(first=first, latest=first, raised_at=0, changed_at=0)
    yield from accumulate(rest, lambda so_far, one: so_far.take(one, 1), initial=begun)


def page_of(alert: AlertShown) -> AccountPage:
    """The account's page, whose daily values go on after the judged day."""
    evidence = alert.because or {}
    days = {(alert.day + timedelta(days=n)).isoformat(): 3.0 for n in (-1, 1)}
    names = evidence.get("metrics") or [alert.object]
    counted = dict.fromkeys(names, days) if evidence.get("computed_from") else {}
    return AccountPage(account="acct_1", alerts=[alert], days=counted)


async def rendered(door: Door, alert: AlertShown) -> str:
    """The part of the page that is about the alert."""
    door.view.pages["acct_1"] = page_of(alert)
    answer = await door.get("/accounts/acct_1")
    assert answer.status_code == 200, answer.text
    found = re.search(r'<details class="card alert".*?<form class="feedback"', answer.text, re.S)
    assert found is not None
    return found[0]


def figures(card: str) -> list[tuple[str, str, str]]:
    """Name, value and note of every figure, as a person reads them."""
    return [
        tuple(html.unescape(found[name] or "") for name in ("name", "value", "note"))  # type: ignore[misc]
        for found in FIGURE.finditer(card)
    ]


def assert_readable(alert: AlertShown, card: str) -> None:
    assert "Its evidence cannot be shown" not in card
    told = figures(card)
    names = [name for name, _, _ in told]
    assert len(set(names)) == len(names), names
    for name, value, note in told:
        said = f"{name}: {value} ({note})".replace(alert.object, "")
        assert not RAW.search(said), said
        assert not BARE.match(value), said
    words = re.sub(r"<[^>]+>", " ", card.split('class="statistics"')[0])
    if alert.kind in RISES:
        assert not re.search(r"\b(fall|fell|fallen|drop|drops)\b", words, re.I)
    if alert.kind in FALLS and alert.open:
        assert not re.search(r"\b(rise|rose|risen|rises)\b", words, re.I)


def unnamed(record: Alert) -> list[str]:
    """The keys of its evidence that no table of the page knows."""
    return sorted(record.because.keys() - {row.key for row in (*NUMBERS, *STATISTICS)} - ELSEWHERE)


def assert_leaves_readable(record: Alert) -> None:
    step: Step = "cleared" if isinstance(record, AlertCleared) else "added"
    at = datetime(2026, 5, 14, tzinfo=UTC)
    sent = json.loads(compose("0-0", step, at, record, Addressee(None, "nobody"), ""))
    told = sent["data"]["alert"]
    for said in (told["headline"], told["text"], render(record).replace("[shadow]", "")):
        assert not RAW.search(said), said


@pytest.mark.parametrize("rule", RULES)
async def test_the_evidence_of_every_shipped_rule_is_readable_on_its_page(
    door: Door, rule: str
) -> None:
    for standing in states_of(fired(rule)):
        alert = showing.alert_shown(standing)
        assert alert.because, alert
        if alert.open:
            assert_readable(alert, await rendered(door, alert))


@pytest.mark.parametrize("rule", RULES)
def test_every_key_of_a_shipped_rules_evidence_has_a_name(rule: str) -> None:
    for record in fired(rule):
        assert unnamed(record) == []


@pytest.mark.parametrize("rule", RULES)
def test_what_leaves_by_a_channel_or_in_a_terminal_is_readable(rule: str) -> None:
    for record in fired(rule):
        assert_leaves_readable(record)


async def test_the_evidence_of_an_incident_is_readable_wherever_it_is_told(door: Door) -> None:
    """Twenty customers all fall, and rise again."""
    records = [one for one in play(shared, FALL + 90) if one.account == COMPANY]
    for standing in states_of(records):
        alert = showing.alert_shown(standing)
        if alert.open:
            assert_readable(alert, await rendered(door, alert))
    for record in records:
        assert unnamed(record) == []
        assert_leaves_readable(record)


@pytest.mark.parametrize("rule", RULES)
async def test_a_chart_shows_what_was_judged_and_says_what_that_is(door: Door, rule: str) -> None:
    alert = showing.alert_shown(next(states_of(fired(rule))))
    assert alert.because is not None
    card = await rendered(door, alert)
    assert ('<figure class="chart"' in card) == ("computed_from" in alert.because)
    if "computed_from" not in alert.because:
        return
    caption = re.search(r"<figcaption.*?<strong>(.*?)</strong>", card)
    assert caption is not None
    assert not RAW.search(caption[1].replace(alert.object, "")), caption[1]
    drawn = {day: float(value) for day, value in re.findall(r'data-d="(.*?)" data-v="(.*?)"', card)}
    assert drawn == dict(judged(alert)) | continued(alert)


def judged(alert: AlertShown) -> Iterator[tuple[str, float]]:
    """The days that the alert was computed from, as far as they mean something."""
    assert alert.because is not None
    source = alert.because["computed_from"]
    counts = source["counts"]
    first = len(counts) - source["known"]
    if alert.kind.startswith("seat_"):
        first = len(counts) - 14  # the fortnight over which the mean is taken
    if alert.kind == "breadth":
        first += 27  # a day before the account's first four weeks has fewer features by that
    for ago, count in enumerate(reversed(counts[first:])):
        yield (alert.day - timedelta(days=ago)).isoformat(), count


def continued(alert: AlertShown) -> dict[str, float]:
    """The days of the page as they are now, where a day is what was done on it."""
    if alert.kind in ("seat_utilisation", "seat_expansion", "breadth"):
        return {}
    added = 3.0 * len((alert.because or {})["metrics"])
    return {(alert.day + timedelta(days=n)).isoformat(): added for n in (-1, 1)}


@pytest.mark.parametrize("rule, offered", [("seat-utilisation", False), ("breadth-lost", True)])
async def test_how_far_back_is_asked_only_where_there_is_more_to_see(
    door: Door, rule: str, offered: bool
) -> None:
    card = await rendered(door, showing.alert_shown(next(states_of(fired(rule)))))

    assert ("How far back" in card) == offered


async def test_an_alert_whose_evidence_nobody_knows_is_told_by_its_keys(door: Door) -> None:
    odd = shown(kind="of_a_newer_version", because={"some_figure": 5, "nothing": None})

    assert "Some figure 5" in text_of(await rendered(door, odd))


def text_of(card: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card))


def test_no_record_is_without_a_headline() -> None:
    records: list[Alert] = [one for rule in RULES for one in fired(rule)]

    assert [one.rule for one in records if one.because and not one.because.get("headline")] == []
