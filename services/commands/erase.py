"""`ebbwatch erase`: an account or a person is forgotten, and what that reaches is said."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
import typer

from schemas import topics
from schemas.envelope import PERSON, Entry, account, encode_entry
from schemas.events import AccountErased, Event, PersonErased
from services.commands.terminal import agree, ask_kafka, fail, printable, read_settings
from services.runtime import ExitCode
from services.settings import ConfigurationError, ServiceSettings

ID_LIMIT: Final = 200
DEADLINE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 10.0
"""Spent at most on whether the id is known; what takes longer is no reason not to erase."""
SOURCE: Final = "ebbwatch"
AHEAD_SECONDS: Final = 600.0
"""The detector refuses an erasure that is further ahead (`services.detector.refusals`)."""
BEHIND_SECONDS: Final = 60.0
"""Longer than an erasure may wait for Kafka."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT: Final = (
    "not erased yet: events.v1 and rejects.v1 keep what was sent for 14 days, alerts.v1 alerts and "
    "what people did for 400 days, cases.v1 their cases; the input topics are yours",
    "what is sent from now on counts anew; what happened before and is sent late is dropped",
)

app = typer.Typer(help="Forget an account or a person.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("account")
def account_(
    id: Annotated[str, typer.Argument(help="The account's id.")],
    yes: Yes = False,
) -> None:
    """Forget everything that is counted of an account.

    Its open alerts are cleared as superseded. Who repeats the command forgets what came meanwhile.
    """
    settings = _asked(id, f"account {id!r} and all that is counted of it is forgotten", yes)
    known = _known(settings, "account", id, account(id), yes)
    # Into every partition: wherever a person is at home it may stand that they joined the account.
    _write(settings, (account(id),), AccountErased())
    _tell(
        known,
        f"account {id!r} is erased: its facts, day buckets, people and episodes, its summary and "
        "daily series, who had joined it, and the accounts that were merged into it; open alerts "
        "clear",
    )


@app.command()
def person(
    id: Annotated[str, typer.Argument(help="The person's id, as events name them.")],
    yes: Yes = False,
) -> None:
    """Forget a person in every account.

    What they did stays counted in the accounts' days, without them.
    """
    settings = _asked(id, f"person {id!r} is forgotten in every account", yes)
    known = _known(settings, "person", id, PERSON + id, yes)
    _write(settings, (), PersonErased(person=id))
    _tell(
        known,
        f"person {id!r} is erased: which account they belong to, what waits for that, and their "
        "place among people and contacts of every account; open alerts about them clear, and what "
        "they did stays counted without them",
    )


def _asked(id: str, plan: str, yes: bool) -> ServiceSettings:
    """Return the settings, once the id can be one and whoever runs this agrees."""
    if not 0 < len(id) <= ID_LIMIT or not id.isprintable():
        fail(f"an id has 1 to {ID_LIMIT} printable characters", ExitCode.USAGE)
    settings = read_settings(ServiceSettings)
    agree(f"{plan}, for good", yes)
    return settings


def _known(settings: ServiceSettings, kind: str, id: str, subject: str, yes: bool) -> str | None:
    """Return what to say of an id that no snapshot names, once it is to be erased all the same."""
    try:
        found = ask_kafka(settings.kafka, _named(settings, subject, id))
    except ConfigurationError as error:
        fail(str(error), ExitCode.CONFIG)
    if found:
        return None
    nothing = f"{kind} {id!r}: nothing is counted under that id in the snapshots, up to 30 s old"
    agree(f"{nothing}; erase what may have come since", yes)
    return (
        f"{nothing}; is it right? What has come since is erased, and what comes with an earlier "
        "time is dropped"
    )


async def _named(settings: ServiceSettings, subject: str, id: str) -> bool:
    """Tell whether a snapshot names an id; so, too, where that takes too long to find out."""
    from services.snapshots import LoadTooSlow, load
    from services.topic_admin import require

    state = topics.full_name(topics.STATE, settings.prefix)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await require(settings.kafka, settings.prefix, settings.partitions)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            for number in range(settings.partitions):
                if names(await load(settings.kafka, state, number), subject, id):
                    return True
    except (LoadTooSlow, TimeoutError):
        return True
    return False


def names(snapshot: Mapping[str, bytes], subject: str, id: str) -> bool:
    """Tell whether a snapshot has records of a subject, or names it in those of another one.

    Args:
        snapshot: The newest value per key of a partition of `state.v1`.
        subject: The account or person.
        id: Its id, as records of others name it.
    """
    from services.detector.subject import SEPARATOR

    packed = msgspec.msgpack.encode(id)
    return any(
        key.partition(SEPARATOR)[0] == subject or packed in value for key, value in snapshot.items()
    )


def _write(settings: ServiceSettings, subjects: tuple[str, ...], event: Event) -> None:
    """Write an erasure into every partition; a copy of it erases nothing that came since.

    Partitions compare its time with the one at which Kafka took it, so both clocks must agree.
    """
    now = (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)
    entry = encode_entry(Entry(f"erase-{now}", SOURCE, now, subjects, event))
    try:
        appended_ms = ask_kafka(settings.kafka, _published(settings, entry))
    except ConfigurationError as error:
        fail(str(error), ExitCode.CONFIG)
    wrong = clock_fault(now, appended_ms * 1000)
    if wrong is not None:
        fail(wrong)


def clock_fault(now: int, appended: int) -> str | None:
    """Return why an erasure does not reach as far as it should, if it does not.

    Args:
        now: Its time, microseconds since 1970-01-01 UTC by this machine's clock.
        appended: When Kafka took it, likewise by its own; 0 if it did not tell.

    >>> clock_fault(0, 0) is None
    True
    """
    ahead = (now - appended) / 1_000_000
    if not appended or -BEHIND_SECONDS <= ahead <= AHEAD_SECONDS:
        return None
    if ahead > 0:
        return (
            f"nothing is erased: this machine's clock is {ahead:.0f} s ahead of Kafka's, and the "
            "future cannot be erased; correct the clock, and run the command again"
        )
    return (
        f"this machine's clock is {-ahead:.0f} s behind Kafka's: what came in that time is not "
        "erased; correct the clock, and run the command again"
    )


async def _published(settings: ServiceSettings, entry: bytes) -> int:
    """Return when Kafka took the erasure, milliseconds since 1970-01-01 UTC."""
    from services.publishing.publisher import publishing
    from services.topic_admin import require

    events = topics.full_name(topics.EVENTS, settings.prefix)
    # A producer would wait for Kafka, or for a topic that is missing, without end.
    async with asyncio.timeout(DEADLINE_SECONDS):
        await require(settings.kafka, settings.prefix, settings.partitions)
        async with publishing(settings.kafka, events, settings.partitions) as publisher:
            everywhere = [(number, entry) for number in range(settings.partitions)]
            return await publisher.publish(everywhere)


def _tell(unknown: str | None, done: str) -> None:
    for line in (unknown or done, *_KEPT):
        typer.echo(printable(line))
