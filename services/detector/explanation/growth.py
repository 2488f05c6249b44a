"""Growth, a sudden fall and a slow one in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because
from services.wording import capital, counted, percent, quantity


def rose_line(metric: str, because: Because) -> str:
    """Return the line of `expansion`."""
    if _over(because):
        return words.back(metric)
    days = words.length(because["window"])
    return f"{words.usage(metric)} rose {percent(because['ratio'] - 1)} in {days} days"


def rose(metric: str, because: Because) -> list[str]:
    """Return the sentences of `expansion`."""
    window = because["window"]
    sentences = [
        f"{words.total(metric)} {quantity(because['observed'])} in the "
        f"{words.length(window)} days to {words.day(window['to'])}; "
        f"{quantity(because['expected'])} would be usual for these "
        f"weekdays ({words.change(because)})."
    ]
    if _over(because):
        sentences.append("That is near the usual level again.")
    else:
        sentences.extend(_parts(because))
    least = percent(because["smallest_detectable_rise"])
    swings = f"Natural swings of this customer are about ±{percent(because['drift_sd'])}"
    if because["ratio"] - 1 < because["smallest_detectable_rise"]:
        return [*sentences, *words.left_out(because), f"{swings}."]
    told = f"{swings}; rises under {least} would not be reported."
    return [*sentences, *words.left_out(because), told]


def _over(because: Because) -> bool:
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


def fast_line(metric: str, because: Because) -> str:
    """Return the line of `fastdrop`."""
    if _is_back(because):
        return words.back(metric)
    word = "fell" if because["ratio"] < 1 else "rose"
    return f"{words.usage(metric)} {word} {percent(abs(because['ratio'] - 1))} in a week"


def fast(metric: str, because: Because) -> list[str]:
    """Return the sentences of `fastdrop`."""
    window, weeks = because["window"], counted(because["weeks_before"], "week")
    sentences = [
        f"{words.total(metric)} {quantity(because['observed'])} in the "
        f"{words.length(window)} days to {words.day(window['to'])}; "
        f"{quantity(because['expected'])} would be usual for these "
        f"weekdays, by the median of {weeks} before ({words.change(because)})."
    ]
    if _is_back(because):
        sentences.append("That is near the level before again.")
    else:
        sentences.append(
            "Whether it lasts is not known yet. From such a fall to the call that cancels it is "
            f"{counted(because['lead_days'], 'day')} on average; about "
            f"{because['lead_days_left']} are left."
        )
    return [*sentences, *words.features(because), *words.left_out(because)]


def _is_back(because: Because) -> bool:
    return bool(because["ratio"] > because["thresholds_in_force"]["clear"])


def slow_line(metric: str, because: Because) -> str:
    """Return the line of `slowdrift`."""
    if because["slope"] >= 0:
        return f"{words.usage(metric)} sinks no longer"
    weeks = len(because["weeks"])
    return f"{words.usage(metric)} sank {percent(because['fall'])} in {weeks} weeks"


def slow(metric: str, because: Because) -> list[str]:
    """Return the sentences of `slowdrift`."""
    window, weeks = because["window"], len(because["weeks"])
    used = because["weeks_used"]
    usage = capital(words.usage(metric))
    if because["slope"] >= 0:
        return [
            f"{usage} no longer sinks over the {weeks} weeks to {words.day(window['to'])}.",
            *words.features(because),
        ]
    sentences = [
        f"{usage} has been sinking slowly: the line through the {weeks} weeks to "
        f"{words.day(window['to'])} falls by {percent(because['fall'])}."
    ]
    if used < weeks:
        gone = counted(weeks - used, "week")
        verb = "was" if weeks - used == 1 else "were"
        sentences.append(f"Of these {gone} with too few ordinary days {verb} left out.")
    least = because["smallest_detectable_drop"]
    if because["fall"] >= least:
        sentences.append(f"A fall under {percent(least)} would not be reported.")
    return [*sentences, *words.features(because)]
