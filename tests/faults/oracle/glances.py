"""What pages and routing must know of an account at a glance."""

from typing import Any

from . import days
from .accounts import Account

PROFILE = (
    *("name", "owner", "segment", "country", "timezone"),
    *("arr", "currency", "renewal_on", "seats"),
)


def glance(account: Account) -> dict[str, Any]:
    """Return what an account's summary must say."""
    heard = days.instant(account.heard * days.HOUR) if account.heard else None
    told = {name: account.facts.get(name) for name in PROFILE}
    return told | {
        "last_event_at": heard,
        "states": dict(account.states),
        "open_alerts": sum(one.open for one in account.episodes.values()),
        "quarantined": False,
    }
