"""Primitives for one account, written from the formulas, one number at a time.

Shares no code with the product and uses no array. Days are counted since 1970-01-01, weekday
Monday 0; `Account.counts` maps each known day to its count.
"""

from tests.unit.detector.primitives.reference.account import Account, account
from tests.unit.detector.primitives.reference.drop import Reference
from tests.unit.detector.primitives.reference.silence import silence

__all__ = ["Account", "Reference", "account", "silence"]
