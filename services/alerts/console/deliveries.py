"""Who is told by what: the channels, how they do, and the newest deliveries."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from fastapi import APIRouter, Request, Response

from services.alerts.channels import Channel
from services.alerts.console.site import Site
from services.alerts.shown import CaseShown, Moment

CASES: Final = 20
"""Cases, those changed last, whose deliveries are looked at."""
LINES: Final = 40


@dataclass(frozen=True, slots=True)
class Health:
    """A channel as a person sees it; its address may be a secret, so only the host is told.

    Attributes:
        state: How its endpoint does.
        since: Since when it is so, if that is known.
        why: In words, with the remedy; empty where all is well.
    """

    name: str
    kind: str
    host: str
    state: Literal["well", "failing", "disabled", "unusable"]
    since: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt of a delivery, and whose alert it was about."""

    case: CaseShown
    moment: Moment


def delivery_routes(site: Site, router: APIRouter) -> None:
    """Add the page of deliveries to a router.

    Args:
        site: Renders it.
        router: Takes the routes.
    """

    @router.get("/deliveries")
    async def deliveries(request: Request) -> Response:
        channels = sorted(site.directory.channels.values(), key=lambda one: one.name)
        return await site.page(
            request,
            "deliveries.html",
            channels=[health(one) for one in channels],
            signal_manager=site.directory.routing.signal_manager,
            lines=await _newest(site),
        )


def health(channel: Channel) -> Health:
    """Return how a channel does, in words.

    Args:
        channel: As the directory has it.
    """
    known = channel.health
    one = Health(channel.name, channel.kind, channel.host, "well", None, "")
    if channel.fault:
        return Health(one.name, one.kind, one.host, "unusable", None, channel.fault)
    if known.disabled_at is not None:
        why = {
            "gone": "its endpoint said that it is gone for good (410)",
            "failing": "it has failed for five days",
        }.get(known.reason or "", "it was switched off")
        remedy = (
            f"mend it, then: ebbwatch channels enable {channel.name}; what comes waits three days"
        )
        return Health(
            one.name, one.kind, one.host, "disabled", known.disabled_at, f"{why}; {remedy}"
        )
    if known.failing_since is not None:
        why = "no attempt has succeeded since; it is tried again by itself, for five days"
        return Health(one.name, one.kind, one.host, "failing", known.failing_since, why)
    return one


async def _newest(site: Site) -> list[Line]:
    """Return the newest deliveries of the cases that changed last."""
    cases = [*await site.view.cases(), *await site.view.cases(resolved=True)]
    latest = sorted(cases, key=lambda one: one.changed_at, reverse=True)[:CASES]
    pages = await asyncio.gather(*(site.view.account(one.account) for one in latest))
    lines = [
        Line(case, moment)
        for case, page in zip(latest, pages, strict=True)
        if page is not None
        for moment in page.timeline
        if moment.type.startswith("notice.")
    ]
    return sorted(lines, key=lambda one: one.moment.at, reverse=True)[:LINES]
