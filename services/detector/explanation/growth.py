"""Growth, a sudden fall and a slow one in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because, Ended
from services.wording import capital, counted, percent, quantity


def rose_line(metric: str, because: Because, ended: Ended) -> str:
    """Return the line of `expansion`."""
    if words.is_over(ended, _low(because)):
        return words.back(metric)
    if words.stands(ended):
        return words.stays(metric)
    days = words.length(because["window"])
    return f"{words.usage(metric)} rose {percent(because['ratio'] - 1)} in {days} days"


def rose(metric: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `expansion`."""
    sentences = [words.compared(metric, because)]
    if words.is_over(ended, _low(because)):
        sentences.append("That is near the usual level again.")
    else:
        sentences.extend(_parts(because))
    least = because["smallest_detectable_rise"]
    told = f"rises under {percent(least)}" if because["ratio"] - 1 >= least else ""
    return [*sentences, *words.left_out(because), words.swings(because, told)]


def _low(because: Because) -> bool:
    return bool(because["ratio"] < because["thresholds_in_force"]["clear"])


def _parts(because: Because) -> list[str]:
    """Say that it lasts; a stretch that was left out whole has no ratio."""
    names = ("ratio_first_fortnight", "ratio_last_fortnight", "ratio_last_week")
    if any(because[name] is None or because[name] <= 1 for name in names):
        return []
    first, last, week = (words.signed(because[name] - 1) for name in names)
    return [
        f"Both fortnights ({first}, then {last}) and the last week ({week}) are up, so this is no "
        "short peak."
    ]


def fast_line(metric: str, because: Because, ended: Ended) -> str:
    """Return the line of `fastdrop`."""
    if words.is_over(ended, _is_back(because)):
        return words.back(metric)
    if words.stands(ended):
        return words.stays(metric)
    word = "fell" if because["ratio"] < 1 else "rose"
    return f"{words.usage(metric)} {word} {percent(abs(because['ratio'] - 1))} in a week"


def fast(metric: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `fastdrop`."""
    weeks = counted(because["weeks_before"], "week")
    sentences = [words.compared(metric, because, f", by the median of {weeks} before")]
    if words.is_over(ended, _is_back(because)):
        sentences.append("That is near the level before again.")
    elif not words.stands(ended):
        sentences.append("Whether it lasts is not known yet.")
    return [*sentences, *words.features(because), *words.left_out(because)]


def _is_back(because: Because) -> bool:
    return bool(because["ratio"] > because["thresholds_in_force"]["clear"])


def slow_line(metric: str, because: Because, ended: Ended) -> str:
    """Return the line of `slowdrift`."""
    if words.stands(ended):
        return words.stays(metric)
    if because["slope"] >= 0:
        return f"{words.usage(metric)} sinks no longer"
    weeks = len(because["weeks"])
    return f"{words.usage(metric)} sank {percent(because['fall'])} in {weeks} weeks"


def slow(metric: str, because: Because, _: Ended) -> list[str]:
    """Return the sentences of `slowdrift`."""
    on, weeks = words.day(because["window"]["to"]), len(because["weeks"])
    usage = capital(words.usage(metric))
    if because["slope"] >= 0:
        return [
            f"{usage} no longer sinks over the {weeks} weeks to {on}.",
            *words.features(because),
        ]
    fell = percent(-because["fall"])
    sentences = [
        f"{usage} has been sinking slowly: the line through the {weeks} weeks to {on} goes from "
        f"{_ends(because)} ({fell}).",
        *_left_out(because),
    ]
    least = because["smallest_detectable_drop"]
    told = f"a slow fall under {percent(least)}" if because["fall"] >= least else ""
    return [*sentences, *words.features(because), words.swings(because, told)]


def _ends(because: Because) -> str:
    """Say what the line's ends are in units of a whole week."""
    whole = max(one["expected"] for one in because["weeks"] if one["expected"] is not None)
    first, last = (quantity(because[f"{end}_level"] * whole) for end in ("first", "last"))
    return f"about {first} in its first week to {last} in its last"


def _left_out(because: Because) -> list[str]:
    """Say which days, and which weeks as a whole, the line does not go through."""
    gone = len(because["weeks"]) - because["weeks_used"]
    if not gone:
        return words.left_out(because)
    verb = "was" if gone == 1 else "were"
    whole = f"Of these {counted(gone, 'week')} with too few ordinary days {verb} left out."
    return [whole, *words.left_out(because)]
