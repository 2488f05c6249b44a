"""Accounts by id, found by the beginning of their id or of a word of their name."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.accounts import AccountSummary
from services.alerts.view.shelf import Shelf

WORDS: Final = 8
"""Words of a query that count."""

_BREAK: Final = "\x1f"
_summary = msgspec.json.Decoder(AccountSummary).decode
_parts = re.compile(r"\w+").findall


class _Named(msgspec.Struct):
    account: str
    name: str | None = None


_named = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True, slots=True)
class Found:
    """One account, as far as searching needs it: 100,000 of them take some 60 MB.

    Attributes:
        account: Its id.
        text: Its id and the words of its name, each after a break, without case.
        stored: Its summary as it stands in Redis.
    """

    account: str
    text: str
    stored: bytes

    @classmethod
    def read(cls, stored: bytes) -> "Found":
        """Read what stands in Redis."""
        named = _named(stored)
        name = (named.name or "").casefold()
        words = dict.fromkeys([named.account.casefold(), *name.split(), *_parts(name)])
        return cls(named.account, _BREAK + _BREAK.join(words), stored)


class Search:
    """Pages of accounts.

    Args:
        shelf: All accounts.
    """

    def __init__(self, shelf: Shelf[Found]) -> None:
        self._shelf = shelf
        self._sorted: list[Found] = []
        self._ids: list[str] = []
        self._changes = -1

    async def page(
        self, query: str, after: str | None, limit: int
    ) -> tuple[list[AccountSummary], str | None]:
        """Return accounts by id; see `Reader.accounts`."""
        await self._shelf.read()
        self._sort()
        words = [_BREAK + word for word in query.casefold().split()[:WORDS]]
        found: list[AccountSummary] = []
        for place in range(0 if after is None else bisect_right(self._ids, after), len(self._ids)):
            one = self._sorted[place]
            if all(word in one.text for word in words):
                if len(found) == limit:
                    return found, found[-1].account
                found.append(_summary(one.stored))
        return found, None

    def _sort(self) -> None:
        if self._changes != self._shelf.changes:
            self._sorted = sorted(self._shelf.items(), key=lambda one: one.account)
            self._ids = [one.account for one in self._sorted]
            self._changes = self._shelf.changes
