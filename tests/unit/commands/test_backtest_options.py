import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app

START, DAYS = date(2026, 1, 5), 150


def said(*arguments: str) -> str:
    found = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def judged(folder: Path, days: object) -> dict[str, Any]:
    """What is found of accounts whose usage ends on the same day, the one known for so long."""
    known = folder / "accounts.csv"
    known.write_text(f"account_id,start,days\na,{START},{days}\nb,{START},\n")
    files = ("--usage", str(folder / "usage.csv"), "--accounts", str(known))
    found: dict[str, Any] = json.loads(said("backtest", *files, "--json"))
    del found["seconds"]
    return found


@pytest.mark.parametrize("command", [("backtest",), ("rules", "propose")])
def test_the_help_says_until_when_an_account_is_judged(command: tuple[str, ...]) -> None:
    words = " ".join(said(*command, "--help").replace("│", " ").split())
    assert "for so many days, but none after the last row of any file" in words


def test_no_day_is_judged_after_the_last_row_of_any_file(tmp_path: Path) -> None:
    usage = ["account_id,date,count"]
    for day in range(DAYS):
        usage += [f"{one},{START + timedelta(days=day)},{100 + day % 3}" for one in "ab"]
    (tmp_path / "usage.csv").write_text("\n".join(usage))
    unbounded, short = judged(tmp_path, ""), judged(tmp_path, DAYS - 10)
    assert unbounded["last"] == (START + timedelta(days=DAYS - 1)).isoformat()
    assert judged(tmp_path, DAYS + 400) == unbounded
    assert short["account_days"] == unbounded["account_days"] - 10
