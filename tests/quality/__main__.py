"""`python -m tests.quality` measures the shipped rules on real accounts, and prints two tables.

Makes the cases, runs `ebbwatch backtest` over them, scores what it says, and puts beside it what
others would write, run on the same cases. Ends with 1 where a required figure is not reached.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.quality import adwin, cases, folder, plain, seats, silence, tickets
from tests.quality.cases import Case
from tests.quality.lines import Bench, missed
from tests.quality.running import BacktestError, backtest, run, write_rows
from tests.quality.scoring import score
from tests.quality.table import against_the_line, detectors

BENCHES: Final = ("drop", "histories", "tickets", "seats")
PEERS: Final[Mapping[str, Callable[[Case], plain.Bools]]] = {
    "plain: 28 days < 80 % of the 28 before": plain.windows,
    "plain, and Poisson p < .0001": plain.unlikely_windows,
    "median/MAD of weekly sums": plain.deviating_weeks,
    adwin.NAME: adwin.falls,
}
"""Rows of the README's table, by the same names."""
Found = dict[Bench, dict[str, float]]


def main(argv: Sequence[str]) -> int:
    """Measure what the arguments ask for.

    Returns:
        0; 1 if a required figure is missed, a backtest fails, or a detector is not installed.
    """
    options = _options(argv)
    if "drop" in options.only and not options.without_peers and not adwin.installed():
        _tell(
            "river is missing, and a row of the table with it: install the development "
            "dependencies (make install), or leave all other detectors out with --without-peers"
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="ebbwatch-quality-") as name:
        try:
            found, peers = _measure(options, Path(name))
        except BacktestError as error:
            _tell(str(error))
            return 1
    if peers:
        print(*detectors(peers), "", sep="\n")
    print(*against_the_line(found), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({"line": found, "detectors": peers}, indent=1))
    bad = missed(found)
    for line in bad:
        _tell(f"missed: {line.text}")
    return 1 if bad else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("--seed", type=int, default=cases.SEED, help="other weeks and changes")
    parser.add_argument("--cases", type=Path, help="a folder of cases; made there if it has none")
    parser.add_argument("--rules", type=Path, help="rules of a company over the shipped ones")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=BENCHES)
    parser.add_argument("--json", type=Path, help="where all figures go")
    parser.add_argument("--without-peers", action="store_true", help="the shipped rules alone")
    return parser.parse_args(argv)


def _measure(
    options: argparse.Namespace, scratch: Path
) -> tuple[Found, dict[str, dict[str, float]]]:
    found: Found = {}
    peers: dict[str, dict[str, float]] = {}
    if "drop" in options.only:
        known = _cases(options.cases or scratch / "cases", options.seed)
        if not options.without_peers:
            peers = _peers(known)
        found["drop"], found["silence"] = _drop(
            known, options.cases or scratch / "cases", scratch, options.rules
        )
        peers["**Ebbwatch**"] = found["drop"]
    if "histories" in options.only:
        found["histories"] = _histories(scratch, options.rules)
    if "tickets" in options.only:
        found["tickets"] = _tickets(scratch, options.rules)
    if "seats" in options.only:
        found["seats"] = _seats(scratch, options.rules)
    return found, peers


def _cases(where: Path, seed: int) -> list[Case]:
    """Return the cases of a folder, which are made first if it has none."""
    if not (where / "truth.parquet").exists():
        _tell(f"making the cases of seed {seed}")
        folder.write(cases.make(seed), where)
    return folder.load(where)


def _peers(known: Sequence[Case]) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    for name, fires in PEERS.items():
        _tell(f"running {name}")
        rows[name] = score(known, plain.alerts(known, fires))
    return rows


def _drop(
    known: Sequence[Case], where: Path, scratch: Path, rules: Path | None
) -> tuple[dict[str, float], dict[str, float]]:
    _tell(f"backtest over {len(known):,} accounts")
    files = {"usage": where / "usage.parquet", "accounts": where / "accounts.csv"}
    alerts = backtest(files, scratch, rules)
    return score(known, alerts), score(known, alerts, ("silence",))


def _histories(scratch: Path, rules: Path | None) -> dict[str, float]:
    _tell("backtest over untouched histories, for silence")
    lives = silence.lives()
    usage, accounts = silence.tables(lives)
    files = {
        "usage": write_rows(scratch / "usage.csv", ["account_id", "date", "count"], usage),
        "accounts": write_rows(
            scratch / "accounts.csv",
            ["account_id", "segment", "country", "start", "days"],
            accounts,
        ),
    }
    return silence.score(lives, backtest(files, scratch, rules))


def _tickets(scratch: Path, rules: Path | None) -> dict[str, float]:
    _tell("backtest over ticket spikes")
    known = tickets.make()
    opened, accounts = tickets.tables(known)
    files = {
        "tickets": write_rows(scratch / "tickets.csv", ["account_id", "date", "count"], opened),
        "accounts": write_rows(scratch / "accounts.csv", ["account_id", "start", "days"], accounts),
    }
    return tickets.score(known, backtest(files, scratch, rules))


def _seats(scratch: Path, rules: Path | None) -> dict[str, float]:
    _tell("backtest over seats in use")
    usage, accounts = seats.tables(seats.teams())
    files = {
        "usage": write_rows(
            scratch / "usage.csv", ["account_id", "date", "count", "person"], usage
        ),
        "accounts": write_rows(
            scratch / "accounts.csv", ["account_id", "start", "days", "seats"], accounts
        ),
    }
    return seats.score(run(files, scratch, rules))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
