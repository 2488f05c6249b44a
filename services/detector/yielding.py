"""Which alerts keep others quiet: what is told already is not told again. Pure."""

from collections.abc import Sequence
from typing import Final

from schemas.alerts import SEVERITIES
from services.detector.episode import EASE_DAYS, Episode
from services.detector.facts.buckets import PEOPLE, TICKETS
from services.detector.primitives.finding import Finding
from services.detector.rules import Rule, Variant
from services.detector.subject import Account
from services.detector.window import COMBINED

WHOLE: Final = (COMBINED, PEOPLE, TICKETS)
"""Objects that are about the whole account: a fall of one of its metrics, or a rise of its urgent
tickets, is a part of them."""


def yields(account: Account, rule: Rule, variant: Variant, finding: Finding) -> bool:
    """Tell whether a rule that goes first has told about the same, or a part of it.

    Args:
        account: The account.
        rule: The rule that may keep quiet.
        variant: The rule as it holds for the account's segment.
        finding: What it would tell.
    """
    if _at_risk(account, rule):
        return True
    belied = overstated(account, rule, variant, finding)
    firsts = _firsts(account, rule, variant, finding)
    return any(_holds(one, finding) and one not in belied for one in firsts)


def _holds(first: Episode, finding: Finding) -> bool:
    """Tell whether what a rule has told covers a finding.

    A metric learns a new normal, so that a further fall of it is news; of the whole account the
    same fall would be told once more.
    """
    return first.told or (first.accepted and first.object != finding.object)


def overstated(
    account: Account, rule: Rule, variant: Variant, finding: Finding
) -> Sequence[Episode]:
    """Return open alerts of the same that say more than is so: usage had stopped, and is half back.

    Args:
        account: The account.
        rule: The rule that would tell what is so now.
        variant: The rule as it holds for the account's segment.
        finding: What it would tell.

    Returns:
        Alerts of rules that go first and ask for a deeper fall than there is: for a week their
        condition has not held, and it has not cleared either.
    """
    if not finding.fires:
        return ()
    segment = account.facts.profile.segment
    deeper = {
        first.id
        for first in rule.firsts
        for one in (first.variant(segment),)
        if ratio_asked(one) < ratio_asked(variant)
        and ratio_asked(one) < finding.ratio
        # A shadow takes no alert away that people have seen.
        and (one.shadow or not variant.shadow)
    }
    return [
        one
        for one in _firsts(account, rule, variant, finding)
        if one.rule in deeper
        and one.open
        and one.object == finding.object
        and one.quiet >= EASE_DAYS
    ]


def ratio_asked(variant: Variant) -> float:
    """Return the ratio up to which a rule tells of a fall; NaN of one that asks for none."""
    return float(getattr(variant.params, "ratio", "nan"))


def _firsts(account: Account, rule: Rule, variant: Variant, finding: Finding) -> Sequence[Episode]:
    """Return the episodes of rules that go first about the same object, or a part of it."""
    segment = account.facts.profile.segment
    # What a rule in shadow has told nobody knows, but other shadows.
    firsts = {one.id for one in rule.firsts if variant.shadow or not one.variant(segment).shadow}
    if not firsts:
        return ()
    whole = finding.object in WHOLE
    known = account.episodes.values()
    return [one for one in known if one.rule in firsts and (whole or one.object == finding.object)]


def _at_risk(account: Account, rule: Rule) -> bool:
    """Tell whether a high risk is open while the rule speaks of growth; shadows are none."""
    if not rule.risks:
        return False
    segment = account.facts.profile.segment
    risks = {one.id for one in rule.risks if not one.variant(segment).shadow}
    high = SEVERITIES.index("high")
    known = account.episodes.values()
    return any(one.open and one.severity >= high and one.rule in risks for one in known)
