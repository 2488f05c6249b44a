"""An account as one plain JSON object, so that what is counted can be compared from outside."""

from typing import Any

import msgspec

from services.detector.calendars import to_date
from services.detector.facts import KEPT
from services.detector.facts.people import SEEN_DAYS
from services.detector.facts.profile import Profile
from services.detector.subject import Account

_TOLD = {"profile", "feedback"}
_HIDDEN = {"stamps", "zone", "zone_from", "zone_before", "zones", "lost"}


def shown(account: Account, partition: int, stamp: int, judged: int = -1) -> dict[str, Any]:
    """Return an account's facts, buckets, people, states and episodes (formats.md).

    Args:
        account: The account.
        partition: The partition that it belongs to.
        stamp: Offset up to which that partition is folded.
        judged: The newest local day that is judged, negative for none.

    Returns:
        Plain JSON; quantities in units, only days with something in them.
    """
    facts = account.facts
    return {
        "account": account.id,
        "partition": partition,
        "stamp": stamp,
        "judged": to_date(judged).isoformat() if judged >= 0 else None,
        "facts": _profile(facts.profile),
        **{name: msgspec.to_builtins(getattr(facts, name)) for name in KEPT if name not in _TOLD},
        "feedback": facts.feedback.counted(),
        "buckets": {
            name: {
                to_date(line.first + place).isoformat(): _units(value)
                for place, value in enumerate(line.values)
                if value
            }
            for name, line in sorted(facts.buckets.lines.items())
        },
        "people": {
            who: to_date(packed >> SEEN_DAYS).isoformat() for who, packed in sorted(facts.people)
        },
        "states": dict(sorted(account.states.items())),
        "least": dict(sorted(account.least.items())),
        "usual": {
            name: [_units(one) for one in usual] for name, usual in sorted(account.usual.items())
        },
        "watch": account.watch,
        "episodes": [
            msgspec.to_builtins(one) | {"rule": one.rule, "object": one.object}
            for _, one in sorted(account.episodes.items())
        ],
        "merged": account.merged.into if account.merged else None,
        "quarantine": account.quarantine.error if account.quarantine else None,
        "rules_off": sorted(account.off),
    }


def _profile(profile: Profile) -> dict[str, Any]:
    found = {
        name: value
        for name, value in msgspec.to_builtins(profile).items()
        if name not in _HIDDEN and name != "closures"
    }
    if not profile.closures:
        return found
    dates = [[to_date(day).isoformat() for day in span] for span in profile.closures]
    return found | {"closures": dates}


def _units(value: int) -> int | float:
    return value // 1000 if value % 1000 == 0 else value / 1000
