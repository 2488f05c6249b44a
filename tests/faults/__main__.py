"""`python -m tests.faults`: runs the fault suite; its last line says whether all is exact."""

import argparse
import asyncio
import logging
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.running import Outcome, run, serving
from tests.faults.scenario import Scenario
from tests.faults.scenarios import SCENARIOS, named


def main(arguments: Sequence[str]) -> int:
    """Run scenarios; return 0 if all that ran was exact.

    Args:
        arguments: Of the command line.
    """
    # That a broker is away is what these runs are about; its clients need not repeat it.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # As Ctrl-C: asyncio then unwinds, and the servers are ended.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    told = _parsed(arguments)
    scenarios = [named(name) for name in told.scenario] or list(SCENARIOS)
    if told.list:
        for one in scenarios:
            print(f"{one.name}  {', '.join(one.rows)}")
        return 0
    seed = told.seed if told.seed is not None else random.SystemRandom().getrandbits(24)
    folder = Path(tempfile.mkdtemp(prefix="ebbwatch-faults-"))
    outcomes: list[Outcome] = []
    with serving(folder / "servers") as servers:
        for scenario, each in _runs(scenarios, seed, told.seeds):
            place = folder / f"{scenario.name}-{each}"
            outcomes.append(asyncio.run(run(scenario, each, servers, place)))
            _tell(outcomes[-1])
    return _closed(outcomes, folder)


def _runs(scenarios: Sequence[Scenario], first: int, seeds: int) -> Iterator[tuple[Scenario, int]]:
    for scenario in scenarios:
        for seed in range(first, first + (seeds if scenario.random else 1)):
            yield scenario, seed


def _tell(outcome: Outcome) -> None:
    print(outcome.line(), flush=True)
    for difference in outcome.differences:
        print(f"    {difference}")
    if outcome.differences:
        print(f"    logs: {outcome.folder}")
        again = f"make faults SCENARIO={outcome.scenario} SEED={outcome.seed} SEEDS=1"
        print(f"    again: {again}", flush=True)


def _closed(outcomes: Sequence[Outcome], folder: Path) -> int:
    ran = [one for one in outcomes if one.not_run is None]
    wrong = [f"{one.scenario} (seed {one.seed})" for one in ran if one.differences]
    left = len({one.scenario for one in outcomes if one.not_run is not None})
    rest = f", {left} not run here" if left else ""
    if wrong:
        print(f"faults: not exact: {', '.join(wrong)}{rest}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(
        f"faults: {len({one.scenario for one in ran})} scenarios, {len(ran)} runs, all exact{rest}"
    )
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="runs of each scenario with chance")
    parser.add_argument("--scenario", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--seed", type=int, help="the first seed; else by chance")
    parser.add_argument("--list", action="store_true", help="name the scenarios and what they show")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
