"""Refusals, and what becomes of them when they are tried again, as text and as plain JSON."""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.cloudevents import ID_LIMIT
from schemas.rejects import RAW_LIMIT, Reject
from services.commands.rejected import Refusal, Wanted
from services.commands.terminal import printable
from services.wording import counted

if TYPE_CHECKING:
    from services.commands.replaying import Chosen
    from services.commands.resending import Again

EXAMPLES: Final = 10


def lines(refusal: Refusal, sent_again: bool = False) -> list[str]:
    """Return a refusal as two lines for a person: when, who, why, whose, where from; what.

    Args:
        refusal: The refusal.
        sent_again: Whether a replay has sent its events since.
    """
    reject = refusal.reject
    columns = (
        f"{refusal.at:%Y-%m-%d %H:%M:%S}",
        f"{reject.stage:<8}",
        f"{reject.reason:<16}",
        reject.source or "-",
        identity(reject) or "-",
        refusal.origin,
        *(("sent again",) if sent_again else ()),
    )
    detail = f"{reject.field}: {reject.detail}" if reject.field else reject.detail
    return [printable("  ".join(columns)), printable(f"    {detail}")]


def listed(refusal: Refusal, sent_again: bool) -> dict[str, object]:
    """Return a refusal as plain JSON, with whether a replay has sent its events since."""
    return plain(refusal) | {"sent_again": sent_again}


def plain(refusal: Refusal) -> dict[str, object]:
    """Return a refusal as plain JSON; bytes that are no text as base64."""
    reject = refusal.reject
    shown: dict[str, object] = {
        "at": refusal.at.isoformat(),
        "partition": refusal.partition,
        "offset": refusal.offset,
        "stage": reject.stage,
        "reason": reject.reason,
        "field": reject.field,
        "detail": reject.detail,
        "source": reject.source,
        "id": identity(reject),
        "topic": reject.topic,
        "topic_partition": reject.partition,
        "topic_offset": reject.offset,
        "index": reject.index,
        "cut": len(reject.raw) >= RAW_LIMIT,
    }
    try:
        return shown | {"raw": reject.raw.decode()}
    except UnicodeDecodeError:
        return shown | {"raw_base64": base64.b64encode(reject.raw).decode()}


def summary(counts: Counter[str], wanted: Wanted, shown: int, sent_again: int = 0) -> list[str]:
    """Return how many refusals there are of each reason, most of them first.

    Args:
        counts: By stage and reason.
        wanted: What was asked for.
        shown: How many are listed.
        sent_again: How many a replay has sent since, of all that are counted.
    """
    if not counts:
        since = f"{wanted.since:%Y-%m-%d %H:%M} UTC"
        return [f"nothing was refused since {since} (--since 14d looks at all that is kept)"]
    total = counts.total()
    more = f", {shown:,} of them shown" if shown < total else ""
    again = f", {sent_again:,} of them sent again by a replay" if sent_again else ""
    each = [f"  {number:>7,}  {what}" for what, number in counts.most_common()]
    return ["", f"{counted(total, 'refusal')}{more}{again}", *each]


def replayed(tried: "Sequence[Again]", done: str) -> list[str]:
    """Return how much of what was tried is sent, and how much is still refused, by reason.

    Args:
        tried: What became of each refusal.
        done: What is done with the first, such as `sent`.
    """
    events = sum(one.events for one in tried)
    some = sum(bool(one.items) for one in tried)
    still = Counter(each.reason for one in tried for each in one.refused)
    found = [f"{counted(events, 'event')} of {counted(some, 'refusal')} {done}"]
    if still:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in still.most_common())
        found.append(f"{counted(still.total(), 'event')} still refused ({reasons})")
    return found


def examples(tried: "Iterable[Again]") -> list[str]:
    """Return the first of those that are still refused, with their reasons."""
    every = [(one.refusal, each) for one in tried for each in one.refused]
    found = [
        printable(
            f"  {refusal.origin}  {identity(refusal.reject) or '-'}  {each.reason}: "
            + (f"{each.field}: {each.detail}" if each.field else each.detail)
        )
        for refusal, each in every[:EXAMPLES]
    ]
    more = len(every) - len(found)
    return [*found, f"  and {more:,} more; --json shows all"] if more else found


def tried(one: "Again") -> dict[str, object]:
    """Return what became of a refusal as plain JSON."""
    refused = [
        {"reason": each.reason, "field": each.field, "detail": each.detail} for each in one.refused
    ]
    return plain(one.refusal) | {"sent": one.events, "still_refused": refused}


def rest(chosen: "Chosen") -> list[str]:
    """Return what else there was beside what was tried."""
    found = []
    if chosen.sent_before:
        found.append(f"{counted(chosen.sent_before, 'refusal')} had been replayed before")
    if chosen.left:
        found.append(f"{counted(chosen.left, 'refusal')} left; run the same command again")
    return found


def identity(reject: Reject) -> str:
    """Return the id of a refused event as far as it can be read, else nothing."""
    try:
        found = msgspec.json.decode(reject.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    # An entry of events.v1 is an array that begins with its id.
    told = (
        found.get("id") if isinstance(found, dict) else found[:1] if isinstance(found, list) else ""
    )
    told = told[0] if isinstance(told, list) and told else told
    return told[:ID_LIMIT] if isinstance(told, str) else ""
