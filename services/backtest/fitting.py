"""What the rule `silence` can learn of a company's own customers, as limits to be tried. Pure.

Two things that the shipped rule leaves open, because nobody can know them beforehand: after how
many days a customer too new to have a rhythm is silent for too long, and how likely a rare customer
is still to come (detection.md §3).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from schemas.config import RuleSetContent
from services.backtest.grid import Option, Params
from services.backtest.pasts import SIGHT_DAYS, Past, series
from services.detector.primitives import alive, rhythm
from services.detector.primitives.alive import Population
from services.detector.primitives.silence import Silence, SilenceParams
from services.detector.rules import compile_rules


def asked(content: RuleSetContent) -> dict[str, tuple[str, SilenceParams]]:
    """Return the rules that can learn from pasts: metrics and limits in force, by rule.

    Args:
        content: The rule set in force.
    """
    return {
        rule.id: (params.metric, params)
        for rule in compile_rules(1, content).rules
        if rule.primitive is Silence and not rule.default.off
        for params in (rule.default.params,)
        if isinstance(params, SilenceParams) and params.days is None
    }


def fitted(content: RuleSetContent, pasts: Sequence[Past]) -> dict[str, list[Option]]:
    """Return what the pasts of accounts say of the rules that can learn from them.

    Args:
        content: The rule set in force.
        pasts: Of every account that was played, for each metric that `asked` names.

    Returns:
        By rule: the segments' median limit for customers without a rhythm of their own (from five
        accounts of known rhythm on), the population of the fleet and of each segment with 200
        accounts or more for the rare ones, and both together; nothing where it cannot be told.

    Source:
        detection.md §3; Fader, Hardie, Lee 2005.
    """
    found = {}
    for rule, (metric, params) in asked(content).items():
        mine = [past for past in pasts if past.selector == metric]
        unknown = {name: {"unknown": days} for name, days in _medians(mine, params).items()}
        fleet, segments = _populations(mine)
        rare: dict[str, Params] = {name: _limits(one) for name, one in segments.items()}
        everyone = {} if fleet is None else _limits(fleet)
        options = [Option({}, unknown), Option(everyone, rare)]
        options.append(Option(everyone, _joined(unknown, rare)))
        told = [one for one in options if one.params or one.segments]
        found[rule] = [one for n, one in enumerate(told) if one not in told[:n]]
    return {rule: options for rule, options in found.items() if options}


def _medians(pasts: Sequence[Past], params: SilenceParams) -> dict[str, int]:
    told = rhythm.measure(series(pasts))
    limits = np.ceil(np.clip(rhythm.limit(told, params.pace), params.shortest, params.longest))
    known = (told.seen >= 1) & (told.active >= params.active_days)
    return rhythm.medians(limits, known, [past.segment for past in pasts])


def _populations(pasts: Sequence[Past]) -> tuple[Population | None, dict[str, Population]]:
    """Return the population of all accounts, and those of the segments that have one."""
    by: defaultdict[str, list[Past]] = defaultdict(list)
    for past in pasts:
        if past.segment:
            by[past.segment].append(past)
    fits = {name: _population(by[name]) for name in sorted(by)}
    return _population(pasts), {name: one for name, one in fits.items() if one is not None}


def _population(pasts: Sequence[Past]) -> Population | None:
    # By what is in it: the order in which accounts come depends on the number of workers.
    return alive.fit(alive.histories(series(sorted(pasts, key=_in_order)), SIGHT_DAYS))


def _limits(population: Population) -> Params:
    return {"population": list(population)}


def _joined(*several: Mapping[str, Params]) -> dict[str, Params]:
    names: Iterable[str] = sorted({name for one in several for name in one})
    return {name: {k: v for one in several for k, v in one.get(name, {}).items()} for name in names}


def _in_order(past: Past) -> tuple[tuple[int, ...], int, int]:
    return past.lags, past.known, past.active
