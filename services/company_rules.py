"""All that is wrong with a rule set at once, each with its file and line."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.config import RuleSetContent
from services.company_files import File, Problem, checked
from services.detector.primitives import PRIMITIVES
from services.detector.rules import OverrideModel, RuleError, RuleModel, compile_rules


class Placed(NamedTuple):
    """A rule or an override, and where it stands.

    Attributes:
        file: The file.
        at: The place in it, such as `("rule", 3)`.
        raw: What it says, without cases.
    """

    file: File
    at: tuple[str | int, ...]
    raw: dict[str, Any]


def check(
    content: RuleSetContent, rules: Sequence[Placed], overrides: Sequence[Placed]
) -> list[Problem]:
    """Return everything that the detector would refuse.

    First each rule by itself, all its fields; then those that are right together, as the detector
    compiles them. It names one error at a time: what it names is left out, and the rest compiled.

    Args:
        content: The rule set.
        rules: Its rules, in the same order.
        overrides: Its overrides.
    """
    problems: list[Problem] = []
    right = {
        "rules": [one for one in rules if _is_right(one, RuleModel, problems)],
        "overrides": [one for one in overrides if _is_right(one, OverrideModel, problems)],
    }
    _forget(right, {str(one.raw.get("id")) for one in rules if one not in right["rules"]})
    while (error := _error(content, right)) is not None:
        kind, place, *inner = error.at
        assert isinstance(kind, str)
        assert isinstance(place, int)
        wrong = right[kind].pop(place)
        reason = error.message.removeprefix("Value error, ")
        problems.append(wrong.file.problem((*wrong.at, *inner), reason))
        if kind == "rules":
            _forget(right, {wrong.raw["id"]})
    return problems


def _is_right(
    one: Placed, model: type[RuleModel] | type[OverrideModel], problems: list[Problem]
) -> bool:
    """Tell whether a rule is right by itself; note all that is wrong with it."""
    before = len(problems)
    checked(model, one.raw, one.file, one.at, problems)
    primitive = PRIMITIVES.get(str(one.raw.get("primitive")))
    params = one.raw.get("params", {})
    if model is RuleModel and primitive is not None and isinstance(params, dict):
        checked(primitive.Params, params, one.file, (*one.at, "params"), problems)
    return len(problems) == before


def _error(content: RuleSetContent, right: dict[str, list[Placed]]) -> RuleError | None:
    rules, overrides = ([one.raw for one in right[name]] for name in ("rules", "overrides"))
    try:
        compile_rules(1, msgspec.structs.replace(content, rules=rules, overrides=overrides))
    except RuleError as error:
        return error
    return None


def _forget(right: dict[str, list[Placed]], wrong: set[str]) -> None:
    """Let nothing else fail only because a rule was left out."""
    kept = {one.raw["id"] for one in right["rules"]}
    gone = wrong - kept
    right["overrides"] = [one for one in right["overrides"] if one.raw["rule"] not in gone]
    right["rules"] = [
        one._replace(raw=one.raw | {"yields_to": [name for name in named if name not in gone]})
        if (named := one.raw.get("yields_to"))
        else one
        for one in right["rules"]
    ]
