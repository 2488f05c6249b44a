"""`python -m tests.fuzz [TARGET…] [--seconds N]`: goes on for longer than the tests do.

Each target is driven by coverage (atheris), or by hypothesis where atheris cannot be installed, in
a process of its own. An input that fails is kept, and told how to repeat. Without names, all of
them share the time.
"""

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.garbling import inputs
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS, named

ROUND = 500
"""Examples of hypothesis between two looks at the clock."""


def main(arguments: Sequence[str]) -> int:
    """Fuzz; return 0 if every target held.

    Args:
        arguments: Of the command line.
    """
    told = _parsed(arguments)
    if told.input is not None:
        named(told.target[0]).check(told.input.read_bytes())
        return 0
    targets = [named(name) for name in told.target] or list(TARGETS)
    seconds = max(1, told.seconds // len(targets))
    chosen = told.seed if told.seed is not None else random.SystemRandom().getrandbits(31)
    found = Path(tempfile.mkdtemp(prefix="ebbwatch-fuzz-"))
    failed = [one.name for one in targets if not _hold(one, seconds, chosen, found)]
    if failed:
        print(f"fuzz: broken: {', '.join(failed)}; inputs and logs in {found} (seed {chosen})")
        return 1
    print(f"fuzz: {len(targets)} targets, {seconds} s each, all hold (seed {chosen})")
    return 0


def _hold(target: Target, seconds: int, chosen: int, found: Path) -> bool:
    begin = time.monotonic()
    by_coverage = importlib.util.find_spec("atheris") is not None
    holds = (_by_coverage if by_coverage else _by_chance)(target, seconds, chosen, found)
    how = "atheris" if by_coverage else "hypothesis"
    print(f"{'ok' if holds else 'BROKEN':7} {target.name}  {time.monotonic() - begin:.0f} s {how}")
    for kept in sorted(found.glob(f"{target.name}-*")) if not holds else ():
        print(f"    again: {sys.executable} -m tests.fuzz {target.name} --input {kept}", flush=True)
    return holds


def _by_coverage(target: Target, seconds: int, chosen: int, found: Path) -> bool:
    """Let libFuzzer look for new paths; its first failure ends its process."""
    log = found / f"{target.name}.log"
    with log.open("wb") as sink:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.harness"),
                *(target.name, str(seconds), str(chosen), str(found)),
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        told = log.read_text(errors="replace").partition("Uncaught Python exception")[2]
        print(told[:2_000] or f"exit code {done.returncode}, see {log}")
    return done.returncode == 0


def _by_chance(target: Target, seconds: int, chosen: int, found: Path) -> bool:
    """Garble seeds without a look at what the code does with them."""
    end, failing = time.monotonic() + seconds, found / f"{target.name}-failing"

    def hold(raw: bytes) -> None:
        try:
            target.check(raw)
        except BaseException:
            failing.write_bytes(raw)
            raise

    while time.monotonic() < end:
        chosen += 1
        one_round = settings(
            max_examples=ROUND // (10 if target.heavy else 1),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(chosen)(
                one_round(given(st.data())(lambda data: hold(data.draw(inputs(target)))))
            )()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            print(repr(error)[:2_000])
            return False
    return True


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help="only these; else all")
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together")
    parser.add_argument("--seed", type=int, help="of the choices; else by chance")
    parser.add_argument("--input", type=Path, help="give the target this file, once")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
