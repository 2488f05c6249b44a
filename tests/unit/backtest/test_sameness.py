"""A backtest says what an import of the same files says, whoever plays it (design §5, b and c)."""

import random
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from schemas.config import RuleSetContent
from schemas.events import RulesApplied
from services.backtest import run
from services.company import shipped
from tests import builders as a
from tests.unit.backtest import histories as h


def test_a_backtest_raises_what_an_import_of_the_same_files_raises(
    tmp_path: Path, seed: int
) -> None:
    files = run.look_at(h.write(tmp_path, seed))
    content = shipped().content
    outcome, alerts = h.played(files, content)
    expected = h.same(h.imported(files, content, 3, random.Random(seed)))
    assert h.same(alerts) == expected
    assert {row.alert_id for row in outcome.rows} == {one[0] for one in expected}
    assert {row.kind for row in outcome.rows} >= {"usage_drop", "silence", "ticket_spike", "change"}


def test_any_number_of_workers_finds_the_same(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = h.write(tmp_path, seed)
    del given["events"]
    files = run.look_at(given)
    content = shipped().content
    alone, alerts = h.played(files, content)
    monkeypatch.setattr(run, "FEW_BYTES", 0)
    together, others = h.played(files, content, workers=3)
    assert h.same(others, peers=True) == h.same(alerts, peers=True)
    assert together == alone


def test_a_history_in_a_file_a_month_says_what_one_file_says(tmp_path: Path, seed: int) -> None:
    given, content = h.write(tmp_path, seed), shipped().content
    head, *rows = given["usage"][0].read_text().splitlines()
    months: dict[str, list[str]] = {}
    for row in rows:
        months.setdefault(row.split(",")[1][:7], [head]).append(row)
    paths = [tmp_path / f"usage-{month}.csv" for month in months]
    for path, lines in zip(paths, months.values(), strict=True):
        path.write_text("\n".join(lines))
    _, whole = h.played(run.look_at(given), content)
    _, split = h.played(run.look_at(given | {"usage": paths}), content)
    assert len(paths) == 7
    assert h.same(split, peers=True) == h.same(whole, peers=True)


def test_what_goes_from_one_partition_to_another_arrives_before_the_day_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = run.look_at({"events": [h.write_people(tmp_path)]})
    applied = a.rules(a.silent(2, clear_days=2)).event
    assert isinstance(applied, RulesApplied)
    content = msgspec.json.decode(applied.content, type=RuleSetContent)
    alone, alerts = h.played(files, content)
    monkeypatch.setattr(run, "FEW_BYTES", 0)
    together, others = h.played(files, content, workers=2)
    assert h.same(others, peers=True) == h.same(alerts, peers=True)
    assert together == alone
    # Every account is active through a person of whom another partition may know; then no more.
    assert {(row.account, row.day.isoformat()) for row in together.rows} == {
        (f"acct_{number}", "2026-05-08") for number in range(8)
    }


@pytest.mark.timeout(30)
@pytest.mark.parametrize("workers", [1, 3])
def test_files_that_hold_rows_of_today_are_played_up_to_now(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that is due between now and midnight is not judged, and nobody waits for it."""
    known = ["account_id,timezone", "a,Asia/Tokyo", "b,Europe/Moscow", "c,UTC"]
    today = h.NOW.date()
    days = [today - timedelta(days=ago) for ago in range(120)]
    usage = ["account_id,date,count", *(f"{one},{day},5" for one in "abc" for day in days)]
    for name, lines in (("usage", usage), ("accounts", known)):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    files = run.look_at({kind: [tmp_path / f"{kind}.csv"] for kind in ("usage", "accounts")})
    monkeypatch.setattr(run, "FEW_BYTES", 0)
    outcome, _ = h.played(files, shipped().content, workers=workers)
    assert (outcome.accounts, outcome.rows, dict(outcome.refused)) == (3, [], {})
    assert outcome.last == today - timedelta(days=1)
