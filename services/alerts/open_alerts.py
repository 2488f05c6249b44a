"""What the alert log says now: one standing per alert, open or cleared. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from schemas.alerts import SEVERITIES, Alert, AlertCleared


@dataclass(frozen=True, slots=True)
class Standing:
    """One alert as its records leave it.

    Attributes:
        first: The oldest record known, in which it was raised unless the log no longer holds that.
        latest: The newest record that says how bad it is.
        cleared: The record that ended it, or None while it is open.
    """

    first: Alert
    latest: Alert
    cleared: AlertCleared | None = None

    @property
    def open(self) -> bool:
        """Whether somebody still has to act."""
        return self.cleared is None

    def take(self, record: Alert) -> "Standing":
        """Return the standing after one more record of the alert."""
        if isinstance(record, AlertCleared):
            return replace(self, cleared=record)
        return replace(self, latest=record, cleared=None)


def fold(records: Iterable[Alert]) -> dict[str, Standing]:
    """Return the standing of every alert, by its id.

    Args:
        records: Records of the alert log; those of one account in the order of the log, accounts
            mixed as they come. A record that comes twice changes nothing.
    """
    standings: dict[str, Standing] = {}
    for record in records:
        known = standings.get(record.alert_id)
        if known is None:
            cleared = record if isinstance(record, AlertCleared) else None
            standings[record.alert_id] = Standing(record, record, cleared)
        else:
            standings[record.alert_id] = known.take(record)
    return standings


def ranked(standings: Iterable[Standing]) -> list[Standing]:
    """Return standings as a person should see them: the worst first, of equals the newest."""
    newest = sorted(
        standings, key=lambda one: (one.first.fired_at, one.first.alert_id), reverse=True
    )
    return sorted(newest, key=lambda one: -SEVERITIES.index(one.latest.severity))
