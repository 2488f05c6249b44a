"""Accounts of a made-up company, as records: alerts with real evidence, and what people did."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from schemas.accounts import AccountDays, AccountSummary, Usual
from schemas.alerts import SEVERITIES, AccountNow, AlertRaised, Severity
from schemas.config import PersonRecord
from services.detector import explanation
from services.detector.primitives.day import SWING_WEEKS, Series
from services.detector.primitives.drop import Drop, DropParams
from services.detector.primitives.record import habits
from services.detector.primitives.silence import Silence, SilenceParams
from services.detector.primitives.stop import Stop, StopParams

WIDTH = 210
EPOCH = date(1970, 1, 1)
WEEK = np.array([1.12, 1.16, 1.14, 1.1, 0.98, 0.24, 0.26])
"""Share of an ordinary day, Monday first."""

PEOPLE = {
    "ana": PersonRecord(id="ana", name="Ana Lima", email="ana@example.com"),
    "ben": PersonRecord(id="ben", name="Ben Carter", email="ben@example.com"),
    "chloe": PersonRecord(id="chloe", name="Chloé Martin", email="chloe@example.com"),
    "dmitri": PersonRecord(id="dmitri", name="Dmitri Novak", email="dmitri@example.com"),
    "kim": PersonRecord(id="kim", name="Kim Larsen", email="kim@example.com"),
}


@dataclass(frozen=True, slots=True)
class Story:
    """One account and how its usage goes.

    Attributes:
        id: Of the account.
        name: Of the account.
        arr: Major units a year.
        renews: Days from now.
        level: Units on an ordinary day.
        fell: So many days ago, and to which share.
        rule: What is raised about it: `drop`, `stop`, `silence`, or nothing.
        raised: Days before yesterday.
        mark: `past`: of imported history; `shadow`; or nothing.
    """

    id: str
    name: str
    owner: str | None
    segment: str
    country: str
    arr: int
    renews: int
    metric: str
    level: float
    fell: tuple[int, float] | None
    rule: str
    raised: int
    mark: str

    def with_name(self, id: str, name: str) -> "Story":
        """The same of another account."""
        return replace(self, id=id, name=name)


TABLE = """\
acct_northwind  |Northwind Logistics|ana   |large|NL|184000|32 |api_calls|320|33:.43|drop   |1 |
acct_kestrel    |Kestrel Media      |ben   |large|GB|240000|118|api_calls|145|8:0   |stop   |0 |
acct_halden     |Halden Manufacturing|chloe |mid  |DE|96000 |18 |exports  |44 |      |       |0 |
acct_brightwater|Brightwater Clinics|ana   |mid  |US|61500 |74 |sessions |18 |31:0  |silence|2 |
acct_tessellate |Tessellate         |dmitri|large|US|312000|203|api_calls|540|40:.72|drop   |4 |
acct_orchid     |Orchid Hotels Group|chloe |mid  |FR|48400 |41 |checkins |88 |34:.64|drop   |3 |
acct_fjord      |Fjord Energi       |ben   |mid  |NO|72000 |27 |reports  |26 |      |       |1 |
acct_lumen      |Lumen & Pike       |ana   |small|IE|14400 |12 |sessions |36 |35:.55|drop   |6 |
acct_riverbend  |Riverbend Foods    |      |small|US|8900  |160|orders   |61 |36:.7 |drop   |9 |
acct_castor     |Castor Robotics    |dmitri|large|SE|129000|-6 |api_calls|210|44:.66|drop   |12|
acct_pelican    |Pelican Freight    |ben   |mid  |ES|55000 |88 |api_calls|95 |38:.6 |drop   |15|
acct_aurora     |Aurora Schools     |kim   |small|CA|11200 |240|sessions |51 |50:.62|drop   |19|past
acct_sable      |Sable Insurance    |chloe |large|CH|205000|310|api_calls|410|15:.84|       |0 |
acct_juniper    |Juniper Legal      |ana   |mid  |GB|39000 |55 |exports  |33 |33:.7 |drop|5|shadow
"""
"""The fields of `Story`, one account a line."""


def _story(line: str) -> Story:
    cells = [cell.strip() for cell in line.split("|")]
    id, name, owner, segment, country, arr, renews, metric, level, fell, rule, raised, mark = cells
    ago, _, share = fell.partition(":")
    return Story(
        id=id,
        name=name,
        owner=owner or None,
        segment={"large": "enterprise", "mid": "mid-market", "small": "smb"}[segment],
        country=country,
        arr=int(arr),
        renews=int(renews),
        metric=metric,
        level=float(level),
        fell=(int(ago), float(share)) if fell else None,
        rule=rule,
        raised=int(raised),
        mark=mark,
    )


STORIES = tuple(_story(line) for line in TABLE.splitlines())

TITLES = {
    "drop": ("Usage fell", "check-integration"),
    "stop": ("Usage stopped", "check-integration"),
    "silence": ("The customer has gone silent", "reach-out"),
}
JUDGES: dict[str, Any] = {
    "drop": (Drop, DropParams(metric="@meaningful")),
    "stop": (Stop, StopParams(metric="@meaningful")),
    "silence": (Silence, SilenceParams(metric="@meaningful")),
}


def counts(story: Story, today: date) -> list[float]:
    """Daily units of an account, the last one of yesterday."""
    rng = np.random.default_rng(abs(hash_of(story.id)) % 2**32)
    first = today - timedelta(days=WIDTH)
    weekday = WEEK[(first.weekday() + np.arange(WIDTH)) % 7]
    left = np.ones(WIDTH)
    if story.fell:
        ago, share = story.fell
        left[WIDTH - ago :] = share
    noise = rng.gamma(60, 1 / 60, WIDTH)
    return [float(one) for one in rng.poisson(story.level * weekday * left * noise)]


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return uuid5(NAMESPACE_URL, text).int


def alert_of(story: Story, today: date) -> AlertRaised | None:
    """What its rule raises for it, with the evidence of the real primitive; None if nothing."""
    if not story.rule:
        return None
    daily = counts(story, today)
    day = today - timedelta(days=1 + story.raised)
    daily = daily[: WIDTH - story.raised]
    primitive, params = JUDGES[story.rule]
    masked = [len(daily) - 1 - 12] if story.segment == "enterprise" else []
    series = _series(daily, (day - EPOCH).days, masked)
    verdict = primitive.judge(series, params)
    assert verdict.fires[0], f"{story.id} raises nothing"
    because = _evidence(verdict.because(0), daily, day, masked, story.metric)
    severity = SEVERITIES[int(verdict.severity[0])]
    return raised(story, today, story.rule, severity, because, day)


def facts_of(story: Story, today: date) -> list[AlertRaised]:
    """Alerts that are not about daily values."""
    day = today - timedelta(days=1 + story.raised)
    if story.id == "acct_halden":
        failed = [day - timedelta(days=4), day]
        payment = {
            "payment": "inv-20871",
            "amount": 800_000,
            "currency": "EUR",
            "method": "card",
            "failures": 2,
            "failed_at": [one.isoformat() for one in failed],
            "next_retry_on": (day + timedelta(days=3)).isoformat(),
            "thresholds_in_force": {"count": 2, "days": 14},
        }
        expiring = {
            "method": "card-4411",
            "expires_on": (day + timedelta(days=9)).isoformat(),
            "days_left": 9,
            "replaced": False,
            "thresholds_in_force": {"days": 30, "escalate": [14, 7]},
        }
        return [
            raised(story, today, "payment-failed", "high", payment, day, "inv-20871", "change"),
            raised(story, today, "method", "medium", expiring, day, "card-4411", "deadline"),
        ]
    if story.id == "acct_fjord":
        left = {
            "successor": None,
            "role": "champion",
            "left_on": (day - timedelta(days=2)).isoformat(),
            "status": "left",
            "usage_share": 0.31,
            "touch_share": 0.64,
            "usage_days_of_28": 17,
            "renewal_on": (today + timedelta(days=story.renews)).isoformat(),
            "thresholds_in_force": {"share": 0.2},
        }
        return [raised(story, today, "contact-left", "high", left, day, "ingrid.berg", "change")]
    return []


def raised(
    story: Story,
    today: date,
    rule: str,
    severity: Severity,
    because: dict[str, Any],
    day: date,
    object_: str = "",
    kind: str = "",
) -> AlertRaised:
    """One alert's record."""
    kind = kind or ("silence" if rule == "silence" else "usage_drop")
    object_ = object_ or ("activity" if rule == "silence" else story.metric)
    title, play = TITLES.get(rule, _FACT_TITLES.get(rule, (rule, "reach-out")))
    told = because | {"title": title, "play": play}
    told["headline"] = explanation.headline(kind, object_, because)
    told["text"] = explanation.explain(kind, object_, because)
    return AlertRaised(
        alert_id=str(uuid5(NAMESPACE_URL, f"{story.id}/{rule}/{object_}")),
        account=story.id,
        rule=_RULES.get(rule, rule),
        rule_set=3,
        kind=kind,
        object=object_,
        day=day,
        fired_at=datetime(day.year, day.month, day.day, 2, 0, tzinfo=UTC) + timedelta(days=1),
        severity=severity,
        category="early_signals",
        churn_kind="voluntary",
        historic=story.mark == "past",
        shadow=story.mark == "shadow",
        account_now=AccountNow(
            stamp=10,
            owner=story.owner,
            name=story.name,
            arr=story.arr * 100,
            currency="EUR",
            renewal_on=today + timedelta(days=story.renews),
        ),
        because=told,
    )


def summary_of(story: Story, now: datetime) -> AccountSummary:
    """What `accounts.v1` says of an account."""
    return AccountSummary(
        account=story.id,
        stamp=20,
        name=story.name,
        owner=story.owner,
        segment=story.segment,
        country=story.country,
        timezone="UTC",
        arr=story.arr * 100,
        currency="EUR",
        renewal_on=now.date() + timedelta(days=story.renews),
        seats=round(story.level / 2) + 5,
        last_event_at=(now - timedelta(minutes=abs(hash_of(story.name)) % 300)).replace(
            minute=0, second=0, microsecond=0
        ),
        states={"@people": "ok", story.metric: "ok", "exports": "too_little_volume"},
        least={"@people": 27, story.metric: 22, "exports": 71},
        usual={story.metric: usual_of(story, now.date())},
        watch=[story.metric] if story.fell and not story.rule else [],
        open_alerts=1 if story.rule else 0,
    )


def usual_of(story: Story, today: date) -> Usual:
    """What is usual of its metric, as judging finds it."""
    daily = counts(story, today)
    day = (today - timedelta(days=1) - EPOCH).days
    *week, dispersion, swing = habits(_series(daily, day, [])).tolist()[0]
    return Usual([one / 1000 for one in week], dispersion / 1000, swing / 1000)


def months_of(story: Story, today: date) -> Iterable[AccountDays]:
    """The daily series of `accounts.v1`."""
    months: dict[str, list[float]] = {}
    rest = today - timedelta(days=1 + story.raised + 12)
    daily = counts(story, today)
    first = today - timedelta(days=WIDTH)
    for n, value in enumerate(daily):
        on = first + timedelta(days=n)
        month = months.setdefault(on.isoformat()[:7], [0.0] * (on.day - 1))
        month.append(value)
    for month_, values in months.items():
        few = [float(value > story.level) for value in values]
        metrics = {"exports": few, story.metric: values}
        rests = story.segment == "enterprise" and month_ == rest.isoformat()[:7]
        left_out = {"": {"public holiday": [rest.day]}} if rests else {}
        yield AccountDays(account=story.id, month=month_, metrics=metrics, left_out=left_out)


def _series(daily: Sequence[float], day: int, masked: Sequence[int]) -> Series:
    mask = np.zeros((1, len(daily)), dtype=bool)
    mask[0, list(masked)] = True
    return Series(
        day=day,
        counts=np.array([daily]),
        masked=mask,
        known=np.array([len(daily)]),
        swings=np.full((1, SWING_WEEKS), np.nan),
        active=np.array([len(daily)]),
    )


def _evidence(
    because: dict[str, Any], daily: Sequence[float], day: date, masked: Sequence[int], metric: str
) -> dict[str, Any]:
    """Add to a primitive's evidence what judging adds."""
    first = day - timedelta(days=len(daily) - 1)
    days = [{"date": one, "reason": "public holiday"} for one in because.get("masked_days", ())]
    computed_from = {
        "from": first.isoformat(),
        "known": len(daily),
        "active": len(daily),
        "counts": list(daily),
        "masked": list(masked),
        "swings": [],
    }
    return because | {"metrics": [metric], "masked_days": days, "computed_from": computed_from}


_RULES = {
    "drop": "usage-drop",
    "stop": "usage-stopped",
    "silence": "silence",
    "method": "payment-method-expires",
}
_FACT_TITLES = {
    "payment-failed": ("A payment failed twice", "fix-payment"),
    "method": ("A payment method expires", "renew-payment-method"),
    "contact-left": ("A contact left", "find-successor"),
}
