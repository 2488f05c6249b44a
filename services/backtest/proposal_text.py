"""What came of trying other limits: lines for a terminal, and a file that can be applied."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.backtest.columns import aligned
from services.backtest.grid import Option, overrides
from services.backtest.tuning import Held, Tuned
from services.backtest.words import NONE, plain


def learned(fits: Mapping[str, Sequence[Option]]) -> list[str]:
    """Return what history says of silence, as lines for a person.

    Args:
        fits: By rule, what `services.backtest.fitting.fitted` returned.
    """
    if not fits:
        return ["history says nothing of silence: too few accounts have a rhythm"]
    return [f"{rule}, learned: {_fit(options)}" for rule, options in fits.items()]


def _fit(options: Sequence[Option]) -> str:
    """Name what the last option has, which is all of it."""
    whole = options[-1]
    told = [f"population {_brief(whole.params['population'])}"] if whole.params else []
    for segment, params in whole.segments.items():
        own = [f"{name} {_brief(value)}" for name, value in params.items()]
        told.append(f"{plain(segment, 40)}: {', '.join(own)}")
    return "; ".join(told)


def _brief(value: Any) -> str:
    return "/".join(f"{one:.3g}" for one in value) if isinstance(value, list) else f"{value:g}"


def lines(found: Sequence[Tuned]) -> list[str]:
    """Return what came of each rule, as lines for a person.

    Args:
        found: By rule.
    """
    header = ("RULE", "NOW", "PROPOSED", "PRECISION", "RECALL", "HELD OUT: NOW", "CHOSEN", "WHY")
    heard = [one for one in found if one.whole_now.judged or one.whole_chosen.judged]
    silent = [rule for one in found if one not in heard for rule in one.rules]
    told = [f"Nothing to judge of {', '.join(silent)}."] if silent else []
    return ["", *aligned([header, *map(_row, heard)]), *told]


def _row(one: Tuned) -> tuple[str, ...]:
    return (
        ", ".join(one.rules),
        Option(one.now).words(),
        one.proposed.words() if one.proposed else "as now",
        f"{_share(one.whole_now.precision)} → {_share(one.whole_chosen.precision)}",
        f"{_share(one.whole_now.recall)} → {_share(one.whole_chosen.recall)}",
        _score(one.held_now),
        _score(one.held_chosen),
        one.why,
    )


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"


def _score(held: Held) -> str:
    return f"{held.score:.3f} ({held.right} right of {held.judged}, {held.caught} of {held.churns})"


def toml(found: Sequence[Tuned], made_from: Sequence[str], now: datetime) -> str:
    """Return a proposal as the overrides that would put it in force.

    Args:
        found: By rule; those without another proposal are left out.
        made_from: Names of the files.
        now: When it was made, aware.
    """
    told = [
        f"# A proposal of {now:%Y-%m-%d}, made from {', '.join(made_from)}.",
        "# Nothing is in force of it: put what you agree with into rules.toml, look at it with",
        "# `ebbwatch config check`, and apply it with `ebbwatch config apply`.",
    ]
    for one in found:
        if one.proposed is None:
            continue
        told += [
            "",
            f"# Score on accounts held out: {one.held_now.score:.3f} now, "
            f"{one.held_chosen.score:.3f} as chosen; {one.why}.",
        ]
        for rule in one.rules:
            for override in overrides(rule, one.proposed):
                told += ["[[override]]", *_table(override)]
    return "\n".join(told) + "\n"


def _table(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a TOML table of texts, numbers, lists of them and one more table."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            inner = ", ".join(f"{key} = {_value(one)}" for key, one in value.items())
            yield f"{name} = {{ {inner} }}"
        else:
            yield f"{name} = {_value(value)}"


def _value(one: object) -> str:
    """Return a value of TOML: it is written as one of JSON, but for surrogates."""
    return json.dumps(one, ensure_ascii=False)
