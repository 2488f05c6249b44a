"""Rule sets by number, as `config.v1` keeps them for ever."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import msgspec

from schemas.config import RULES_PREFIX, RuleSetRecord
from services.config_log import ConfigLog
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.detector.rules import RuleSet


class RuleSets:
    """The rule sets of a deployment; each is compiled when it is asked for, once.

    Args:
        raw: Their records by number.
    """

    def __init__(self, raw: Mapping[int, bytes]) -> None:
        self._raw = raw
        self._known: dict[int, RuleSet | None] = {}
        self._why: dict[int, str] = {}

    @classmethod
    async def read(cls, known: ServiceSettings) -> Self:
        """Read all of them.

        Args:
            known: Which deployment.

        Raises:
            services.config_log.ConfigUnavailable: Kafka does not answer.
        """
        kept = await ConfigLog(known.kafka, known.prefix).read()
        numbers = {
            key.removeprefix(RULES_PREFIX): raw
            for key, raw in kept.items()
            if key.startswith(RULES_PREFIX)
        }
        return cls({int(n): raw for n, raw in numbers.items() if n.isdecimal()})

    def records(self) -> dict[int, RuleSetRecord]:
        """Return their records by number, the oldest first.

        Raises:
            msgspec.MsgspecError: A record is none that this version can read.
        """
        return {
            n: msgspec.json.decode(raw, type=RuleSetRecord) for n, raw in sorted(self._raw.items())
        }

    def get(self, n: int) -> "RuleSet | None":
        """Return a rule set; None if it is gone, or this version cannot read it.

        Args:
            n: Its number.
        """
        if n not in self._known:
            self._known[n] = self._compiled(n)
        return self._known[n]

    def missing(self, n: int) -> str:
        """Return why there is no such rule set, for a person."""
        return self._why.get(n, f"rule set {n} is not in config.v1")

    def _compiled(self, n: int) -> "RuleSet | None":
        from services.detector.rules import RuleError, compile_rules

        raw = self._raw.get(n)
        if raw is None:
            return None
        try:
            return compile_rules(n, msgspec.json.decode(raw, type=RuleSetRecord).content)
        except (msgspec.MsgspecError, RuleError) as error:
            self._why[n] = f"rule set {n} cannot be read by this version: {error}"
            return None
