"""How others do, in the judgement of one account: told beside it, and in its place. Pure."""

from functools import partial
from typing import Any, Final

from services.detector import episode as episodes
from services.detector.calendars import to_date
from services.detector.episode import Episode
from services.detector.fleet import Shared
from services.detector.ledger import Closing
from services.detector.peers import scopes_of
from services.detector.primitives.finding import Finding
from services.detector.raising import Applied, Because
from services.detector.rules import RuleSet
from services.detector.subject import Account

SHARED_KINDS: Final = ("usage_drop",)
"""Kinds of alerts that an incident tells in their place; what yields to them is held back too."""
SILENT_KINDS: Final = ("silence",)
"""The same where it tells a fall of the account: whose usage is all gone has fallen silent too."""
PEERS_KINDS: Final = ("usage_drop", "silence")
"""Kinds of alerts whose evidence says how others did."""


def peers(closing: Closing, segment: str | None, kind: str) -> dict[str, Any]:
    """Return how customers of a segment did two days before, or else how all did.

    Args:
        closing: Knows what all partitions said of that day; nothing, of imported history.
        segment: The account's.
        kind: The alert's kind.
    """
    if kind not in PEERS_KINDS:
        return {}
    for scope in reversed(scopes_of(segment)):
        if scope in closing.peers:
            percent, accounts = closing.peers[scope]
            return {"peer_ratio": percent / 100, "peer_accounts": accounts, "peer_scope": scope}
    return {}


def take(
    applied: Applied,
    rules: RuleSet,
    shared: Shared | None,
    finding: Finding,
    because: Because,
) -> None:
    """Take a finding into its episode, unless an incident tells it.

    Args:
        applied: The rule and the account.
        rules: All rules.
        shared: The fall that many accounts share, if there is or was one.
        finding: What the primitive says; what falls much further than the others falls by itself.
        because: The evidence.
    """
    known = applied.account.episodes.get(episodes.key(applied.rule.id, finding.object))
    if (
        shared is not None
        and finding.fires
        and _explained(applied, rules, shared, known, finding.ratio)
    ):
        applied.join(finding.object, partial(_with_incident, because, shared))
        return
    if shared is not None and known is not None and known.joined:
        if shared.ended == "new_normal":
            # What was found today compares with what was usual before.
            applied.accept(known, shared.raised_on)
            return
        episodes.release(known)
        applied.out.changed[applied.account.id] = applied.account
    applied.take(finding, because)


def _explained(
    applied: Applied, rules: RuleSet, shared: Shared, known: Episode | None, ratio: float
) -> bool:
    kind = applied.rule.kind(applied.variant)
    if kind not in SHARED_KINDS and not (
        kind in SILENT_KINDS and _fell_with_it(applied.account, rules)
    ):
        return False
    raised_on = known.raised_on if known is not None and known.open else None
    return shared.explains(ratio, raised_on)


def _fell_with_it(account: Account, rules: RuleSet) -> bool:
    """Tell whether an incident tells a fall of the account that a rule would tell otherwise."""
    segment = account.facts.profile.segment
    told = {one.rule for one in account.episodes.values() if one.joined}
    return any(
        rule.kind(variant) in SHARED_KINDS and not variant.shadow
        for rule in map(rules.by_id.get, told)
        if rule is not None
        for variant in (rule.variant(segment),)
    )


def _with_incident(because: Because, shared: Shared) -> dict[str, Any]:
    since = to_date(shared.since).isoformat()
    return because() | {"incident": {"alert_id": shared.alert_id, "since": since}}
