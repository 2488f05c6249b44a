"""What a page says after somebody acted: the verdict, looked up when the page is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Request

from services.alerts.console.site import Site
from services.alerts.shown import ActionAnswer
from services.wording import counted

Tone = Literal["good", "same", "wait", "care"]

DONE: Final[Mapping[str, str]] = {
    "acknowledge": "Acknowledged: you are on it.",
    "snooze": "Snoozed: it comes back by itself, or when it gets worse.",
    "resolve": "Resolved.",
    "assign": "Assigned.",
    "comment": "Comment saved.",
    "reopen": "Open again.",
    "feedback": "Thank you: that is kept with the alert.",
}
AT_ONCE_SAID: Final[Mapping[str, str]] = {
    "applied": "acked",
    "unchanged": "same",
    "conflict": "same",
    "pending": "waits",
    "unknown_case": "gone",
    "unknown_alert": "gone",
}
"""Under which name an address tells how many of several actions became what."""

_AT_ONCE_TOLD: Final[Mapping[str, tuple[Tone, str]]] = {
    "acked": ("good", "{} acknowledged."),
    "same": ("same", "{} {was} not open, so nothing changed there."),
    "waits": ("wait", "{} {is_} being acknowledged; no need to send it again."),
    "gone": ("care", "{} {has} no case any more."),
}
"""What is said of them, and its tone; of several the last one counts."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a person reads after acting.

    Attributes:
        tone: `good`: done · `same`: it was so · `wait`: not known yet · `care`: not done.
        text: For a person.
    """

    tone: Tone
    text: str


async def told(site: Site, request: Request, account: str | None = None) -> Told | None:
    """Return what a page says of the action that its address names; None if it names none.

    Args:
        site: Where verdicts are read.
        request: With `action`, the action's id, `did`, its type, and `of`, the account; or with
            how many of several cases that were acknowledged at once became what.
        account: The account of the page.
    """
    asked = request.query_params
    if (at_once := _at_once(asked)) is not None:
        return at_once
    key = asked.get("action", "")[:200]
    case = account if account is not None else asked.get("of", "")
    if not key or not case:
        return None
    return say(await site.view.answer(key, case), asked.get("did", ""))


def _at_once(asked: Mapping[str, str]) -> Told | None:
    numbers = {name: asked.get(name, "")[:6] for name in _AT_ONCE_TOLD}
    told = [
        (tone, _several(sentence, int(numbers[name])))
        for name, (tone, sentence) in _AT_ONCE_TOLD.items()
        if numbers[name].isascii() and numbers[name].isdecimal()
    ]
    return Told(told[-1][0], " ".join(sentence for _, sentence in told)) if told else None


def _several(sentence: str, number: int) -> str:
    one = number == 1
    return sentence.format(
        counted(number, "account"),
        was="was" if one else "were",
        is_="is" if one else "are",
        has="has" if one else "have",
    )


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
