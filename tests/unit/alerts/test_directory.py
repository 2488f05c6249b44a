import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import msgspec
import pytest

from schemas.config import ChannelHealth, ChannelRecord, PersonRecord, RoutingRecord
from services.alerts.channel_health import after_failure, after_success, switched_off
from services.alerts.channels import Channel
from services.alerts.directory import Directory, DirectorySnapshot, fold, read
from services.config_follower import ConfigFollower
from services.config_log import ConfigConflict, ConfigUnavailable
from services.sealing import Sealer

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SEALER = Sealer("key")
ANA = PersonRecord(id="ana", name="Ana Lima")
KIM = PersonRecord(id="kim", name="Kim Larsen")
HEALTH = "channel-health/crm"
CRM = Channel(
    "crm",
    "webhook",
    "https://crm.example.com/hook",
    ("whsec_new", "whsec_old"),
    (ip_network("10.0.0.0/8"),),
)


def crm(sealer: Sealer = SEALER, **told: object) -> bytes:
    content: dict[str, object] = {
        "name": "crm",
        "kind": "webhook",
        "url": "https://crm.example.com/hook",
        "secret": sealer.seal("whsec_new\nwhsec_old", "channel/crm"),
        "allow": ["10.0.0.0/8"],
    }
    return msgspec.json.encode(content | told)


def failing(since: timedelta = 0 * DAY, newest: timedelta = 0 * DAY) -> ChannelHealth:
    """Return the health of a channel that has failed since so long ago, and then last."""
    return ChannelHealth(failing_since=NOW - since, failed_at=NOW - newest)


def folded(**records: object) -> DirectorySnapshot:
    """Fold records whose keys are written with `__` for a slash."""
    found = DirectorySnapshot()
    for key, value in records.items():
        raw = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
        found = fold(SEALER, found, key.replace("__", "/").replace("health_of", HEALTH), raw)
    return found


def test_people_routing_and_channels_are_known_by_name() -> None:
    found = folded(
        person__kim=KIM,
        person__ana=ANA,
        routing=RoutingRecord(signal_manager="kim"),
        channel__crm=crm(),
        mode={"mode": "live"},
    )
    assert found == DirectorySnapshot(
        people={"ana": ANA, "kim": KIM},
        routing=RoutingRecord(signal_manager="kim"),
        channels={"crm": CRM},
    )
    assert list(found.people) == ["ana", "kim"]


def test_what_is_deleted_is_gone() -> None:
    found = folded(person__ana=ANA, routing=RoutingRecord(signal_manager="kim"), channel__crm=crm())
    for key in ("person/ana", "routing", "channel/crm", "channel/never", HEALTH):
        found = fold(SEALER, found, key, None)
    assert found == DirectorySnapshot()


def test_health_is_known_whether_it_comes_before_its_channel_or_after() -> None:
    before = folded(health_of=failing(), channel__crm=crm())
    after = folded(channel__crm=crm(), health_of=failing())
    assert before == after
    assert before.channels == {"crm": replace(CRM, health=failing())}
    assert fold(SEALER, after, HEALTH, None) == folded(channel__crm=crm())


def test_a_channel_whose_secret_cannot_be_opened_says_why() -> None:
    (found,) = folded(channel__crm=crm(Sealer("other"))).channels.values()
    assert (found.secrets, found.fault.split(":")[0]) == (
        (),
        "its secret was sealed under another EBBWATCH_SECRET_KEY, or is damaged",
    )
    (keyless,) = read(None, {"channel/crm": crm()}).channels.values()
    assert keyless.fault.startswith("EBBWATCH_SECRET_KEY is not set here")


@pytest.mark.parametrize(
    "key, value",
    [
        ("person/ana", b"{}"),
        ("person/ana", b"nonsense"),
        ("channel/crm", b"{}"),
        ("channel/crm", crm(allow=["10.0.0.1/8x"])),
        (HEALTH, b"[]"),
        ("routing", b"1"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_and_the_older_one_holds(
    key: str, value: bytes
) -> None:
    before = folded(person__ana=ANA, channel__crm=crm())
    with pytest.raises(msgspec.MsgspecError):
        fold(SEALER, before, key, value)
    assert read(SEALER, {"person/ana": msgspec.json.encode(ANA), key: value}) in (
        DirectorySnapshot(people={"ana": ANA}),
        DirectorySnapshot(),
    )


def test_a_channel_with_a_network_that_python_refuses_cannot_be_used() -> None:
    (found,) = folded(channel__crm=crm(allow=["10.0.0.1/8"])).channels.values()
    assert found.fault == ("allow: 10.0.0.1/8 has host bits set; mend channels.toml and apply it")


@pytest.mark.parametrize(
    "before, after",
    [
        # The first failure begins it; what follows within five days changes nothing.
        (ChannelHealth(), ChannelHealth(failing_since=NOW, failed_at=NOW)),
        (failing(HOUR, HOUR - SECOND), None),
        (failing(5 * DAY - SECOND, HOUR), failing(5 * DAY - SECOND)),
        (
            failing(5 * DAY, DAY),
            ChannelHealth(failing_since=NOW - 5 * DAY, disabled_at=NOW, reason="failing"),
        ),
        # The longest wait of the schedule, its jitter, and the hour that it may not be written.
        (failing(5 * DAY - SECOND, 1.2 * DAY + HOUR), failing(5 * DAY - SECOND)),
        # One failure, and one more days later, are not days of failing.
        (failing(6 * DAY, 1.2 * DAY + HOUR + SECOND), failing()),
        (failing(6 * DAY, 6 * DAY), failing()),
        (ChannelHealth(failing_since=NOW - 6 * DAY), failing()),
        (ChannelHealth(failing_since=NOW - DAY, disabled_at=NOW - HOUR, reason="gone"), None),
    ],
)
def test_after_five_days_of_failures_a_channel_is_switched_off(
    before: ChannelHealth, after: ChannelHealth | None
) -> None:
    assert after_failure(before, NOW) == (after or before)


def test_a_success_ends_the_failing_but_switches_nothing_on() -> None:
    off = ChannelHealth(disabled_at=NOW, reason="gone")
    assert after_success(ChannelHealth(failing_since=NOW)) == ChannelHealth()
    assert after_success(off) == off
    assert switched_off(off, "failing", NOW + DAY) == off
    assert switched_off(ChannelHealth(), "gone", NOW) == ChannelHealth(
        failing_since=NOW, disabled_at=NOW, reason="gone"
    )


class Log:
    """`config.v1` in memory; `before_write` is what another writer does just before ours."""

    def __init__(self, values: dict[str, bytes]) -> None:
        self.values = values
        self.written: list[tuple[str, bytes | None]] = []
        self.away = False
        self.reads = 0
        self.before_write: Callable[[], None] | None = None
        self.after_write: Callable[[], None] = _nothing

    async def read(self) -> dict[str, bytes]:
        self.reads += 1
        if self.away:
            raise ConfigUnavailable("Kafka does not answer")
        await asyncio.sleep(0)
        return dict(self.values)

    async def write(self, key: str, value: bytes | None, expect: bytes | None) -> None:
        if self.before_write is not None:
            other, self.before_write = self.before_write, None
            other()
        if self.values.get(key) != expect:
            raise ConfigConflict("changed")
        self.written.append((key, value))
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        self.after_write()


def _nothing() -> None:
    """The follower is behind."""


class Desk:
    """A directory over a log, whose follower is at once where the log is unless told otherwise."""

    def __init__(self, health: ChannelHealth | None = None, behind: bool = False) -> None:
        self.log = Log({"channel/crm": crm()})
        if health is not None:
            self.log.values[HEALTH] = msgspec.json.encode(health)
        self._follower = ConfigFollower("nowhere:1", "config.v1", DirectorySnapshot(), _unused)
        self.directory = Directory(self._follower, self.log)
        self.follow()
        self.log.after_write = _nothing if behind else self.follow

    def follow(self) -> None:
        self._follower._show(read(SEALER, self.log.values))

    @property
    def health(self) -> ChannelHealth:
        return self.directory.snapshot.channels["crm"].health

    def replaced(self, health: ChannelHealth | None) -> None:
        if health is None:
            del self.log.values[HEALTH]
        else:
            self.log.values[HEALTH] = msgspec.json.encode(health)


def _unused(known: DirectorySnapshot, key: str, value: bytes | None) -> DirectorySnapshot:
    raise AssertionError("nobody runs the follower")


async def test_only_a_change_of_health_is_written() -> None:
    desk = Desk()
    await desk.directory.succeeded("crm")
    assert desk.log.written == []
    for minutes in range(5):
        await desk.directory.failed("crm", NOW + timedelta(minutes=minutes))
    assert desk.log.written == [(HEALTH, msgspec.json.encode(failing()))]
    assert desk.health == failing()
    await desk.directory.failed("crm", NOW + HOUR - SECOND)
    assert len(desk.log.written) == 1
    for _ in range(3):
        await desk.directory.succeeded("crm")
    assert desk.log.written[1:] == [(HEALTH, None)]
    assert desk.health == ChannelHealth()


@pytest.mark.parametrize("behind, reads", [(False, 1), (True, 50)])
async def test_many_at_once_write_once_also_where_the_follower_is_behind(
    behind: bool, reads: int
) -> None:
    desk = Desk(behind=behind)
    await asyncio.gather(*(desk.directory.failed("crm", NOW) for _ in range(50)))
    assert (len(desk.log.written), desk.log.reads) == (1, reads)


async def test_a_channel_is_switched_off_after_five_days_and_at_once_when_it_is_gone() -> None:
    desk = Desk(failing(5 * DAY, DAY))
    await desk.directory.failed("crm", NOW)
    assert desk.health == ChannelHealth(
        failing_since=NOW - 5 * DAY, disabled_at=NOW, reason="failing"
    )
    gone = Desk()
    await gone.directory.disable("crm", "gone", NOW)
    await gone.directory.succeeded("crm")
    assert gone.health == ChannelHealth(failing_since=NOW, disabled_at=NOW, reason="gone")
    assert gone.directory.snapshot.channels["crm"].disabled


async def test_what_another_replica_wrote_meanwhile_is_read_again() -> None:
    desk = Desk()
    theirs = failing(DAY)
    desk.log.before_write = lambda: desk.replaced(theirs)
    await desk.directory.failed("crm", NOW)
    assert (desk.log.written, desk.log.reads) == ([], 2)

    other = Desk(theirs)
    other.log.before_write = lambda: other.replaced(None)
    await other.directory.disable("crm", "gone", NOW)
    # They saw a success in between: nothing says any more since when it had been failing.
    assert other.health == ChannelHealth(failing_since=NOW, disabled_at=NOW, reason="gone")


async def test_who_always_comes_second_gives_up_and_raises_nothing() -> None:
    desk, turns = Desk(), iter(range(100))

    def change() -> None:
        desk.replaced(ChannelHealth(failing_since=NOW - next(turns) * HOUR, reason="other"))
        desk.log.before_write = change

    desk.log.before_write = change
    await desk.directory.disable("crm", "gone", NOW)
    assert (desk.log.written, desk.log.reads) == ([], 5)


async def test_while_kafka_is_away_nothing_is_raised_and_the_next_attempt_writes() -> None:
    desk = Desk()
    desk.log.away = True
    await desk.directory.failed("crm", NOW)
    assert desk.health == ChannelHealth()
    desk.log.away = False
    await desk.directory.failed("crm", NOW + HOUR)
    assert desk.health == failing(-HOUR, -HOUR)


async def test_a_person_switches_a_channel_on_again() -> None:
    desk = Desk()
    await desk.directory.disable("crm", "gone", NOW)
    assert desk.health.disabled_at == NOW
    desk.replaced(None)
    desk.follow()
    assert desk.health == ChannelHealth()


async def test_the_health_of_a_channel_that_is_gone_is_nobody_s() -> None:
    desk = Desk()
    await desk.directory.failed("fax", NOW)
    assert (desk.log.written, desk.log.reads) == ([], 0)


async def test_a_damaged_health_is_written_over() -> None:
    desk = Desk()
    desk.log.values[HEALTH] = b"damaged"
    await desk.directory.failed("crm", NOW)
    assert desk.log.values[HEALTH] == msgspec.json.encode(failing())


def test_a_record_of_the_schema_can_be_folded() -> None:
    record = ChannelRecord(name="crm", kind="webhook", url="https://a.example", secret="v1:x")
    (found,) = folded(channel__crm=record).channels.values()
    assert (found.allow, found.allow_http, found.health) == ((), False, ChannelHealth())
