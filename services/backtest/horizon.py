"""How far ahead a warning looks: the same bounds wherever alerts are held against churns. Pure."""

from typing import Final

HORIZON_DAYS: Final = 180
"""A warning is about the next half-year. Source: ours; signals.md B09 has 90 to 120 days between
behaviour and money, and A23 opens a renewal's process 90 days ahead."""

LATE_DAYS: Final = 30
"""Source: signals.md C29: a risk first seen so shortly before is a late catch."""
