"""Every open notice is intended, sent and answered for, whatever fails and whoever crashes."""

import asyncio
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from schemas.accounts import AccountSummary
from schemas.cases import CaseReopened, NoticeDelivered, NoticeFailed
from schemas.config import ChannelHealth
from services.alerts.channels import Channel, Delivered, Outcome, Refused
from tests.platform import eventually
from tests.unit.alerts.builders import cleared, intended, raised, snoozed, worsened
from tests.unit.alerts.outbox_world import Held, World, channel, told

ROOT = Path(__file__).parents[3]


async def test_a_raised_alert_is_intended_for_its_owner_then_sent_then_answered_for() -> None:
    world = World(channel())
    async with world.running():
        world.append(raised(owner="ana"))
        await world.closed()
    assert [told(one) for one in world.notes] == [
        ("intended", [("crm", "ana", "owner")]),
        ("delivered", "crm", 1, "204"),
    ]
    assert world.sent == [("crm", world.notes[0].id)]
    assert world.tally.outcomes == {("crm", "delivered"): 1}
    body = msgspec.json.decode(world.bodies[0])
    assert (body["type"], body["data"]["recipient"]["id"]) == ("alert.raised", "ana")


async def test_the_newer_summary_says_who_owns_the_account() -> None:
    world = World(channel())
    newer = AccountSummary(account="acme", stamp=99, owner="ben")
    world.held.accounts.take("acme", msgspec.json.encode(newer))
    async with world.running():
        world.append(raised(owner="ana", stamp=1))
        await world.closed()
    assert told(world.notes[0]) == ("intended", [("crm", "ben", "owner")])


async def test_historic_and_shadow_alerts_are_told_to_nobody() -> None:
    world = World(channel())
    async with world.running():
        world.append(raised(historic=True), raised("b", account="beta", shadow=True))
        world.append(raised("c", account="gamma"))
        await world.closed()
    assert [one.case for one in world.notes] == ["gamma", "gamma"]


async def test_without_a_channel_the_notice_is_closed_by_its_intent_and_counted() -> None:
    world = World()
    async with world.running():
        world.append(raised())
        await world.closed()
    assert [told(one) for one in world.notes] == [("intended", [])]
    assert world.tally.outcomes == {("none", "no_channel"): 1}


async def test_a_refused_attempt_is_repeated_under_the_same_id_until_it_is_taken() -> None:
    world = World(
        channel(), answer=lambda _, n: Refused("status 503", "") if n < 3 else Delivered(200)
    )
    async with world.running():
        world.append(raised())
        await world.closed()
    assert [told(one) for one in world.notes[1:]] == [
        ("failed", "crm", 1, "status 503", True),
        ("failed", "crm", 2, "status 503", True),
        ("delivered", "crm", 3, "200"),
    ]
    assert len(set(world.sent)) == 1
    assert world.tally.outcomes == {("crm", "failed"): 2, ("crm", "delivered"): 1}


async def test_the_last_attempt_of_the_schedule_gives_up_with_an_outcome() -> None:
    world = World(channel(), answer=lambda _channel, _n: Refused("timeout", ""))
    async with world.running():
        world.append(raised())
        await world.closed()
    assert len(world.sent) == 10
    assert told(world.notes[-1]) == ("failed", "crm", 10, "timeout", False)
    assert world.tally.outcomes == {("crm", "failed"): 9, ("crm", "given_up"): 1}


async def test_retry_after_is_honoured_however_short_the_schedule_is() -> None:
    world = World(channel(), answer=lambda _channel, _n: Refused("status 429", "", 3600.0))
    async with world.running():
        world.append(raised())
        await eventually(lambda: len(world.notes) == 2)
    failed = world.notes[1]
    assert isinstance(failed, NoticeFailed)
    assert failed.retry_at is not None
    assert timedelta(minutes=59) < failed.retry_at - failed.at <= timedelta(hours=1)


OFF = ChannelHealth(disabled_at=datetime(2026, 5, 4, tzinfo=UTC), reason="gone")


async def test_gone_switches_the_channel_off_and_all_that_waits_is_sent_when_it_is_on_again() -> (
    None
):
    answers = {1: Refused("gone", "", gone=True)}
    world = World(channel(), answer=lambda _channel, n: answers.get(n, Delivered(204)))
    async with world.running():
        world.append(raised())
        await eventually(lambda: bool(world.health.written), what="the channel's health")
        world.configure(channel(health=OFF))
        answers.clear()
        world.append(raised("b", account="beta"))
        await eventually(lambda: len(world.notes) == 3, what="the second intent")
        world.configure(channel())
        await world.closed()
    assert [told(one) for one in world.notes if one.case == "acme"] == [
        ("intended", [("crm", "ana", "owner")]),
        ("failed", "crm", 1, "gone", True),
        ("delivered", "crm", 2, "204"),
    ]
    assert [told(one) for one in world.notes if one.case == "beta"] == [
        ("intended", [("crm", "ana", "owner")]),
        ("delivered", "crm", 1, "204"),
    ]
    raw = world.health.written["channel-health/crm"]
    assert raw is not None
    health = msgspec.json.decode(raw, type=ChannelHealth)
    assert (health.reason, health.disabled_at is not None) == ("gone", True)


async def test_what_waited_too_long_for_a_channel_that_is_off_is_closed_unsent() -> None:
    world = World(channel(health=OFF), patience=0.2)
    async with world.running():
        world.append(raised())
        await world.closed()
    assert told(world.notes[-1]) == ("failed", "crm", 1, "channel_disabled", False)
    assert world.sent == []


async def test_a_channel_that_vanishes_closes_what_waits_for_it() -> None:
    world = World(channel(), answer=lambda _channel, _n: Refused("status 429", "", 3600.0))
    async with world.running():
        world.append(raised())
        await eventually(lambda: len(world.notes) == 2, what="the first attempt to fail")
        world.configure()
        await world.closed()
    assert told(world.notes[-1]) == ("failed", "crm", 2, "channel_disabled", False)
    assert len(world.sent) == 1


async def test_a_channel_that_the_directory_does_not_know_yet_is_waited_for() -> None:
    world = World()
    async with world.running():
        # Another replica, which knows more channels, owned the partition until now.
        world.append(raised())
        world.append(intended(*world.held.partition.cases["acme"].notices, "crm"))
        world.append(raised("b", account="beta"))
        await eventually(lambda: len(world.notes) == 2, what="this one to be at work")
        world.configure(channel())
        await world.closed()
    assert [told(one) for one in world.notes if one.case == "acme"] == [
        ("intended", [("crm", "ana", "owner")]),
        ("delivered", "crm", 1, "204"),
    ]


async def test_a_channel_that_stays_unknown_is_gone() -> None:
    world = World()
    async with world.running():
        world.append(raised())
        world.append(intended(*world.held.partition.cases["acme"].notices, "crm"))
        await world.closed()
    assert told(world.notes[-1]) == ("failed", "crm", 1, "channel_disabled", False)
    assert world.sent == []


async def test_retry_after_keeps_the_other_notices_of_its_channel_waiting_too() -> None:
    world = World(
        channel("busy"),
        channel("free"),
        answer=lambda name, _: (
            Refused("status 429", "", 3600.0) if name == "busy" else Delivered(204)
        ),
    )
    async with world.running():
        world.append(raised())
        await eventually(lambda: len(world.notes) == 3, what="both to have answered")
        world.append(*(raised(f"a{n}", account=f"acct_{n}") for n in range(5)))
        await eventually(lambda: len(world.sent) == 7, what="all of the free channel")
        assert Counter(name for name, _ in world.sent) == {"busy": 1, "free": 6}
        # Who takes the channel away does not wait for it.
        world.configure(channel("free"))
        await world.closed()
    assert Counter(name for name, _ in world.sent) == {"busy": 1, "free": 6}


async def test_what_is_held_until_the_log_is_read_to_its_end_is_not_looked_at_again_and_again() -> (
    None
):
    world = World(channel())
    world.held.stale = True
    async with world.running():
        world.append(*(raised(f"a{n}", account=f"acct_{n}") for n in range(100)))
        # Each is looked at once; then only the outbox itself looks, once a second.
        await eventually(lambda: world.held.looks >= 103, what="some more looks")
        assert world.held.looks < 110
        world.held.stale = False
        world.outbox.folded(world.held, ())
        await world.closed()
    assert len(world.sent) == 100


CANCELLED = """
import asyncio
from tests.unit.alerts.builders import raised
from tests.unit.alerts.outbox_world import World, channel

async def cancelled(*_):
    raise asyncio.CancelledError

async def main():
    world = World(channel())
    world.{what} = cancelled
    async with world.running():
        world.append(raised())
        await world.closed()

asyncio.run(main())
"""


@pytest.mark.parametrize("what", ["send", "insist"])
def test_a_cancellation_that_is_not_ours_ends_the_process_and_no_step_is_lost(what: str) -> None:
    program = CANCELLED.format(what=what)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (ended.returncode, "nobody here had cancelled" in ended.stdout) == (70, True)


async def test_a_channel_that_hangs_delays_no_other() -> None:
    world = World(channel("slow"), channel("quick"))
    hanging, send = asyncio.Event(), world.send

    async def slowly(channel: Channel, notice_id: str, body: bytes, now: datetime) -> Outcome:
        if channel.name == "slow":
            await hanging.wait()
        return await send(channel, notice_id, body, now)

    world.send = slowly  # type: ignore[method-assign]
    async with world.running():
        world.append(*(raised(f"a{n}", account=f"acct_{n}") for n in range(20)))
        await eventually(lambda: len(world.sent) == 20, what="all of the quick channel")
        hanging.set()
        await world.closed()
    assert Counter(name for name, _ in world.sent) == {"quick": 20, "slow": 20}


async def test_nothing_is_sent_while_the_log_is_not_known_to_be_read_to_its_end() -> None:
    world = World(channel())
    world.held.stale = True
    async with world.running():
        world.append(raised())
        await eventually(lambda: world.held.looks > 3, what="several looks")
        assert (world.notes, world.sent) == ([], [])
        world.held.stale = False
        await world.closed()
    assert len(world.sent) == 1


async def test_what_a_case_had_to_tell_before_it_was_opened_anew_is_told_all_the_same() -> None:
    refused = Refused("status 429", "", 0.2)
    world = World(channel(), answer=lambda _channel, n: refused if n == 1 else Delivered(204))
    async with world.running():
        world.append(raised("a"))
        await eventually(lambda: len(world.notes) == 2, what="the first attempt to fail")
        first = world.notes[0].id
        world.append(cleared("a"), raised("b", day=2))
        await world.closed()
    # Each in its second attempt: the first, that it cleared, that another one reopened the case.
    sent = Counter(id for _, id in world.sent)
    assert (sent[first], sorted(sent.values())) == (2, [2, 2, 2])


async def test_a_crash_between_send_and_outcome_repeats_the_send_under_the_same_id() -> None:
    world = World(channel())
    world.gate.clear()
    async with world.running():
        world.append(raised())
        await eventually(lambda: len(world.sent) == 1, what="the send to be under way")
    # The process is gone; the next one has nothing but the fold.
    world.outbox = world.make_outbox()
    world.gate.set()
    async with world.running():
        await world.closed()
    assert len(world.sent) == 2
    assert len(set(world.sent)) == 1
    assert [told(one)[0] for one in world.notes] == ["intended", "delivered"]


async def test_a_due_time_survives_a_restart() -> None:
    world = World(channel(), answer=lambda _channel, _n: Refused("status 429", "", 3600.0))
    async with world.running():
        world.append(raised())
        await eventually(lambda: len(world.notes) == 2, what="the first attempt to fail")
    world.outbox = world.make_outbox()
    async with world.running():
        world.append(raised("b", account="beta"))
        await eventually(lambda: len(world.notes) == 4, what="another notice to be tried")
    assert Counter(one.case for one in world.notes) == {"acme": 2, "beta": 2}


async def test_what_is_given_up_is_not_begun_and_begins_when_it_comes_back() -> None:
    world = World(channel())
    world.gate.clear()
    async with world.running():
        world.append(*(raised(f"a{n}", account=f"acct_{n}") for n in range(5)))
        await eventually(lambda: len(world.sent) == 2, what="as many sends as the lane is wide")
        world.held.revoked = True
        await world.outbox.land(0.0)
        world.gate.set()
        await eventually(
            lambda: sum(isinstance(one, NoticeDelivered) for one in world.notes) == 2,
            what="what was under way to be answered for",
        )
        assert len(world.sent) == 2
        world.held.revoked = False
        world.outbox.folded(world.held, world.held.partition.cases.values())
        await world.closed()
    assert Counter(Counter(world.sent).values()) == {1: 5}


async def test_what_waits_is_begun_anew_when_the_partition_is_taken_over_once_more() -> None:
    refused = Refused("status 429", "", 0.3)
    world = World(channel(), answer=lambda _channel, n: refused if n == 1 else Delivered(204))
    async with world.running():
        world.append(raised())
        await eventually(lambda: len(world.notes) == 2, what="the first attempt to fail")
        # By the same process, in which its second attempt waits already.
        world.held.revoked = True
        world.held = Held(world.held.partition)
        world.outbox.folded(world.held, world.held.partition.cases.values())
        await world.closed()
    assert [told(one)[0] for one in world.notes] == ["intended", "failed", "delivered"]


async def test_a_worse_alert_is_told_after_the_first_one_was() -> None:
    world = World(channel())
    async with world.running():
        world.append(raised(severity="medium"), worsened(severity="high"))
        await world.closed()
    assert sorted(msgspec.json.decode(body)["type"] for body in world.bodies) == [
        "alert.raised",
        "alert.worsened",
    ]


async def test_a_snooze_that_has_ended_wakes_its_case_once() -> None:
    world = World(channel())
    async with world.running():
        world.append(raised())
        world.append(snoozed(3600))
        await eventually(
            lambda: world.held.partition.cases["acme"].state == "open", what="the end of the snooze"
        )
        await world.closed()
    woken = [one for one in world.log if isinstance(one, CaseReopened)]
    assert [(one.by, one.reason) for one in woken] == [("ebbwatch", "snooze_ended")]
