"""The shipped rules, run by the command that users run: `ebbwatch backtest`."""

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.quality.scoring import Alert, read_alerts

BOUND_SECONDS = 1800


class BacktestError(Exception):
    """The backtest did not end well."""


def backtest(files: Mapping[str, Path], folder: Path, rules: Path | None = None) -> list[Alert]:
    """Return the alerts that the rules raise on files.

    Args:
        files: By option without dashes: `usage`, `accounts`, `tickets`, `events`.
        folder: Where the alerts are written, as `alerts.csv`.
        rules: The company's rules, or None for the shipped ones alone.

    Raises:
        BacktestError: With the last lines that the command said.
    """
    return read_alerts(run(files, folder, rules))


def run(files: Mapping[str, Path], folder: Path, rules: Path | None = None) -> Path:
    """Run the backtest and return the file of its alerts; see `backtest`."""
    out = folder / "alerts.csv"
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    if rules is not None:
        options += ["--rules", str(rules)]
    program = Path(sys.executable).with_name("ebbwatch")
    done = subprocess.run(
        [str(program), "backtest", *options, "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise BacktestError(f"ebbwatch backtest ended with {done.returncode}:\n{said}")
    return out


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a table for the backtest and return where it is."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(columns)
        lines.writerows(rows)
    return path
