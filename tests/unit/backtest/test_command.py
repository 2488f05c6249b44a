import csv
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.commands import backtest

START = date(2026, 1, 5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of three accounts: steady, fallen from day 150 on, ended on day 150."""
    monkeypatch.chdir(tmp_path)
    usage = ["account_id,date,count", "steady,2026-02-30,5", "steady,2026-02-03,many"]
    for day in range(200):
        on = START + timedelta(days=day)
        usage.append(f"steady,{on},{100 + day % 3}")
        usage.append(f"fallen,{on},{100 if day < 150 else 40}")
        if day < 150:
            usage.append(f"ended,{on},100")
    (tmp_path / "usage.csv").write_text("\n".join(usage))
    accounts = ["account_id,owner,arr,currency,start,days", f"ended,ana,500,EUR,{START},150"]
    accounts += [f"fallen,ben,900,EUR,{START},", f"steady,ben,900,EUR,{START},900"]
    (tmp_path / "accounts.csv").write_text("\n".join(accounts))
    return tmp_path


def ran(*arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(app, ["backtest", *arguments], catch_exceptions=False)
    assert found.exit_code == code, found.output
    return found


FILES = ("--usage", "usage.csv", "--accounts", "accounts.csv")


def test_alerts_are_written_as_csv_and_an_account_that_has_ended_is_not_silent(
    folder: Path,
) -> None:
    found = ran(*FILES, "--out", "alerts.csv")
    with (folder / "alerts.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [
        (row["account_id"], row["kind"], row["rule"], row["object"], row["shadow"]) for row in rows
    ] == [("fallen", "usage_drop", "usage-drop", "usage", "false")]
    assert date(2026, 6, 4) < date.fromisoformat(rows[0]["fired_at"]) < date(2026, 7, 4)
    assert rows[0]["headline"].startswith("usage fell ")
    assert float(rows[0]["observed"]) < 0.85 * float(rows[0]["expected"])
    assert "3 accounts" in found.output
    assert "'2026-02-30' is no date" in found.output
    assert "'many' is refused" in found.output
    assert "fallen" in (folder / "alerts.html").read_text()


def test_the_report_goes_where_it_is_told_to_and_else_beside_the_alerts(folder: Path) -> None:
    ran(*FILES, "--out", "mine.csv", "--report", "charts.html")
    ran(*FILES, "--out", "plain.txt")
    assert sorted(one.name for one in folder.glob("*.html")) == ["charts.html"]


def test_shadow_alerts_are_written_where_they_are_asked_for(folder: Path) -> None:
    ran(*FILES, "--out", "alerts.csv", "--shadow")
    with (folder / "alerts.csv").open() as lines:
        shadow = {row["rule"]: row["shadow"] for row in csv.DictReader(lines)}
    assert shadow["usage-drop"] == "false"
    assert shadow["usage-fast-drop"] == "true"


def test_figures_are_one_line_of_json(folder: Path) -> None:
    found = json.loads(ran(*FILES, "--json").stdout)
    assert found["accounts"] == 3
    # The baseline of each is known from its 112th day on: 89 days of two, 39 of the one that ends.
    assert found["account_days"] == 89 + 89 + 39
    assert (found["first"], found["last"]) == ("2026-01-05", "2026-07-23")
    assert found["refused"] == {"invalid": 2}
    assert found["rules"]["usage-drop"]["alerts"] == 1


def test_rules_of_a_file_are_played_instead_of_the_shipped_ones(folder: Path) -> None:
    (folder / "mine.toml").write_text('[[override]]\nrule = "usage-drop"\noff = true\n')
    ran(*FILES, "--rules", "mine.toml", "--out", "alerts.csv")
    with (folder / "alerts.csv").open() as lines:
        assert "usage-drop" not in {row["rule"] for row in csv.DictReader(lines)}


def test_a_comparison_says_what_a_change_of_rules_would_have_done(folder: Path) -> None:
    (folder / "mine.toml").write_text(
        '[[override]]\nrule = "usage-drop"\nparams = { ratio = 0.30, clear = 0.92 }\n'
    )
    found = ran(*FILES, "--compare", "shipped", "mine.toml", "--report", "report.html")
    assert "mine.toml" in found.stdout
    assert "usage-drop" in found.stdout
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_who_left_is_held_against_the_alerts(folder: Path) -> None:
    (folder / "churn.csv").write_text("account_id,date,amount\nfallen,2026-07-10,900\n")
    found = json.loads(ran(*FILES, "--truth", "churn.csv", "--json").stdout)
    assert found["truth"]["all"]["churns"] == 1


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--usage", "accounts.csv"), "misses the column 'date'"),
        (("--accounts", "accounts.csv"), "accounts alone say nothing"),
        ((*FILES, "--out", "nowhere/alerts.csv"), "its folder must exist"),
        ((*FILES, "--rules", "usage.csv"), "usage.csv is refused"),
        ((*FILES, "--compare", "shipped", "nothing.toml"), "nothing.toml does not exist"),
        ((*FILES, "--usage", "usage.csv"), "have the same name 'usage'"),
    ],
)
def test_what_cannot_be_played_is_refused_as_a_whole_and_says_why(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in ran(*arguments, code=1).output


def pressed_on(day: date, play: int = 1) -> Any:
    """Ctrl-C on a day of the first or the second backtest."""

    @contextmanager
    def pressed(_: Callable[[str], None]) -> Iterator[Callable[[Any], None]]:
        passed: list[date] = []

        def show(progress: Any) -> None:
            passed.append(progress.at.date())
            if passed[-1] == day and passed.count(day) == play:
                signal.raise_signal(signal.SIGINT)

        yield show

    return pressed


def test_ctrl_c_keeps_what_was_played_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "shown", pressed_on(date(2026, 7, 1)))
    found = ran(*FILES, "--out", "alerts.csv", code=130)
    assert "interrupted: all of the above is of the days until then" in found.output
    assert "to 29 June 2026" in found.output
    with (folder / "alerts.csv").open() as lines:
        assert {row["account_id"] for row in csv.DictReader(lines)} == {"fallen"}


def test_after_ctrl_c_both_rule_sets_are_compared_over_the_days_that_both_played(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fall is told late in June: of the days before it neither has anything to tell."""
    (folder / "mine.toml").write_text('[[override]]\nrule = "usage-drop"\noff = true\n')
    monkeypatch.setattr(backtest, "shown", pressed_on(date(2026, 6, 8), play=2))
    found = ran(*FILES, "--compare", "shipped", "mine.toml", "--out", "alerts.csv", code=130)
    whole = [line for line in found.output.splitlines() if line.startswith(("A: ", "B: "))]
    assert [line.partition(": ")[2].partition(", ")[0] for line in whole] == [
        "the shipped rules: 0 alerts on 0 accounts",
        "mine.toml: 0 alerts on 0 accounts",
    ]
    assert all(line.endswith(", 5 January to 6 June 2026") for line in whole)
    assert "0 alerts of mine.toml in alerts.csv" in found.output
    assert "interrupted: all of the above is of the days until then" in found.output


def test_ctrl_c_in_the_first_of_two_says_whose_alerts_are_written_and_compares_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.toml").write_text('[[override]]\nrule = "usage-drop"\noff = true\n')
    monkeypatch.setattr(backtest, "shown", pressed_on(date(2026, 7, 1)))
    found = ran(*FILES, "--compare", "shipped", "mine.toml", "--out", "alerts.csv", code=130)
    assert "1 alert of the shipped rules in alerts.csv" in found.output
    assert "mine.toml: nothing was played of it, and nothing is compared" in found.output
    assert "all of the above is of the shipped rules" in found.output


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_a_file_that_cannot_be_made_is_refused_before_anything_is_played(
    folder: Path, option: str
) -> None:
    found = ran(*FILES, option, "/proc/of-the-kernel.csv", code=1)
    assert found.output == (
        "/proc/of-the-kernel.csv cannot be written: /proc/of-the-kernel.csv.part cannot be made: "
        "No such file or directory\n"
    )


@pytest.mark.parametrize(
    "options, why",
    [
        (("--out", "usage.csv"), "it is read"),
        (("--out", "../{folder}/accounts.csv"), "it is read"),
        (("--report", "churn.csv", "--truth", "churn.csv"), "it is read"),
        (("--out", "a.csv", "--report", "a.csv"), "--out names the same file"),
    ],
)
def test_what_is_read_or_written_already_is_not_written_over(
    folder: Path, options: Sequence[str], why: str
) -> None:
    (folder / "churn.csv").write_text("account_id,date\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    named = [one.format(folder=folder.name) for one in options]
    assert f"cannot be written: {why}" in ran(*FILES, *named, code=1).output
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_disk_that_is_full_afterwards_costs_one_file_and_leaves_the_old_one_as_it_was(
    folder: Path,
) -> None:
    (folder / "churn.csv").write_text("account_id,date\n")
    found = ran(*FILES, "--out", "/dev/full", "--report", "report.html", code=1)
    assert "/dev/full was not written: No space left on device" in found.output
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert "all that notify" in found.output
