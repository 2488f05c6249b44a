"""Falls that many customers share, and how customers alike do, in words."""

from services.detector.explanation import words
from services.detector.explanation.words import Because, Ended
from services.detector.peers import COMPANY
from services.wording import counted, percent


def incident_line(_: str, because: Because, ended: Ended) -> str:
    """Return the line of an incident."""
    if words.is_over(ended, _is_over(because)):
        return "as many customers as usual are low again"
    return f"about {counted(_more(because), 'more customer')} than usual are low"


def incident(_: str, because: Because, ended: Ended) -> list[str]:
    """Return the sentences of an incident."""
    window, limits = because["window"], because["thresholds_in_force"]
    told = (
        f"Of {because['accounts_told']:,} customers with enough usage to tell, "
        f"{because['accounts_fallen']:,} ({percent(because['share'])}) were at or below "
        f"{percent(limits['fallen_ratio'])} of what is usual, {words.days(window)}; "
        f"{percent(because['ordinary_share'])} would be ordinary."
    )
    if words.is_over(ended, _is_over(because)):
        return [told]
    return [
        f"{told} That is about {counted(_more(because), 'customer')} more than usual.",
        f"Half of those that are low are at {percent(because['median_ratio_fallen'])} or less of "
        "their usual usage of four weeks.",
        f"So {percent(because['common_share'])} of those that are not low anyway have fallen since "
        f"about {words.day(because['since'])}: look for one cause. Until that is under "
        f"{percent(limits['clear'])} for a week, falls of single customers are reported only where "
        "they are much deeper.",
    ]


def peers(because: Because) -> list[str]:
    """Say how customers alike do, and of which incident a fall is a part, where that is known."""
    told = []
    ratio = because.get("peer_ratio")
    if ratio is not None:
        # A record of before the scope was kept does not say which: it was worded so.
        who = "All customers" if because.get("peer_scope") == COMPANY else "Similar customers"
        told.append(f"{who}: {words.signed(ratio - 1)} (median of {because['peer_accounts']:,}).")
    if "incident" in because:
        since = words.day(because["incident"]["since"])
        told.append(
            f"Many customers have fallen since about {since}: this is told as one incident."
        )
    return told


def _more(because: Because) -> int:
    """Return how many accounts are low beyond those that are low anyway."""
    ordinary: float = because["ordinary_share"] * because["accounts_told"]
    fallen: int = because["accounts_fallen"]
    return round(fallen - ordinary)


def _is_over(because: Because) -> bool:
    return bool(because["common_share"] < because["thresholds_in_force"]["clear"])
