"""`python -m tests.faults.sabotage`: breaks the code on purpose; the suite must notice it."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.sabotage.catalogue import Sabotage, named
from tests.faults.sabotage.trees import Stale, apply, copied, patch_of

RUN_SECONDS = 300.0
"""Twice what a scenario may take, servers included."""
END_SECONDS = 30.0
HASTY = "tests.faults.sabotage.hasty"
TOLD = 160
"""Characters of a difference that are shown."""


class Verdict(NamedTuple):
    """What came of one sabotage.

    Attributes:
        caught: Whether the suite noticed.
        told: How, or why not.
    """

    caught: bool
    told: str


def main(arguments: Sequence[str]) -> int:
    """Commit one sabotage after the other; return 0 if all were caught.

    Args:
        arguments: Of the command line.
    """
    # In the background it is ignored otherwise, and so it would be by every run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = _parsed(arguments)
    chosen = named(tuple(told.names))
    if told.list:
        for one in chosen:
            print(f"{one.name}  {one.says}; caught by {one.caught_by}")
        return 0
    missed = []
    for one in chosen:
        verdict = commit(one)
        print(f"{'caught    ' if verdict.caught else 'NOT CAUGHT'}  {one.name}  {verdict.told}")
        sys.stdout.flush()
        if not verdict.caught:
            missed.append(one.name)
    if missed:
        print(f"sabotage: not caught: {', '.join(missed)}")
        return 1
    print(f"sabotage: {len(chosen)} patches, all caught")
    return 0


def commit(one: Sabotage) -> Verdict:
    """Run what must notice a sabotage against a copy in which it was committed."""
    begun = time.monotonic()
    missed: list[str] = []
    for seed in one.seeds:
        try:
            with copied() as tree:
                apply(patch_of(one.name), tree)
                code, output = _run(one, seed, tree)
        except Stale as stale:
            return Verdict(False, str(stale))
        found = _difference(one, output)
        if code == 1 and found:
            took = time.monotonic() - begun
            return Verdict(True, f"by {one.caught_by} seed {seed} in {took:.0f} s: {found}")
        missed.append(f"seed {seed} ended with {code}: {_last(output)}")
    return Verdict(False, f"by {one.caught_by}: {'; '.join(missed)}")


def _last(output: str) -> str:
    """Return what was told at the end, of a scenario that failed its first difference."""
    lines = output.strip().splitlines() or ["nothing"]
    return next((line.strip() for line in lines if line.startswith("    ")), lines[-1])[:TOLD]


def _run(one: Sabotage, seed: int, tree: Path) -> tuple[int | None, str]:
    """Return the exit code, None for a run that took too long, and all that was printed."""
    argv = [sys.executable, "-m"]
    if one.modelled:
        argv += ["pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", HASTY, one.caught_by]
    else:
        argv += ["tests.faults", "--scenario", one.caught_by, "--seed", str(seed)]
    environ = {**os.environ, "PYTHONPATH": str(tree), "TEST_SEED": str(seed), "TMPDIR": str(tree)}
    with subprocess.Popen(
        argv, cwd=tree, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            output, _ = running.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            # As a person at the keyboard would: it then ends what it has started.
            running.send_signal(signal.SIGINT)
            try:
                output, _ = running.communicate(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()
                output, _ = running.communicate()
            return None, output
        return running.returncode, output


def _difference(one: Sabotage, output: str) -> str:
    """Return the line that tells what the sabotage has done; empty if there is none."""
    found = re.compile(one.sign)
    # Of a scenario the differences are indented, of a test what failed is marked.
    marked = ("E  ",) if one.modelled else ("    ",)
    lines = [line for line in output.splitlines() if line.startswith(marked)]
    told = next((line for line in lines if found.search(line)), "")
    return told.removeprefix("E").strip()[:TOLD]


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.sabotage", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--list", action="store_true", help="say what each one does wrong")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
