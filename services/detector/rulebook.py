"""The rule sets that a partition needs: the one in force, and those of open closings."""

import msgspec

from schemas.events import RulesApplied
from services.detector.ledger import Ledger
from services.detector.rules import RuleError, RuleSet, compile_rules


class RuleBook:
    """Rule sets of a ledger, ready to judge.

    Args:
        ledger: Holds their contents.

    Attributes:
        current: The rule set in force.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._compiled: dict[int, RuleSet] = {0: RuleSet()}
        self.current = self.get(ledger.record.rules)

    def get(self, n: int) -> RuleSet:
        """Return a rule set that is in force or that an open closing asks for."""
        known = self._compiled.get(n)
        if known is None:
            known = self._compiled[n] = compile_rules(n, self._ledger.rule_sets[n])
        return known

    def apply(self, event: RulesApplied) -> str | None:
        """Put a newer rule set in force; return what is wrong with it, if refused."""
        if event.n <= self._ledger.record.rules:
            return None
        try:
            self.current = compile_rules(event.n, event.content)
        except (RuleError, msgspec.MsgspecError) as error:
            return str(error)
        self._ledger.apply_rules(event.n, event.content)
        kept = {n: self._compiled[n] for n in self._ledger.rule_sets if n in self._compiled}
        # A closing that was opened before the first rule set asks for none of them.
        self._compiled = {0: self._compiled[0], **kept, event.n: self.current}
        return None
