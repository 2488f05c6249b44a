"""What the oracle keeps of one account: plain values, and how they are told."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from schemas.alerts import AccountNow, Alert, AlertCleared

Picture = dict[str, Any]
"""All that is kept of one case, as plain values."""

NAMESPACE: Final = UUID("8a7bb5d0-2f4e-5c1b-9c57-0d3e6a1f4b92")
"""Of a notice's id, which is the same for ever: receivers tell by it what they have got before."""


@dataclass
class Told:
    """One alert: its first record, its newest one that says how bad it is, and what ended it."""

    first: Alert
    newest: Alert
    since: int
    changed: int
    n: int
    seen: set[bytes]
    ended: AlertCleared | None = None
    ended_at: int | None = None
    verdicts: dict[str, str] = field(default_factory=dict)

    @property
    def records(self) -> tuple[Alert, Alert, AlertCleared | None]:
        return self.first, self.newest, self.ended

    @property
    def open(self) -> bool:
        return self.ended is None

    @property
    def counts(self) -> bool:
        return self.open and not self.newest.shadow


@dataclass
class News:
    """One notice; its targets are None until they are intended.

    A target is `[person, why, attempts, next attempt, end]`, by channel.
    """

    step: str
    alert: Alert
    caused: int
    generation: int
    n: int
    targets: dict[str, list[Any]] | None = None

    @property
    def ended(self) -> bool:
        return self.targets is not None and all(one[4] for one in self.targets.values())


@dataclass
class Dossier:
    """What stands of one account."""

    id: str
    state: str = "resolved"
    version: int = 0
    generation: int = 0
    severity: str = "info"
    opened_at: int = 0
    changed_at: int = 0
    by: str | None = None
    until: datetime | None = None
    outcome: str | None = None
    assignee: str | None = None
    handled: str | None = None
    told: bool = False
    account_now: AccountNow | None = None
    alerts: dict[str, Told] = field(default_factory=dict)
    answers: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    news: dict[str, News] = field(default_factory=dict)
    closed: dict[str, News] = field(default_factory=dict)
    lines: list[tuple[Any, ...]] = field(default_factory=list)

    def wake(self) -> None:
        """Open it: whatever a person did about its state is over."""
        self.state, self.version = "open", self.version + 1
        self.by = self.until = self.handled = None

    def open_anew(self, at: int) -> None:
        """Open it from nothing, or from resolved."""
        self.generation += 1
        self.opened_at, self.outcome, self.told = at, None, False
        self.wake()

    def tell(self, step: str, alert: Alert, n: int, at: int) -> None:
        """Begin a notice."""
        id = str(uuid5(NAMESPACE, f"{self.id}\x1f{n}\x1f{at}\x1f{step}"))
        self.news[id] = News(step, alert, at, self.generation, n)
        self.told = True

    def pending(self) -> list[Told]:
        """Return its alerts that somebody has to act on."""
        return [one for one in self.alerts.values() if one.counts]

    def picture(self) -> Picture:
        """Return all of it but what is closed."""
        own = {
            name: getattr(self, name)
            for name in Dossier.__dataclass_fields__
            if name not in {"id", "alerts", "news", "closed", "answers", "lines"}
        }
        return own | {
            "alerts": {
                id: (*one.records, one.since, one.changed, one.ended_at, one.n, one.verdicts)
                for id, one in self.alerts.items()
            },
            "answers": self.answers,
            "news": {
                id: (one.step, one.alert, one.caused, one.generation, one.n, one.targets)
                for id, one in self.news.items()
            },
            "lines": self.lines,
        }
