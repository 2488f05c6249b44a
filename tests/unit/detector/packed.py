"""The shipped rules with their cases, for the tests that run over all of them."""

from functools import lru_cache
from typing import NamedTuple

from schemas.alerts import Alert
from schemas.config import RuleSetContent
from services.company import pack_cases, pack_names, shipped
from services.detector.cases import Case
from services.detector.rehearsal import play

CONTENT: RuleSetContent = shipped().content
RULES = {str(rule["id"]): rule for rule in CONTENT.rules}


class Packed(NamedTuple):
    """A case of a shipped rule."""

    rule: str
    case: Case

    def __str__(self) -> str:
        return f"{self.rule}: {self.case.story}"

    def alerts(self) -> list[Alert]:
        return play(CONTENT, self.rule, self.case)


CASES = [
    Packed(rule, case)
    for name in pack_names()
    for rule, cases in pack_cases(name).items()
    for case in cases
]
FIRING = {rule: next(c for r, c in CASES if r == rule and c.fires) for rule in RULES}
"""Per rule, its first case that fires."""


@lru_cache
def fired(rule: str) -> list[Alert]:
    """Return what a rule says in its first case that fires; played once for all tests."""
    return play(CONTENT, rule, FIRING[rule])
