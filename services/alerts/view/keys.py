"""What stands under which key of Redis."""

from dataclasses import dataclass
from typing import Literal

Shelf = Literal["open", "resolved", "accounts"]


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one deployment; each begins with `<prefix>view:`.

    Args:
        prefix: The deployment's prefix, such as `ebbwatch.`.
    """

    prefix: str

    @property
    def stream(self) -> str:
        """Stream: the live messages of all partitions."""
        return f"{self.prefix}view:stream"

    def answer(self, action: str) -> str:
        """Hash, by account: the verdict on an action of this id; for seven days."""
        return f"{self.prefix}view:answer:{action}"

    def part(self, partition: int) -> "PartKeys":
        """Return the names of the keys of one partition."""
        return PartKeys(f"{self.prefix}view:{partition}:")


@dataclass(frozen=True, slots=True)
class PartKeys:
    """Names of the keys of one partition.

    Args:
        root: What all of them begin with.
    """

    root: str

    @property
    def marker(self) -> str:
        """Hash: who owns the partition, and how far it is written.

        `epoch`: the owner · `seq`: its newest call · `run`: the Redis in which it was claimed ·
        `life`: changes when all was lost, or was older than it had been · `complete`: 1 once
        nothing is missing · `version`: grows with every change of a shelf · `stamp`, `appended`:
        the newest record of the log that is in it · `as_of`, `written`: seconds since 1970 ·
        `made`: partition count and shape.
        """
        return f"{self.root}marker"

    def shelf(self, name: Shelf) -> str:
        """Hash: by account, its case as lists show it, or its summary."""
        return f"{self.root}{name}"

    def moved(self, name: Shelf) -> str:
        """Sorted set: accounts by the version in which they changed or left the shelf last."""
        return f"{self.root}{name}:moved"

    @property
    def cased(self) -> str:
        """Set: accounts that have a case."""
        return f"{self.root}cased"

    @property
    def known(self) -> str:
        """Set: accounts that have a summary, or days."""
        return f"{self.root}known"

    @property
    def where(self) -> str:
        """Hash: by alert id, its member of `fired` and `firing`."""
        return f"{self.root}where"

    @property
    def fired(self) -> str:
        """Sorted set, by text: all alerts, `<microseconds><alert id>0x1f<account>`."""
        return f"{self.root}fired"

    @property
    def firing(self) -> str:
        """Sorted set, by text: the alerts that are open."""
        return f"{self.root}firing"

    def alerts(self, account: str) -> str:
        """Hash: by alert id, the account's alerts with their evidence."""
        return f"{self.root}alerts:{account}"

    def timeline(self, account: str) -> str:
        """Sorted set, by number: the case's timeline."""
        return f"{self.root}timeline:{account}"

    def days(self, account: str) -> str:
        """Hash: by month, the account's daily series."""
        return f"{self.root}days:{account}"

    def left_out(self, account: str) -> str:
        """Hash: by month, the days that are left out of the account's judgement."""
        return f"{self.root}left_out:{account}"


def place(fired_us: int, alert_id: str) -> str:
    """Return where an alert stands among all, by time; also the cursor of a list of alerts.

    >>> place(1_778_810_400_000_000, "0b0f")
    '017788104000000000b0f'
    """
    return f"{fired_us:017d}{alert_id}"
