"""The view as a whole: one per process."""

from collections.abc import Callable

from services.alerts.view.keys import Keys
from services.alerts.view.link import Connect, Link, connect, connect_waiting
from services.alerts.view.reader import Reader
from services.alerts.view.stream import Stream
from services.alerts.view.writer import Writer


class View(Writer, Reader, Stream):
    """What Redis holds: written by the owners of partitions, read by everybody.

    A Redis that does not answer is `ViewAway` after a second, in every method; a method ends
    within about two, where it takes many calls (the first `cases` and `accounts`, `write` of much
    that waited, each step of `rebuild`) within ten, and `changes` after the time that it may wait.
    Nothing is tried again by itself. Safe between tasks of one event loop.

    One Redis or Valkey from 7.0 on, no cluster, with scripts (`EVALSHA`), and with
    `maxmemory-policy noeviction`: what is evicted would be missing without a word.

    Args:
        url: Where Redis is.
        prefix: Prefix of the deployment; all keys begin with `<prefix>view:`.
        partitions: Partition count of the deployment, >= 1.
        stale_seconds: A partition that was not written for so long is stale, > 0.
        now: Seconds since 1970.
        connect: Makes the client for calls that are answered at once.
        connect_waiting: Makes the client for calls that wait for a message.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        partitions: int,
        stale_seconds: float,
        now: Callable[[], float],
        connect: Connect = connect,
        connect_waiting: Connect = connect_waiting,
    ) -> None:
        link, keys = Link(url, connect), Keys(prefix)
        waiting = Link(url, connect_waiting)
        Writer.__init__(self, link, keys, partitions, now)
        Reader.__init__(self, link, keys, partitions, stale_seconds, now)
        Stream.__init__(self, link, waiting, keys)
        self._links = (link, waiting)

    async def start(self) -> None:
        """Connect to nothing: a Redis that is away is no reason not to start."""

    async def close(self) -> None:
        """Close all connections."""
        for link in self._links:
            await link.close()
