"""Features that an account has given up in words."""

from services.detector.explanation import words
from services.detector.explanation.words import FEATURE, Because
from services.wording import capital, counted, listed, percent, quantity


def abandoned_line(object_: str, because: Because) -> str:
    """Return the line of `abandonment`."""
    if _is_back(because):
        return f"feature {_name(object_)} is used again"
    days, fell = words.length(because["window"]), percent(1 - because["ratio"])
    return f"{words.usage(object_)} fell {fell} in {days} days"


def abandoned(object_: str, because: Because) -> list[str]:
    """Return the sentences of `abandonment`."""
    sentences = [words.compared(object_, because)]
    own = because["account_ratio"]
    if own < 1:
        sentences.append(
            f"All usage of this customer is down {percent(1 - own)}, which is taken into account: "
            f"without that {quantity(because['expected_alone'])} would be usual."
        )
    if _is_back(because):
        sentences.append("That is near the usual level again.")
    else:
        sentences.extend(words.lasting(because))
    return [*sentences, *words.left_out(because)]


def _name(object_: str) -> str:
    return object_.removeprefix(FEATURE)


def _is_back(because: Because) -> bool:
    ratio = because["ratio"]
    return ratio is not None and ratio >= because["thresholds_in_force"]["clear"]


def narrower_line(_: str, because: Because) -> str:
    """Return the line of `breadth`."""
    used = _features(because["used"])
    if _is_wide(because):
        return f"{used} in use again"
    return f"{used} in use, {quantity(because['usual'])} are usual"


def narrower(_: str, because: Because) -> list[str]:
    """Return the sentences of `breadth`."""
    limits, months = because["thresholds_in_force"], _months(because)
    on = words.day(because["window"]["to"])
    verb = "was" if because["used"] == 1 else "were"
    sentences = [
        f"{capital(_features(because['used']))} {verb} used in the 28 days to {on}; "
        f"{quantity(because['usual'])} are usual, by the months before{months}."
    ]
    if not _is_wide(because):
        most, days = quantity(because["most_of_late"]), counted(limits["days"], "day")
        sentences.append(f"For {days} it has been {most} at most.")
        gone = [
            f"{one['feature']} (last on {words.day(one['last_used'])})"
            for one in because.get("lost", ())
        ]
        if gone:
            sentences.append(f"Used no longer: {listed(gone)}.")
    return sentences


def _features(number: float) -> str:
    return counted(round(number), "core feature")


def _months(because: Because) -> str:
    known = [quantity(number) for number in because["by_month"] if number is not None]
    return f" ({', '.join(known)})"


def _is_wide(because: Because) -> bool:
    limits = because["thresholds_in_force"]
    return bool(because["used"] > because["usual"] - limits["fewer"])
