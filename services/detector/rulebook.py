"""The rule sets that a partition needs: the one in force, and those of open closings."""

import msgspec

from schemas.events import RulesApplied
from services.detector.ledger import Ledger, rules_key
from services.detector.rules import RuleError, RuleSet, compile_rules
from services.garbled import CAUSES, Garbled, garbled


class RuleBook:
    """Rule sets of a ledger, ready to judge.

    Args:
        ledger: Holds their contents.

    Raises:
        services.garbled.Garbled: If one that is asked for is missing, or cannot be read.

    Attributes:
        current: The rule set in force.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._compiled: dict[int, RuleSet] = {0: RuleSet()}
        for closing in ledger.record.closings:
            self.get(closing.rules)
        self.current = self.get(ledger.record.rules)

    def get(self, n: int) -> RuleSet:
        """Return a rule set that is in force or that an open closing asks for."""
        known = self._compiled.get(n)
        if known is None:
            known = self._compiled[n] = self._compile(n)
        return known

    def _compile(self, n: int) -> RuleSet:
        content = self._ledger.rule_sets.get(n)
        if content is None:
            raise Garbled(f"record {rules_key(n)!r} is missing, though it is in force")
        try:
            return compile_rules(n, content)
        except CAUSES as error:
            raise garbled(rules_key(n), error) from error

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
