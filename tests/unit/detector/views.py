"""What the tests of a partition look at."""

from schemas.envelope import Entry
from services.detector.partition import Partition
from tests import builders as a
from tests import playing


def sums(partition: Partition, account: str = "acme", metric: str = "usage") -> dict[int, float]:
    """Units by day."""
    line = partition.accounts[f"account:{account}"].facts.buckets.lines[metric]
    values = ((line.first + n - a.START, value / 1000) for n, value in enumerate(line.values))
    return {day: value for day, value in values if value}


def counts(partition: Partition, *what: str) -> dict[tuple[str, ...], int]:
    """What was counted under some names."""
    return {key: n for key, n in partition.counts.items() if key[0] in what}


def began(*entries: Entry) -> playing.Log:
    """A log whose clock stands at 03:00 of day 10; then some entries in one message, at noon."""
    return playing.Log().add(a.tick(10, 3)).add(*entries, appended=a.at(10, 12))
