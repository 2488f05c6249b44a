"""What comes in: inputs, refusals, API keys, the mode of the deployment."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from schemas.config import AWAITED, KEYS_PREFIX, MODE_KEY, ApiKey, Mode, ModeRecord
from services.commands.checks.finding import Finding, fail, ok, some, span, warn
from services.commands.input_state import InputState
from services.commands.kafka_facts import Group
from services.commands.rejected import opened
from services.settings import ServiceSettings
from services.wording import counted

REFUSED_SPAN = timedelta(hours=1)
BEHIND_SECONDS = 300.0


def mode_of(config: Mapping[str, bytes]) -> Mode:
    """Return the deployment's mode."""
    raw = config.get(MODE_KEY)
    return "new" if raw is None else msgspec.json.decode(raw, type=ModeRecord).mode


def mode(config: Mapping[str, bytes]) -> Finding:
    """Return what is to be said of the mode."""
    found = mode_of(config)
    if found == "live":
        return ok("mode", "live")
    text, _, remedy = AWAITED[found].partition("; ")
    return warn("mode", f"{found}: {text}", remedy)


def keys(config: Mapping[str, bytes]) -> Finding:
    """Return what is to be said of the API keys."""
    every = [
        msgspec.json.decode(raw, type=ApiKey)
        for key, raw in config.items()
        if key.startswith(KEYS_PREFIX)
    ]
    in_force = [key for key in every if key.revoked_at is None]
    if not in_force:
        remedy = "`ebbwatch keys create --source S` makes one; inputs need none"
        return warn("keys", "no API key is in force: nobody can send over HTTP", remedy)
    return ok("keys", f"{counted(len(in_force), 'API key')} in force")


def inputs(states: Sequence[InputState], group: Group, now: datetime) -> Iterator[Finding]:
    """Yield what is to be said of the inputs.

    Args:
        states: How they stand.
        group: The consumer group of ingest, which has members only where there are inputs.
        now: Aware UTC.
    """
    stopped = [one for one in states if one.fault]
    for one in stopped:
        yield fail("inputs", f"{one.name}: {one.fault}", one.remedy)
    if len(stopped) < len(states) and not group.members:
        yield fail("inputs", "nobody reads them", "start ingest: `ebbwatch serve ingest`")
    for one in states:
        if one.expired:
            text = f"{one.name}: {counted(one.expired, 'record')} expired before they were read"
            yield warn("inputs", text, "keep the topic longer, and ingest running")
        age = 0.0 if one.last is None else (now - one.last).total_seconds()
        if one.lag and not one.fault and age > BEHIND_SECONDS:
            text = f"{one.name}: {counted(one.lag, 'record')} wait, the newest {span(age)} old"
            yield warn("inputs", text, "look at ingest's log and /readyz")
    if states and not stopped and group.members:
        lags = [f"{one.name} {one.lag:,} behind" for one in states]
        yield ok("inputs", some(lags))
    elif not states:
        yield ok("inputs", "none is configured: events come over HTTP only")


async def refused(settings: ServiceSettings, now: datetime) -> Counter[str]:
    """Return how much was refused in the last hour, by stage and reason.

    Args:
        settings: Which deployment.
        now: Aware UTC.
    """
    counts: Counter[str] = Counter()
    async with opened(settings.kafka, settings.prefix, now - REFUSED_SPAN) as rejects:
        async for one in rejects.read():
            counts[f"{one.reject.stage} {one.reject.reason}"] += 1
    return counts


def judge_refused(counts: Counter[str]) -> Finding:
    """Return what is to be said of refusals."""
    if not counts:
        return ok("refusals", "none within the last hour")
    each = [f"{what} {number:,}" for what, number in counts.most_common()]
    text = f"{counts.total():,} within the last hour: {some(each)}"
    remedy = "`ebbwatch rejects list` shows them; once mended, `ebbwatch rejects replay`"
    return warn("refusals", text, remedy)
