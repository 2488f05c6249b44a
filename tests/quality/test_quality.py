import json
from pathlib import Path

import pytest

from tests.quality import folder
from tests.quality.__main__ import main
from tests.quality.cases import make
from tests.quality.lines import LINES


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
