import json
import sys
from pathlib import Path

import pytest

from tests.quality import folder
from tests.quality.__main__ import PEERS, main
from tests.quality.cases import make
from tests.quality.lines import LINES
from tests.quality.table import detectors

README = Path(__file__).parents[2] / "README.md"


def test_a_small_fleet_is_measured_through_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = [case for case in make() if case.tier == "A" and case.stratum == "high"]
    steps = [case for case in busy if case.scenario == "step50" and case.z_oracle > 12]
    calm = [case for case in busy if case.scenario == "control"]
    folder.write([*calm[:5], *steps[:3]], tmp_path / "cases")
    options = ["--cases", str(tmp_path / "cases"), "--only", "drop", "--without-peers"]
    ended = main([*options, "--json", str(tmp_path / "found.json")])
    said = capsys.readouterr().out.splitlines()
    found = json.loads((tmp_path / "found.json").read_text())["line"]["drop"]
    # Nothing is measured of dips and real histories here, and that is no pass.
    assert ended == 1
    assert (found["recall.step50"], found["detectable"]) == (1.0, 3.0)
    assert found["delay.step50"] <= 28
    lines = [line for line in LINES if line.bench in ("drop", "silence")]
    assert len([row for row in said if row.startswith("| ")]) == 2 + 1 + 2 + len(lines)


def test_a_backtest_that_fails_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write(make()[:1], tmp_path)
    (tmp_path / "accounts.csv").write_text("nonsense\n1\n")
    options = ["--cases", str(tmp_path), "--only", "drop", "--without-peers"]
    assert main(options) == 1
    assert "ebbwatch backtest ended with" in capsys.readouterr().err


def test_the_table_of_the_readme_has_the_rows_and_columns_that_are_printed() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    head, rule = detectors({})
    first = lines.index(head)
    rows = [line for line in lines[first:][: 3 + len(PEERS)] if line.startswith("| ")]
    assert lines[first + 1] == rule.replace(" ", "")
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[1:]] == [*PEERS, "**Ebbwatch**"]


def test_a_detector_that_is_not_installed_is_a_failure_and_no_row_less(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    assert main(["--cases", str(tmp_path), "--only", "drop"]) == 1
    assert "river is missing, and a row of the table with it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
