"""Features that an account has given up in words."""

from services.detector.explanation import words
from services.detector.explanation.words import FEATURE, Because, Ended
from services.wording import capital, counted, listed, percent, quantity


def abandoned_line(object_: str, because: Because, ended: Ended) -> str:
    """Return the line of `abandonment`."""
    if words.is_over(ended, _is_back(because)):
        if _with_the_rest(because):
            return f"{words.usage(object_)} is no lower than that of the rest any more"
        return f"feature {_name(object_)} is used again"
    if words.stands(ended):
        return words.stays(object_)
    days, fell = words.length(because["window"]), percent(1 - because["ratio"])
    return f"{words.usage(object_)} fell {fell} in {days} days"


def abandoned(object_: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `abandonment`."""
    sentences = [words.compared(object_, because)]
    own = because["account_ratio"]
    if own < 1:
        sentences.append(
            f"All usage of this customer is down {percent(1 - own)}, which is taken into account: "
            f"without that {quantity(because['expected_alone'])} would be usual."
        )
    if words.is_over(ended, _is_back(because)):
        sentences.append("That is near the usual level again.")
    else:
        sentences.extend(words.lasting(because))
    return [*sentences, *words.left_out(because)]


def _name(object_: str) -> str:
    return object_.removeprefix(FEATURE)


def _is_back(because: Because) -> bool:
    ratio = because["ratio"]
    return ratio is not None and ratio >= because["thresholds_in_force"]["clear"]


def _with_the_rest(because: Because) -> bool:
    """Tell whether a feature is back only beside all usage, which has fallen since."""
    alone = because.get("ratio_alone")
    return alone is not None and alone < because["thresholds_in_force"]["clear"]


def narrower_line(_: str, because: Because, ended: Ended) -> str:
    """Return the line of `breadth`."""
    used, then = _features(because["used"]), because.get("usual_when_raised")
    if words.stands(ended):
        return f"{used} in use, {quantity(then or because['usual'])} were usual"
    # Where it is not known what was usual then, it may be that only that has changed.
    if words.is_over(ended, _is_wide(because)) and (then is not None or ended is None):
        return f"{used} in use again"
    return f"{used} in use, {quantity(because['usual'])} are usual"


def narrower(_: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of `breadth`."""
    limits, months = because["thresholds_in_force"], _months(because)
    on = words.day(because["window"]["to"])
    verb = "was" if because["used"] == 1 else "were"
    sentences = [
        f"{capital(_features(because['used']))} {verb} used in the 28 days to {on}; "
        f"{quantity(because['usual'])} are usual, by the months before{months}."
    ]
    then = because.get("usual_when_raised")
    if then is not None:
        sentences.append(f"When this was reported {quantity(then)} were usual.")
    if not words.is_over(ended, _is_wide(because)):
        most, days = quantity(because["most_of_late"]), counted(limits["days"], "day")
        sentences.append(f"For {days} it has been {most} at most.")
        gone = [
            f"{one['feature']} (last on {words.day(one['last_used'])})"
            for one in because.get("lost", ())
        ]
        if gone:
            sentences.append(f"Used no longer: {listed(gone)}.")
    if "used_since" not in because:
        # Of before the 28 days were ones that count.
        return sentences
    # Who has not come back is rare by then, and that is not why it is said.
    rare = [] if words.stands(ended) else _rare(because)
    return [*sentences, *rare, *words.left_out(because)]


def _rare(because: Because) -> list[str]:
    """Say which core features are left out, as six weeks without them are ordinary."""
    rare = [one["feature"] for one in because.get("core_features", ()) if not one["counted"]]
    verb = "is" if len(rare) == 1 else "are"
    return [f"{listed(rare)} {verb} used too rarely to count."] if rare else []


def _features(number: float) -> str:
    return counted(round(number), "core feature")


def _months(because: Because) -> str:
    known = [quantity(number) for number in because["by_month"] if number is not None]
    return f" ({', '.join(known)})"


def _is_wide(because: Because) -> bool:
    limits = because["thresholds_in_force"]
    return bool(because["used"] > because["usual"] - limits["fewer"])
