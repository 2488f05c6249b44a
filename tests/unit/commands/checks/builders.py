"""What the tests of several checks share: an instant, a group that works, what is not well."""

from collections.abc import Iterable
from datetime import UTC, datetime

from services.commands.checks.finding import Finding
from services.commands.kafka_facts import Group

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
NOW = NOON.timestamp()
NOW_US = round(NOW * 1e6)
SECOND_US, DAY = 1_000_000, 86_400
WORKING = Group("Stable", 2)


def wrong(found: Iterable[Finding]) -> list[tuple[str, str, str]]:
    """Return what is not well, without its remedy."""
    return [each[:3] for each in found if each.verdict != "ok"]
