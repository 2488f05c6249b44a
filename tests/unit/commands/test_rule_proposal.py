"""`ebbwatch rules propose` as a whole: what history says of silence is tried, and proposed."""

import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.backtest.grid import Option, changed
from services.cli import app
from services.company import shipped
from services.detector.primitives.silence import SilenceParams
from services.detector.rules import compile_rules

START, DAYS = date(2025, 6, 2), 220
STEADY, LEFT = 12, 30
OTHERS = (
    *("usage-stopped", "usage-drop", "core-usage-drop", "active-people-drop", "usage-fast-drop"),
    *("usage-slow-drift", "usage-expansion", "ticket-spike", "ticket-spike-high"),
    *("feature-abandoned", "breadth-lost", "seat-utilisation", "seat-expansion"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Steady customers, and new ones who leave after four days: too few for a rhythm."""
    monkeypatch.chdir(tmp_path)
    usage, accounts, truth = ["account_id,date,count"], ["account_id,segment"], ["account_id,date"]
    for number in range(STEADY):
        accounts.append(f"steady-{number},smb")
        for day in range(number % 2, DAYS, 2):
            usage.append(f"steady-{number},{START + timedelta(days=day)},5")
    for number in range(LEFT):
        accounts.append(f"left-{number},smb")
        for day in range(number, number + 8, 2):
            usage.append(f"left-{number},{START + timedelta(days=day)},5")
        truth.append(f"left-{number},{START + timedelta(days=number + 70)}")
    for name, rows in (("usage", usage), ("accounts", accounts), ("left", truth)):
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
    off = [f'[[override]]\nrule = "{one}"\noff = true\n' for one in OTHERS]
    (tmp_path / "mine.toml").write_text("".join(off))
    return tmp_path


def proposed(*more: str, code: int = 0) -> Any:
    files = ("--usage", "usage.csv", "--accounts", "accounts.csv", "--truth", "left.csv")
    arguments = ["rules", "propose", *files, "--horizon", "90", *more]
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert found.exit_code == code, found.output
    return found.output


def test_a_segment_s_median_is_proposed_for_customers_without_a_rhythm(folder: Path) -> None:
    said = proposed("--rules", "mine.toml", "--rule", "gone-silent")
    # Every other day for half a year: 20 / sqrt(28/56) * (1 + 8 / 110 active days), rounded up.
    assert "gone-silent, learned: smb: unknown 31" in said
    override = {"rule": "gone-silent", "segment": "smb", "params": {"unknown": 31}}
    written = tomllib.loads((folder / "proposal.toml").read_text())
    assert written == {"override": [override]}
    assert "unknown by segment" in said
    assert "0 % → 100 %" in said or "– → 100 %" in said


def test_rules_that_are_refused_are_refused_with_their_own_reason(folder: Path) -> None:
    (folder / "mine.toml").write_text('[[override]]\nrule = "no-such-rule"\noff = true\n')
    said = proposed("--rules", "mine.toml", code=1)
    assert said.startswith("mine.toml is refused:\nmine.toml:")
    assert "no-such-rule" in said


def test_what_is_learned_holds_for_a_segment_and_the_rest_of_the_fleet() -> None:
    fleet, own = [0.8, 40.0, 0.9, 3.0], [1.2, 20.0, 0.5, 4.0]
    option = Option({"population": fleet}, {"smb": {"unknown": 31, "population": own}})
    rules = compile_rules(2, changed(shipped().content, {"gone-silent": option}))
    found = [rules.by_id["gone-silent"].variant(one).params for one in ("smb", "mid", None)]
    assert [(one.unknown, one.population) for one in found if isinstance(one, SilenceParams)] == [
        (31, tuple(own)),
        (None, tuple(fleet)),
        (None, tuple(fleet)),
    ]
