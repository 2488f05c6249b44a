"""`ratio` of seats in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because, Ended
from services.wording import counted, percent, quantity


def seats_line(_: str, because: Because, ended: Ended) -> str:
    """Return the line of `ratio`."""
    line = f"{quantity(because['people'])} of {counted(because['seats'], 'seat')} used"
    return f"{line} again" if words.is_over(ended, not _told(because)) else line


def seats(_: str, because: Because, ended: Ended) -> list[str]:  # noqa: ARG001
    """Return the sentences of `ratio`."""
    window, limits = because["window"], because["thresholds_in_force"]
    number = counted(because["people_now"], "person", "people")
    since = because["seats_since"]
    bought = f" (since {words.day(since)})" if since else ""
    low = limits["side"] == "low"
    sentences = [
        f"{number} {_were(because['people_now'])} active in the four weeks to "
        f"{words.day(window['to'])}, for {counted(because['seats'], 'seat')}{bought}. The mean of "
        f"that number over {words.length(window)} days is {quantity(because['people'])}: "
        f"{percent(because['ratio'])} of the seats."
    ]
    if low and because["idle"]:
        sentences.append(f"{quantity(because['idle'])} stand empty.")
    return [*sentences, *words.left_out(because), _limits(because, low)]


def _told(because: Because) -> bool:
    """Tell whether the share is still beyond the bound at which it is over."""
    limits = because["thresholds_in_force"]
    if limits["side"] == "low":
        return bool(because["ratio"] <= limits["leave"])
    return bool(because["ratio"] >= limits["leave"])


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _limits(because: Because, low: bool) -> str:
    limits, people = because["thresholds_in_force"], because["people_that_fire"]
    side = "under" if low else "over"
    told = f"Your rule reports {side} {percent(limits['enter'])}"
    if people is None:
        return f"{told}."
    reach = f"{people:,} or fewer" if low else f"{people:,} or more"
    return f"{told}: {reach} active people."
