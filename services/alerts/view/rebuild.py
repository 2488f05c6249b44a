"""A partition of the view, written anew from the snapshot and from `accounts.v1`."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from schemas.accounts import AccountDays, AccountSummary
from services.alerts.showing import ShownCase
from services.alerts.shown import ActionAnswer
from services.alerts.view import commands
from services.alerts.view.part import Noted, Part

Account = AccountSummary | AccountDays

CASES_AT_ONCE: Final = 50
"""What is folded meanwhile waits for so many."""
ACCOUNTS_AT_ONCE: Final = 500


async def rebuild(
    part: Part,
    cases: Iterable[ShownCase],
    answers: Iterable[ActionAnswer],
    accounts: AsyncIterable[Account],
    stamp: Callable[[], tuple[int, int, float]],
) -> None:
    """Write everything, and remove what else is there; see `Writer.rebuild`."""
    part.noted, part.broken, part.waiting = Noted(), False, None
    try:
        # All that is folded by now is in the cases, which are taken from here on.
        folded, appended, as_of = stamp()
        await _put_cases(part, part.noted, iter(cases))
        await _put_answers(part, iter(answers))
        known = await _put_accounts(part, part.noted, accounts)
        await _sweep(part, part.noted, known)
        async with part.lock:
            await part.write_waiting()
            done = ("HSET", part.keys.marker, "complete", "1")
            raised = ("@RAISE", part.keys.marker, folded, appended)
            await part.put([[part.mark(as_of=stamp()[2] or as_of), raised, done]])
    finally:
        part.noted = None


async def _put_cases(part: Part, noted: Noted, cases: Iterator[ShownCase]) -> None:
    some = True
    while some:
        # A case is taken with no other write between that and its own, so it is never older.
        async with part.lock:
            taken: list[str] = []
            await part.put(_taken(part, islice(cases, CASES_AT_ONCE), taken))
        noted.cases.update(taken)
        some = bool(taken)


def _taken(part: Part, cases: Iterable[ShownCase], taken: list[str]) -> Iterator[commands.Unit]:
    for one in cases:
        taken.append(one.account)
        yield commands.put_case(part.keys, one)


async def _put_answers(part: Part, answers: Iterator[ActionAnswer]) -> None:
    while some := list(islice(answers, ACCOUNTS_AT_ONCE)):
        async with part.lock:
            await part.put(commands.put_answer(part.names, one) for one in some)


async def _put_accounts(part: Part, noted: Noted, accounts: AsyncIterable[Account]) -> set[str]:
    """Write summaries and days, and return whose they are."""
    known: set[str] = set()
    today = part.today()
    async for some in _chunks(accounts):
        known.update(one.account for one in some)
        async with part.lock:
            older = [one for one in some if _name(one) not in noted.records]
            await part.put(commands.put_account(part.keys, one, today) for one in older)
    return known


async def _sweep(part: Part, noted: Noted, known: set[str]) -> None:
    """Remove cases and accounts that an earlier owner left and that are no more."""
    async for some in _members(part, part.keys.cased):
        async with part.lock:
            gone = [one for one in some if one not in noted.cases]
            await part.put(commands.take_case(part.keys, one) for one in gone)
    async for some in _members(part, part.keys.known):
        async with part.lock:
            gone = [one for one in some if one not in known and one not in noted.accounts]
            await part.put(commands.take_account(part.keys, one) for one in gone)


async def _members(part: Part, key: str) -> AsyncIterator[list[str]]:
    cursor, found = await part.members(key, 0)
    yield found
    while cursor:
        cursor, found = await part.members(key, cursor)
        yield found


async def _chunks(items: AsyncIterable[Account]) -> AsyncIterator[list[Account]]:
    some: list[Account] = []
    async for one in items:
        some.append(one)
        if len(some) == ACCOUNTS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _name(one: Account) -> tuple[str, str | None]:
    return one.account, one.month if isinstance(one, AccountDays) else None
