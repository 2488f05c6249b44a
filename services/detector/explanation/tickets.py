"""`spike` in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because, Ended
from services.wording import capital, counted, listed, quantity

HARDLY = 0.1
"""Usual count of a week below which it is no number for a person."""


def spike_line(metric: str, because: Because, ended: Ended) -> str:
    """Return the line of `spike`."""
    line = f"{_counted(metric, because['observed'])} in {words.length(because['window'])} days"
    if words.is_over(ended, _calm(because)):
        return f"{line}, as usual"
    if words.stands(ended):
        return f"{line}, the new normal"
    return f"{line}, {_usual(because)} would be usual"


def spike(metric: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `spike`."""
    window, count = because["window"], _counted(metric, because["observed"])
    days = counted(round(because["days_observed"]), "day")
    sentences = [
        f"{capital(count)} in the {words.length(window)} days to {words.day(window['to'])}, on "
        f"{days}; {_usual(because)} would be usual.",
        f"The eight weeks before brought {listed([_week(one) for one in because['weekly']])}.",
    ]
    if words.is_over(ended, _calm(because)):
        sentences.append("That is an ordinary week again.")
    return [*sentences, *_rare(because), *words.left_out(because), *_least(metric, because)]


def _calm(because: Because) -> bool:
    return bool(because["observed"] <= because["calm_count"])


def _usual(because: Because) -> str:
    return "hardly any" if because["expected"] < HARDLY else quantity(because["expected"])


def _rare(because: Because) -> list[str]:
    """Say how rare such a week is, by its count or else by its days."""
    for prefix, what in (("", "so many"), ("days_", "some on so many days")):
        chance = because[f"{prefix}probability"]
        if chance < because["thresholds_in_force"][f"{prefix}probability"]:
            weeks, limit = (because[f"{prefix}{name}"] for name in ("once_in_weeks", _LIMIT))
            return [f"{_once(what, weeks)}; the rule reports {_from(limit)}."]
    return []


_LIMIT = "reported_once_in_weeks"


def _once(what: str, weeks: int | None) -> str:
    if weeks is None:
        return f"{capital(what)} in a week hardly ever come here"
    return f"{capital(what)} come about once in {words.rounded(weeks)} weeks here"


def _from(weeks: int | None) -> str:
    return "what hardly ever comes" if weeks is None else f"from once in {weeks:,}"


_NOUNS = {
    "@tickets": ("ticket", "tickets"),
    "@tickets_high": ("urgent ticket", "urgent tickets"),
}


def _counted(metric: str, number: float) -> str:
    if metric not in _NOUNS:
        return f"{quantity(number)} of {metric}"
    return counted(round(number), *_NOUNS[metric])


def _week(number: float | None) -> str:
    """Return the count of a week; one that was left out as a whole has none."""
    return "none known" if number is None else quantity(number)


def _least(metric: str, because: Because) -> list[str]:
    """Say what would be told, where nothing is."""
    least = because["smallest_detectable_spike"]
    if least is None or _rare(because):
        return []
    return [f"{capital(_counted(metric, least))} in a week would be reported."]
