"""What the doctor says of the alerts service."""

from typing import Any

import pytest

from schemas.config import ChannelHealth
from services.alerts.channels import Channel
from services.alerts.directory import DirectorySnapshot
from services.commands.checks import desk
from services.commands.checks.desk import Desk
from services.commands.checks.finding import ok
from services.commands.kafka_facts import Group
from tests.unit.commands.checks.builders import NOON, NOW, NOW_US, SECOND_US, wrong


def channel(**health: Any) -> Channel:
    return Channel(
        "crm", "webhook", "https://crm.example.com", (), (), health=ChannelHealth(**health)
    )


def alerts(**changes: Any) -> Desk:
    known = DirectorySnapshot(channels={"crm": channel()})
    fields = {"group": Group("Stable", 1), "waiting": 0, "oldest": None, "known": known}
    return Desk(**{**fields, **changes})


def test_an_alerts_service_that_is_as_it_should_be() -> None:
    assert desk.judge(alerts(), NOW) == [
        ok("alerts", "1 replica"),
        ok("alert log", "everything is folded"),
        ok("channels", "in use: crm"),
    ]


FAILING = DirectorySnapshot(channels={"crm": channel(failing_since=NOON)})
GONE = DirectorySnapshot(
    channels={"crm": channel(failing_since=NOON, disabled_at=NOON, reason="gone")}
)


@pytest.mark.parametrize(
    "changes, found",
    [
        ({"group": Group("Dead", 0)}, ("FAIL", "alerts", "no alerts service is running")),
        (
            {"waiting": 3, "oldest": (NOW_US - 200 * SECOND_US) // 1000},
            *[
                (
                    "warn",
                    "alert log",
                    "3 records since the last snapshots, the oldest 3 minutes old",
                )
            ],
        ),
        (
            {"waiting": 10_000, "oldest": (NOW_US - 700 * SECOND_US) // 1000},
            (
                *("FAIL", "alert log"),
                "more than 10,000 records since the last snapshots, the oldest 11 minutes old",
            ),
        ),
        (
            {"known": DirectorySnapshot()},
            ("warn", "channels", "there is none: alerts stand in the console only"),
        ),
        ({"known": FAILING}, ("warn", "channels", "crm failing since 2026-05-14 12:00 UTC")),
        (
            {"known": GONE},
            (
                *("FAIL", "channels"),
                "crm switched off since 2026-05-14 12:00 UTC (its endpoint is gone: 410)",
            ),
        ),
    ],
)
def test_an_alerts_service_that_is_not(
    changes: dict[str, Any], found: tuple[str, str, str]
) -> None:
    assert wrong(desk.judge(alerts(**changes), NOW)) == [found]
