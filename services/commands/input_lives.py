"""The lives of an input: under which name its records are counted. Pure.

The detector drops a record whose offset is not newer than the newest one that it has counted of
that input and partition. So a topic that was deleted and created anew, and another topic under an
old name, need a name that the detector does not know: `usage`, then `usage~2`, `usage~3`. It stands
in the rule set in place of the name in `inputs.toml`; rule sets are never deleted, so they tell
which names were given.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.config import RULES_PREFIX, Input, RuleSetContent, RuleSetRecord

MARK: Final = "~"
"""Names in `inputs.toml` have none."""


class Life(NamedTuple):
    """The newest life of an input.

    Attributes:
        number: From 1.
        topic: The topic that it reads, or read last.
    """

    number: int
    topic: str


def base(name: str) -> str:
    """Return the name that an input has in `inputs.toml`.

    >>> base("usage~2"), base("usage")
    ('usage', 'usage')
    """
    return name.partition(MARK)[0]


def named(name: str, number: int) -> str:
    """Return the name under which records of a life are counted.

    >>> named("usage", 1), named("usage", 2)
    ('usage', 'usage~2')
    """
    return name if number == 1 else f"{name}{MARK}{number}"


def lives(found: Mapping[str, bytes]) -> dict[str, Life]:
    """Return the newest life of every input that any rule set has named.

    Args:
        found: The newest value of every key of `config.v1`.
    """
    known: dict[str, Life] = {}
    for record in _rule_sets(found):
        content = msgspec.json.decode(record.content, type=RuleSetContent)
        for name, input in content.inputs.items():
            number = int(name.partition(MARK)[2] or 1)
            if number >= known.get(base(name), Life(1, "")).number:
                known[base(name)] = Life(number, input.topic)
    return known


def continued(content: RuleSetContent, found: Mapping[str, bytes]) -> RuleSetContent:
    """Return a rule set with each input under the name of its life; another topic begins a new one.

    Args:
        content: As the company's files have it.
        found: The newest value of every key of `config.v1`.
    """
    known = lives(found)
    inputs: dict[str, Input] = {}
    for name, input in content.inputs.items():
        life = known.get(name, Life(1, input.topic))
        inputs[named(name, life.number + (life.topic != input.topic))] = input
    return msgspec.structs.replace(content, inputs=inputs)


def _rule_sets(found: Mapping[str, bytes]) -> list[RuleSetRecord]:
    records = [
        msgspec.json.decode(value, type=RuleSetRecord)
        for key, value in found.items()
        if key.startswith(RULES_PREFIX)
    ]
    return sorted(records, key=lambda record: record.n)
