"""What a page says after somebody acted: the verdict, looked up when the page is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Request

from services.alerts.console.site import Site
from services.alerts.shown import ActionAnswer
from services.wording import counted

DONE: Final[Mapping[str, str]] = {
    "acknowledge": "Acknowledged: you are on it.",
    "snooze": "Snoozed: it comes back by itself, or when it gets worse.",
    "resolve": "Resolved.",
    "assign": "Assigned.",
    "comment": "Comment saved.",
    "reopen": "Open again.",
    "feedback": "Thank you: that is kept with the alert.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a person reads after acting.

    Attributes:
        tone: `good`: done · `same`: it was so · `wait`: not known yet · `care`: not done.
        text: For a person.
    """

    tone: Literal["good", "same", "wait", "care"]
    text: str


async def told(site: Site, request: Request, account: str | None = None) -> Told | None:
    """Return what a page says of the action that its address names; None if it names none.

    Args:
        site: Where verdicts are read.
        request: With `action`, the action's id, `did`, its type, and `of`, the account; or with
            `acked`, how many cases were acknowledged at once.
        account: The account of the page.
    """
    asked = request.query_params
    acked = asked.get("acked", "")
    if acked.isascii() and acked.isdecimal():
        return Told("good", f"{counted(int(acked[:6]), 'account')} acknowledged.")
    key = asked.get("action", "")[:200]
    case = account if account is not None else asked.get("of", "")
    if not key or not case:
        return None
    return say(await site.view.answer(key, case), asked.get("did", ""))


def say(answer: ActionAnswer | None, did: str) -> Told:
    """Put a verdict into words.

    Args:
        answer: The verdict; None while there is none.
        did: The action's type.
    """
    if answer is None or answer.status == "pending":
        return Told("wait", "Accepted, and being applied. It is kept; no need to send it again.")
    if answer.status == "applied":
        return Told("good", DONE.get(did, "Done."))
    if answer.status == "unchanged":
        return Told("same", "It was so already; nothing changed.")
    if answer.status == "conflict":
        why = f" {answer.detail}" if answer.detail else ""
        return Told(
            "care",
            f"Somebody was faster, so nothing was changed.{why} "
            "This is how it stands now: look again, and act if it still fits.",
        )
    return Told("care", answer.detail or "There is no such case any more; nothing was changed.")
