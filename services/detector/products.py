"""The product-change calendar: what we did to features ourselves (signals.md C26).

A feature that we retire is not abandoned, one that we rename goes on under its new name, and of one
that we limit or bring back what is usual is learned anew from that day.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from schemas.events import ProductChanged

PRODUCT_LIMIT = 400
"""Features whose change is remembered; as many closures are."""


class Changed(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """The newest change of one feature.

    Attributes:
        change: What we did.
        day: On which day, in UTC.
        stamp: The (event time, id) that said so; the newest wins.
        into: Its new name, where it was renamed.
    """

    change: Literal["retired", "renamed", "limited", "released"]
    day: int
    stamp: tuple[int, str]
    into: str | None = None


Products = Mapping[str, Changed]
_UNSTAMPED = (0, "")


def take(
    known: dict[str, Changed], event: ProductChanged, day: int, stamp: tuple[int, str]
) -> str | None:
    """Take a change over, if it is newer than what is known of the feature.

    Args:
        known: By feature; changed in place.
        event: The change.
        day: Its day, in UTC.
        stamp: Its (event time, id).

    Returns:
        None, or why it was refused.
    """
    before = known.get(event.feature)
    if before is None and len(known) >= PRODUCT_LIMIT:
        return "too_many_products"
    if before is None or stamp > before.stamp:
        known[event.feature] = Changed(event.change, day, stamp, event.into)
    return None


def until(known: Products, last: int) -> dict[str, Changed]:
    """Return what was changed up to a day, without the stamps: whoever judges asks for none."""
    return {
        name: msgspec.structs.replace(one, stamp=_UNSTAMPED)
        for name, one in known.items()
        if one.day <= last
    }


def is_gone(feature: str, products: Products) -> bool:
    """Tell whether a feature is no more, at least under this name."""
    changed = products.get(feature)
    return changed is not None and changed.change in ("retired", "renamed")


def names(feature: str, products: Products) -> tuple[str, ...]:
    """Return the names that a feature has had, today's among them, in order.

    >>> names("export", {"dump": Changed("renamed", 9, (9, ""), "export")})
    ('dump', 'export')
    """
    found = {feature}
    while older := {
        name
        for name, changed in products.items()
        if changed.change == "renamed" and changed.into in found and name not in found
    }:
        found |= older
    return tuple(sorted(found))


def begins(feature: str, products: Products) -> int | None:
    """Return the day from which what is usual of a feature is learned anew, or None."""
    changed = products.get(feature)
    return (
        changed.day if changed is not None and changed.change in ("limited", "released") else None
    )
