"""Which alerts keep others quiet: what is told already is not told again. Pure."""

from typing import Final

from schemas.alerts import SEVERITIES
from services.detector.facts.buckets import PEOPLE, TICKETS
from services.detector.rules import Rule, Variant
from services.detector.subject import Account
from services.detector.window import COMBINED

WHOLE: Final = (COMBINED, PEOPLE, TICKETS)
"""Objects that are about the whole account: a fall of one of its metrics, or a rise of its urgent
tickets, is a part of them."""


def yields(account: Account, rule: Rule, variant: Variant, object_: str) -> bool:
    """Tell whether a rule that goes first has told about the same, or a part of it.

    Args:
        account: The account.
        rule: The rule that may keep quiet.
        variant: The rule as it holds for the account's segment.
        object_: What it would tell about.
    """
    if _at_risk(account, rule):
        return True
    segment = account.facts.profile.segment
    # What a rule in shadow has told nobody knows, but other shadows.
    firsts = {one.id for one in rule.firsts if variant.shadow or not one.variant(segment).shadow}
    return bool(firsts) and any(
        one.told and one.rule in firsts and (one.object == object_ or object_ in WHOLE)
        for one in account.episodes.values()
    )


def _at_risk(account: Account, rule: Rule) -> bool:
    """Tell whether a high risk is open while the rule speaks of growth; shadows are none."""
    if not rule.risks:
        return False
    segment = account.facts.profile.segment
    risks = {one.id for one in rule.risks if not one.variant(segment).shadow}
    high = SEVERITIES.index("high")
    known = account.episodes.values()
    return any(one.open and one.severity >= high and one.rule in risks for one in known)
