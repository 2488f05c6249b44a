"""`usage_drop` and silence in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because
from services.wording import capital, counted, percent, quantity


def fell_line(metric: str, because: Because) -> str:
    """Return the line of `drop`."""
    days = words.length(because["window"])
    if _recovered(because):
        return _back(metric)
    word = "fell" if because["ratio"] < 1 else "rose"
    return f"{_usage(metric)} {word} {percent(abs(because['ratio'] - 1))} in {days} days"


def fell(metric: str, because: Because) -> list[str]:
    """Return the sentences of `drop`."""
    window = because["window"]
    sentences = [
        f"{_total(metric)} {quantity(because['observed'])} in the {words.length(window)} days to "
        f"{words.day(window['to'])}; {quantity(because['expected'])} would be usual for these "
        f"weekdays ({_change(because)})."
    ]
    if _recovered(because):
        sentences.append("That is near the usual level again.")
    elif _lasts(because):
        sentences.append(
            f"A lasting fall since about {words.day(because['since_estimate'])} explains that far "
            "better than a dip of two weeks."
        )
    return [*sentences, *words.left_out(because), *_swings(because)]


def stopped_line(metric: str, because: Because) -> str:
    """Return the line of `stop`."""
    if _recovered(because):
        return _back(metric)
    days = counted(because["window"]["days_used"], "day")
    usual = f"{quantity(because['expected'])} would be usual"
    if not because["observed"]:
        return f"{_usage(metric)} stopped: nothing in {days}, {usual}"
    return f"{_usage(metric)} all but stopped: {quantity(because['observed'])} in {days}, {usual}"


def stopped(metric: str, because: Because) -> list[str]:
    """Return the sentences of `stop`."""
    window = because["window"]
    sentences = [
        f"{_total(metric)} {quantity(because['observed'])} in the last "
        f"{counted(window['days_used'], 'judged day')}, {words.days(window)}; "
        f"{quantity(because['expected'])} would be usual for these weekdays."
    ]
    if _recovered(because):
        sentences.append("The last four weeks together are near the usual level again.")
    elif because["ratio"] <= because["thresholds_in_force"]["ratio"]:
        sentences.append(
            "This customer's own ups and downs do not explain that "
            f"(limit: {percent(because['thresholds_in_force']['ratio'])} of what is usual)."
        )
    return [*sentences, *words.left_out(because)]


def _back(metric: str) -> str:
    verb = "are back near their" if metric == "@people" else "is back near its"
    return f"{_usage(metric)} {verb} usual level"


def _usage(metric: str) -> str:
    if metric == "@people":
        return "active people"
    return "usage" if metric == "usage" else f"usage ({metric})"


def _total(metric: str) -> str:
    if metric == "@people":
        return "Active people, counted once a day, were"
    return f"{capital(_usage(metric))} was"


def _change(because: Because) -> str:
    told = _signed(because["ratio"] - 1)
    low, high = because.get("ratio_interval90") or (None, None)
    if low is None or high is None:
        return told
    return f"{told}; 90 % range {_signed(low - 1)} to {_signed(high - 1)}"


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else ''}{percent(change)}"


def _recovered(because: Because) -> bool:
    ratio = because.get("ratio_28")
    return ratio is not None and ratio >= because.get("thresholds_in_force", {}).get("clear", 2)


def _lasts(because: Because) -> bool:
    limits = because["thresholds_in_force"]
    return bool(
        because["ratio"] <= limits["ratio"] and because["lasting"] >= limits["evidence_asked"]
    )


def _swings(because: Because) -> list[str]:
    least = because.get("smallest_detectable_drop")
    if least is None:
        return []
    swings = f"Natural swings of this customer are about ±{percent(because['drift_sd'])}"
    fallen = because["ratio"] <= because["thresholds_in_force"]["ratio"]
    if fallen and 1 - because["ratio"] < least:
        # The bound is a typical one: beside a smaller fall that is reported it would be untrue.
        return [f"{swings}."]
    return [f"{swings}; drops under {percent(least)} would not be reported."]


def silent_line(_: str, because: Because) -> str:
    """Return the line of `silence`."""
    if because["days_silent"] < because["limit"]:
        return "activity is back"
    # A date, for the line is read for as long as the alert is open.
    return f"no activity since {words.day(because['last_active'])}"


def silent(object_: str, because: Because) -> list[str]:
    """Return the sentences of `silence`."""
    if because["days_silent"] < because["limit"]:
        active = counted(because["active_days_of_last_14"], "day")
        last = words.day(because["last_active"])
        return [f"Activity is back: {active} of the last 14, most recently on {last}."]
    line, on = capital(silent_line(object_, because)), words.day(because["window"]["to"])
    days, left_out = counted(because["days_silent"], "day"), []
    if because["days_silent"] != because["calendar_days_silent"]:
        days += f" ({because['calendar_days_silent']:,} by the calendar)"
        left_out = words.left_out(because)
    return [f"{line}; on {on} that was {days}.", *left_out, _limit(because)]


def _limit(because: Because) -> str:
    limit = counted(because["limit"], "day")
    if because["thresholds_in_force"]["days"] is not None:
        return f"Your rule's limit is {limit}."
    return (
        f"Until then this customer was active on {because['active_days_of_56']} of 56 days; "
        f"our limit for that rhythm is {limit}."
    )
