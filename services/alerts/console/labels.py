"""What the keys of evidence are called on a page, what they mean, and how each is told. Pure."""

from collections.abc import Callable
from typing import Final, NamedTuple

from services.alerts.console import figures
from services.alerts.console.figures import Evidence, Tell, many


def _any(_: Evidence) -> bool:
    return True


def _kind(*kinds: str) -> Callable[[Evidence], bool]:
    return lambda of: of.kind in kinds


def _with(*keys: str) -> Callable[[Evidence], bool]:
    return lambda of: any(key in of.because for key in keys)


def _saying(key: str, value: object) -> Callable[[Evidence], bool]:
    return lambda of: of.because.get(key) == value


class Row(NamedTuple):
    """A figure of an evidence.

    Attributes:
        key: In the evidence.
        name: What a person calls it.
        tell: Tells it.
        note: What it means, where the name does not say it.
        of: In which evidence the key means that.
    """

    key: str
    name: str
    tell: Tell
    note: str = ""
    of: Callable[[Evidence], bool] = _any


_SEATS: Final = _kind("seat_utilisation", "seat_expansion")
_SPIKE: Final = _kind("ticket_spike", "spike")
_GREW: Final = _kind("expansion")
_ALL: Final = _saying("peer_scope", "company")

NUMBERS: Final[tuple[Row, ...]] = (
    # What was seen, and what was usual.
    Row("observed", "Observed", figures.amount, "in the window"),
    Row("expected", "Usual", figures.amount, "in such a week, for this customer", _SPIKE),
    Row("expected", "Usual", figures.amount, "for these weekdays, of this customer"),
    Row("ratio", "Seats in use", figures.share, "of all, by the mean over the window", _SEATS),
    Row("ratio", "Against usual", figures.times, "what is usual", _SPIKE),
    Row("ratio", "Change", figures.change, "observed against usual"),
    Row("ratio_28", "Change in 28 days", figures.other_window, "where the rule looked at fewer"),
    Row(
        "ratio_interval90", "90 % range", figures.interval,
        "where the true change lies, nine times of ten",
    ),
    Row("ratio_first_fortnight", "First fortnight", figures.change, "of the window"),
    Row("ratio_last_fortnight", "Last fortnight", figures.change, "of the window"),
    Row("ratio_last_week", "Last week", figures.change, "of the window"),
    Row("fall", "Change", figures.loss, "along the line through the weeks"),
    Row("first_level", "Line begins at", figures.share, "of the half-year's level"),
    Row("last_level", "Line ends at", figures.share, "of the half-year's level"),
    Row("weeks_used", "Weeks counted", figures.out_of("weeks", "week")),
    Row("account_ratio", "All usage", figures.change, "of this customer, taken into account"),
    Row("expected_alone", "Usual otherwise", figures.amount, "had all usage stayed as it was"),
    Row("ratio_alone", "Change otherwise", figures.change, "against that"),
    # Seats.
    Row("people", "Active people", many("person", "people"), "in four weeks, mean of the window"),
    Row("people_now", "Active now", many("person", "people"), "in four weeks, at its end"),
    Row("seats", "Seats", many("seat")),
    Row("seats_since", "Seats since", figures.day),
    Row("idle", "Empty seats", many("seat")),
    Row("people_that_fire", "Reported from", figures.seats_asked),
    # Core features.
    Row("used", "In use", many("core feature"), "in the last 28 days"),
    Row("used_since", "Used since", figures.day, "the first day on which a use counts"),
    Row("most_of_late", "Most of late", many("core feature"), "on any of the days judged"),
    Row("usual", "Usual", many("core feature"), "the median of the months before"),
    Row("by_month", "Months before", figures.numbers, "core features, the oldest month first"),
    Row("lost", "Used no longer", figures.features_gone),
    # Tickets.
    Row("once_in_weeks", "So many come", figures.rarity, "in this customer's ordinary weeks"),
    Row("reported_once_in_weeks", "Reported from", figures.asked_rarity),
    Row("days_observed", "Days with any", many("day"), "in the window"),
    Row("calm_count", "Over at", figures.amount, "a week, or fewer"),
    # Silence.
    Row("days_silent", "Days silent", many("day"), "of those that count"),
    Row("calendar_days_silent", "Calendar days silent", many("day")),
    Row("limit", "Days allowed", many("day"), "of silence, by the rule", _kind("policy_silence")),
    Row(
        "limit", "Days allowed", many("day"), "of silence; this customer's rhythm is not known",
        lambda of: of.because.get("rhythm_known") is False,
    ),
    Row("limit", "Days allowed", many("day"), "of silence, for what this customer's rhythm was"),
    Row("last_active", "Last active", figures.day),
    Row("active_days_of_56", "Active before", figures.out_of(56, "day"), "up to that day"),
    Row("active_days_of_last_14", "Active of late", figures.out_of(14, "day")),
    Row("active_weeks", "Active weeks", figures.out_of("weeks", "week"), "up to that day"),
    Row("active_days", "Active in all", many("day"), "or more, in this customer's life"),
    Row("p_alive", "Likely to return", figures.share, "of customers like it"),
    # Many customers at once.
    Row("accounts_told", "Customers", many("customer"), "with enough usage to tell"),
    Row("accounts_fallen", "Low ones", many("customer")),
    Row("share", "Share that is low", figures.share),
    Row("ordinary_share", "Ordinary share", figures.share, "by the weeks before"),
    Row("common_share", "Fallen together", figures.share, "of those that are not low anyway"),
    Row("median_ratio", "Median change", figures.change, "of all of them, in 28 days"),
    Row("median_ratio_fallen", "Of the low ones", figures.change, "their median, in 28 days"),
    Row("peer_ratio", "All customers", figures.change, "their median change in 28 days", _ALL),
    Row("peer_ratio", "Similar customers", figures.change, "their median change in 28 days"),
    Row("peer_accounts", "Compared with them", many("customer"), of=_ALL),
    Row("peer_accounts", "Compared with them", many("similar customer")),
    Row("incident", "Fell with others", figures.told_elsewhere, "and is told as one incident"),
    # Payments, contacts, renewals.
    Row("payment", "Payment", figures.value),
    Row("failures", "Failed", many("time")),
    Row("failed_at", "Failed on", figures.value),
    Row("amount", "Amount", figures.money),
    Row("method", "Payment method", figures.value),
    Row("next_retry_on", "Next try", figures.day),
    Row("expires_on", "Expires on", figures.day),
    Row("replaced", "Replaced", figures.value),
    Row("person", "Contact", figures.value),
    Row("role", "Role", figures.value),
    Row("status", "Status", figures.value),
    Row("left_on", "Left on", figures.day, of=lambda of: of.because.get("status") == "left"),
    Row("left_on", "Since", figures.day),
    Row("successor", "Successor", figures.value),
    Row("usage_days_of_28", "Active before", figures.out_of(28, "day")),
    Row("usage_share", "Share of usage", figures.share, "of everybody's days of usage"),
    Row("touch_share", "Share of contact", figures.share, "of everybody's days of contact"),
    Row("admins", "Administrators", figures.value),
    Row("removed", "Last one", figures.value),
    Row("changed_at", "Changed on", figures.day),
    Row("renewal_on", "Renewal", figures.day),
    Row("days_left", "Days left", many("day"), "from the judged day"),
    Row("checklist", "Checklist", figures.value),
    Row("last_two_way_touch", "Last contact", figures.day, "in both directions"),
    # When, against what, and how small a change would be told.
    Row("since_estimate", "Since about", figures.day),
    Row("since", "Since about", figures.day),
    Row("window", "Window", figures.span),
    Row("before", "Compared with", figures.span, "the median of these weeks is usual"),
    Row("baseline", "Compared with", figures.span, "what is usual in a week", _SPIKE),
    Row("baseline", "Weekdays by", figures.span, "half a year", _with("before", "slope")),
    Row(
        "baseline", "Compared with", figures.span,
        "half a year, up to four weeks before the judged day",
    ),
    Row("drift_sd", "Natural swings", figures.swing, "of this customer's four-week level"),
    Row("smallest_detectable_drop", "Smallest fall told", figures.share, "less is seldom told"),
    Row("smallest_detectable_rise", "Smallest rise told", figures.share, "less is seldom told"),
    Row("smallest_detectable_spike", "Smallest spike told", figures.amount, "in a week, at once"),
    Row("smallest_detectable_loss", "Smallest loss told", many("core feature")),
    Row("probability", "Certainty", figures.certainty, "that the true level has risen", _GREW),
    Row(
        "probability", "Certainty", figures.certainty, "that the true level has fallen",
        lambda of: not _SPIKE(of),
    ),
    Row("features", "Fell most", figures.features_fallen, "of all features, in 28 days"),
    Row("metrics", "Metrics", figures.metrics),
    Row("history", "Before", figures.before, "alerts of this rule for this customer"),
)  # fmt: skip
"""The telling ones first; of a key that several rows have the first that fits (detection.md §7)."""

STATISTICS: Final[tuple[Row, ...]] = (
    Row("probability", "Chance", figures.chance, "of so many in an ordinary week", _SPIKE),
    Row("days_expected", "Usual days", many("day"), "with any, in such a week"),
    Row("days_probability", "Chance of the days", figures.chance, "in an ordinary week"),
    Row("days_once_in_weeks", "So many days come", figures.rarity),
    Row("days_reported_once_in_weeks", "Days reported from", figures.asked_rarity),
    Row("evidence", "Evidence", figures.deviations, "from chance"),
    Row("lasting", "Lasting", figures.logs, "by so much it beats a dip of two weeks"),
    Row("dispersion", "Dispersion", figures.times, "weekly variance against plain chance"),
    Row("days_dispersion", "Dispersion of days", figures.times, "the same of days with any"),
    Row("slope", "Slope", figures.share, "of the half-year's level, each week"),
    Row("spread", "Spread", figures.swing, "of the line's two ends, by chance and drift"),
    Row("median_level", "Level before", figures.share, "of the half-year's level"),
    Row("q", "Rhythm", figures.share, "share of active days in the 56 before the silence"),
    Row("masked_days_count", "Left-out days counted", figures.value),
)
"""The same of what stands behind "For statisticians"."""

ELSEWHERE: Final = frozenset(
    {
        "headline", "text", "title", "play", "weekly", "usual_week", "masked_days",
        "thresholds_in_force", "computed_from", "weeks", "weeks_before", "week_levels",
        "silent_too_long", "rhythm_known", "missing", "currency", "lead_days", "lead_days_left",
        "core_features", "peer_scope", "primitive", "usual_when_raised",
    }
)  # fmt: skip
"""Keys that stand elsewhere on the page, that others are told from, or that the verdict says. The
days from a fall to the call that cancels are an average, and nobody's date."""
