"""What partitions say to each other: everything that must be in a log is, in order, and no more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from schemas.envelope import Entry, encode_entry
from schemas.events import AccountErased, FeedbackGiven, IncidentJudged, PartClosed

from .counting import Counting
from .homes import home
from .reading import Logs, Place, places

_FORWARD, _OURS = "forward/", "ebbwatch"
Entries = Mapping[int, Sequence[tuple[Place, Entry]]]


class _Lane(NamedTuple):
    """One order of forwards: from a partition to a partition, by how often forwarded."""

    source: int
    target: int
    input: str


def readable(logs: Logs) -> Entries:
    """Return the entries of each partition that can be read."""
    return {
        number: [(at, one) for at, one in places(log) if one is not None]
        for number, log in logs.items()
    }


def misplaced(entries: Entries) -> Iterator[str]:
    """Yield what stands in a partition that is not the home of its subjects."""
    for number, log in entries.items():
        for at, one in log:
            strays = [who for who in one.subjects if home(who, len(entries)) != number]
            # Everybody must hear of an erasure.
            if strays and not isinstance(one.event, AccountErased):
                yield f"{_where(number, at)}: {one.id!r} concerns {strays[0]}, at home elsewhere"


def forwards(counted: Iterable[Counting], entries: Entries) -> Iterator[str]:
    """Yield what is wrong with the forwards in the log.

    They may repeat after a crash, from any point on that was sent already; they may not come
    before one that goes first, and none may be there that nothing caused.
    """
    wanted = _wanted(counted, len(entries))
    reached = dict.fromkeys(wanted, 0)
    order = {
        lane: {(one.origin.offset, one.origin.place): n for n, one in enumerate(mine) if one.origin}
        for lane, mine in wanted.items()
    }
    for number, log in entries.items():
        for at, one in log:
            origin = one.origin
            if origin is None or not origin.input.startswith(_FORWARD):
                continue
            lane = _Lane(origin.partition, number, origin.input)
            n = order.get(lane, {}).get((origin.offset, origin.place))
            if n is None or encode_entry(one) != encode_entry(wanted[lane][n]):
                yield f"{_where(number, at)}: a forward that nothing caused: {one}"
            elif n > reached[lane]:
                yield f"{_where(number, at)}: {_told(lane)} skips {n - reached[lane]} forwards"
            else:
                reached[lane] = max(reached[lane], n + 1)
    for lane, mine in wanted.items():
        if reached[lane] < len(mine):
            lost = mine[reached[lane]]
            yield f"{_told(lane)}: {len(mine) - reached[lane]} of {len(mine)} are missing: {lost}"


def erasures(counted: Iterable[Counting], entries: Entries) -> Iterator[str]:
    """Yield who was to be erased with another account, and where nobody was told."""
    wanted = {one for each in counted for one in each.erasures}
    for number, log in entries.items():
        told = {
            (subject, one.time)
            for _, one in log
            if isinstance(one.event, AccountErased)
            for subject in one.subjects
        }
        for subject, time in sorted(wanted - told):
            yield f"partition {number} was never told to erase {subject} up to {time}"


def summaries(counted: Iterable[Counting], entries: Entries) -> Iterator[str]:
    """Yield what is wrong with the summaries of days in the log."""
    wanted = {_key(one): one for each in counted for one in each.summaries.said}
    for number, log in entries.items():
        heard = set()
        for at, one in log:
            event = one.event
            if isinstance(event, PartClosed):
                heard.add(_key(event))
                known = wanted.get(_key(event))
                if known is None or known != event:
                    yield f"{_where(number, at)}: {event}, but counted was {known}"
            elif isinstance(event, IncidentJudged):
                # Of no account is it told how it does (`Summaries`), so that none can have fallen.
                yield f"{_where(number, at)}: {event}, but nobody has fallen"
        for key in sorted(wanted.keys() - heard):
            yield f"partition {number} never heard how {key[0]} did: {wanted[key]}"


def votes(wanted: Mapping[int, Sequence[Entry]], logs: Logs) -> Iterator[str]:
    """Yield what is wrong with the feedback in the log that the desk hands on.

    It may come again after a crash, from any point on; none may be missing, none made up.
    """
    for number, log in readable(logs).items():
        mine = wanted.get(number, ())
        places_of = {one.origin: n for n, one in enumerate(mine)}
        reached = 0
        for at, one in log:
            if not isinstance(one.event, FeedbackGiven) or one.source != _OURS or _is_forward(one):
                continue
            n = places_of.get(one.origin)
            if n is None or one != mine[n]:
                yield f"{_where(number, at)}: feedback that nobody gave: {one}"
            elif n > reached:
                yield f"{_where(number, at)}: {n - reached} votes are skipped: {mine[reached]}"
            else:
                reached = max(reached, n + 1)
        if reached < len(mine):
            yield f"events {number}: {len(mine) - reached} votes are missing: {mine[reached]}"


def _is_forward(entry: Entry) -> bool:
    return entry.origin is not None and entry.origin.input.startswith(_FORWARD)


def _wanted(counted: Iterable[Counting], partitions: int) -> dict[_Lane, list[Entry]]:
    found: dict[_Lane, list[Entry]] = {}
    for each in counted:
        for one in each.sending.forwards:
            assert one.origin is not None
            lane = _Lane(each.number, home(one.subjects[0], partitions), one.origin.input)
            found.setdefault(lane, []).append(one)
    return found


def _key(event: PartClosed) -> tuple[str, str, int, int]:
    return event.scope, event.day.isoformat(), event.partition, event.revision


def _told(lane: _Lane) -> str:
    return f"{lane.input} from partition {lane.source} to {lane.target}"


def _where(number: int, at: Place) -> str:
    return f"events {number}, offset {at.offset}, entry {at.entry}"
