"""Bugs that are planted into a service: what only code does that nobody has written yet.

A planted service is the real one; before it starts, Python runs a file that puts one function in
place of another. It is gone with the next start that is not planted.
"""

import textwrap
from typing import TYPE_CHECKING, Final

from tests.integration.deployment import ROOT

if TYPE_CHECKING:
    from tests.faults.world import World

CURSED: Final = "cursed"
"""The account that the bugs are about."""

FOLD_RAISES: Final = """
from services.detector import facts

real = facts.fold

def fold(known, entry, moment):
    if getattr(entry.event, "metric", "") == "cursed":
        raise ArithmeticError("a planted bug")
    return real(known, entry, moment)

facts.fold = fold
"""

CASE_RAISES: Final = """
from services.alerts.cases import alarms

real = alarms.take

def take(case, alert, at):
    changed = real(case, alert, at)
    if alert.account == "cursed" and alert.rule == "payment-failed":
        raise ArithmeticError("a planted bug")
    return changed

alarms.take = take
"""

_RULE = """
from services.detector.primitives.change import Change

real = Change.judge

def judge(facts, entry, *rest):
    if "account:cursed" in entry.subjects:
        {}
    return real(facts, entry, *rest)

Change.judge = staticmethod(judge)
"""
RULE_RAISES: Final = _RULE.format('raise ArithmeticError("a planted bug")')
RULE_NEVER_ENDS: Final = _RULE.format("while True: pass")


def plant(world: "World", name: str, code: str) -> None:
    """Let a service start with a bug from its next start on.

    Args:
        world: Whose service.
        name: Such as `detector-0`.
        code: Replaces a function of it.
    """
    folder = world.folder / f"bug-{name}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(textwrap.dedent(code))
    # A seed of its own: what was forked has run the file of nobody.
    world.always(name, PYTHONPATH=f"{folder}:{ROOT}", PYTHONHASHSEED="7")


def mend(world: "World", name: str) -> None:
    """Let it start without the bug again."""
    world.always(name)
