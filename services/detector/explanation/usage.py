"""`usage_drop` and silence in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because, Ended
from services.wording import capital, counted, percent, quantity


def fell_line(metric: str, because: Because, ended: Ended) -> str:
    """Return the line of `drop`."""
    days = words.length(because["window"])
    if _recovered(because, ended):
        return words.back(metric)
    if words.stands(ended):
        return words.stays(metric)
    word = "fell" if because["ratio"] < 1 else "rose"
    return f"{words.usage(metric)} {word} {percent(abs(because['ratio'] - 1))} in {days} days"


def fell(metric: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `drop`."""
    sentences = [words.compared(metric, because)]
    if _recovered(because, ended):
        sentences.append("That is near the usual level again.")
    else:
        sentences.extend(words.lasting(because))
    left_out = words.left_out(because)
    return [*sentences, *words.features(because), *left_out, *_swings(because)]


def stopped_line(metric: str, because: Because, ended: Ended) -> str:
    """Return the line of `stop`."""
    if _recovered(because, ended):
        return words.back(metric)
    if words.stands(ended):
        return words.stays(metric)
    days = counted(because["window"]["days_used"], "day")
    usual = f"{quantity(because['expected'])} would be usual"
    if not because["observed"]:
        return f"{words.usage(metric)} stopped: nothing in {days}, {usual}"
    return (
        f"{words.usage(metric)} all but stopped: {quantity(because['observed'])} in {days}, {usual}"
    )


def stopped(metric: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `stop`."""
    window = because["window"]
    sentences = [
        f"{words.total(metric)} {quantity(because['observed'])} in the last "
        f"{counted(window['days_used'], 'judged day')}, {words.days(window)}; "
        f"{quantity(because['expected'])} would be usual for these weekdays."
    ]
    if _recovered(because, ended):
        sentences.append("The last four weeks together are near the usual level again.")
    elif because["ratio"] <= because["thresholds_in_force"]["ratio"]:
        sentences.append(
            "This customer's own ups and downs do not explain that "
            f"(limit: {percent(because['thresholds_in_force']['ratio'])} of what is usual)."
        )
    return [*sentences, *words.features(because), *words.left_out(because)]


def _recovered(because: Because, ended: Ended) -> bool:
    ratio = because.get("ratio_28")
    clear = because.get("thresholds_in_force", {}).get("clear", 2)
    return words.is_over(ended, ratio is not None and ratio >= clear)


def _swings(because: Because) -> list[str]:
    least = because.get("smallest_detectable_drop")
    if least is None:
        return []
    fallen = because["ratio"] <= because["thresholds_in_force"]["ratio"]
    if fallen and 1 - because["ratio"] < least:
        # The bound is a typical one: beside a smaller fall that is reported it would be untrue.
        return [words.swings(because)]
    return [words.swings(because, f"drops under {percent(least)}")]


def silent_line(_: str, because: Because, ended: Ended) -> str:
    """Return the line of `silence`."""
    if words.is_over(ended, not _silent(because)):
        return "activity is back"
    # A date, for the line is read for as long as the alert is open.
    return f"no activity since {words.day(because['last_active'])}"


def silent(object_: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `silence`."""
    if words.is_over(ended, not _silent(because)):
        active = counted(because["active_days_of_last_14"], "day")
        last = words.day(because["last_active"])
        return [f"Activity is back: {active} of the last 14, most recently on {last}."]
    line, on = capital(silent_line(object_, because, ended)), words.day(because["window"]["to"])
    days, left_out = counted(because["days_silent"], "day"), []
    if because["days_silent"] != because["calendar_days_silent"]:
        days += f" ({because['calendar_days_silent']:,} by the calendar)"
        left_out = words.left_out(because)
    return [f"{line}; on {on} that was {days}.", *left_out, _limit(because)]


def _silent(because: Because) -> bool:
    """Tell whether it has been too long; earlier evidence has no word for it."""
    return bool(because.get("silent_too_long", because["days_silent"] >= because["limit"]))


def _limit(because: Because) -> str:
    limit, limits = counted(because["limit"], "day"), because["thresholds_in_force"]
    if limits["days"] is not None:
        return f"Your rule's limit is {limit}."
    if not because.get("rhythm_known", True):
        days = counted(because["active_days"], "day")
        return f"It was active on {days} only, too few to know its rhythm; our limit is {limit}."
    rhythm = f"Until then this customer was active on {because['active_days_of_56']} of 56 days"
    weeks = because.get("weeks")
    if weeks:
        rhythm += f" and in {because['active_weeks']} of {counted(weeks, 'week')}"
    if because.get("p_alive") is not None and because["p_alive"] < limits["alive"]:
        likely = percent(because["p_alive"])
        return f"{rhythm}; of customers like it {likely} come back after that."
    return f"{rhythm}; our limit for that rhythm is {limit}."
