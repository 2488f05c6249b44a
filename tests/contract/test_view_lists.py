"""Lists of accounts and alerts, and the answers to actions."""

from datetime import date, timedelta

import msgspec
import pytest

from schemas.accounts import AccountDays
from services.alerts.shown import AccountShown, ActionAnswer
from services.alerts.view import Batch, View
from services.partitioning import partition_of
from tests.contract.owners import Owner
from tests.contract.redis_servers import PREFIX, RedisServer
from tests.contract.seen import month, summary
from tests.unit.alerts import builders as b


async def _left_out(view: View) -> dict[str, dict[str, str]]:
    page = await view.account("acme")
    assert page is not None
    return page.left_out


class TestAccounts:
    async def test_they_are_found_by_the_beginning_of_id_and_words(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.tell(
            summary("acct_1", name="Acme Ltd"),
            summary("acct_2", name="O'Neil & Söhne (Berlin)"),
            summary("acct_3", name="acme-berlin GmbH"),
            summary("Zebra", name=None),
        )
        view = server.view(1)
        asked = ["", "ACME", "ltd acme", "acct_", "öhne", "söh", "neil", "o'n", "berlin", "z", "q"]
        found = {}
        for query in asked:
            accounts, following = await view.accounts(query, None, 10)
            assert following is None
            found[query] = [one.account for one in accounts]
        assert found == {
            "": ["Zebra", "acct_1", "acct_2", "acct_3"],
            "ACME": ["acct_1", "acct_3"],
            "ltd acme": ["acct_1"],
            "acct_": ["acct_1", "acct_2", "acct_3"],
            "öhne": [],
            "söh": ["acct_2"],
            "neil": ["acct_2"],
            "o'n": ["acct_2"],
            "berlin": ["acct_2", "acct_3"],
            "z": ["Zebra"],
            "q": [],
        }

    async def test_pages_follow_each_other_by_id(self, server: RedisServer) -> None:
        ids = [f"acct_{n:02}" for n in range(25)]
        for number in range(2):
            owner = await Owner(server, number=number, partitions=2).begin()
            mine = [one for one in ids if partition_of(one, 2) == number]
            await owner.tell(*[summary(one) for one in mine])
        view = server.view(2)
        pages, after = [], None
        while True:
            found, after = await view.accounts("acct", after, 10)
            pages.append([one.account for one in found])
            if after is None:
                break
        assert pages == [ids[:10], ids[10:20], ids[20:]]

    async def test_a_line_tells_of_the_case(self, server: RedisServer) -> None:
        owner = await Owner(server).begin()
        await owner.tell(summary(open_alerts=3), summary("quiet", open_alerts=0))
        await owner.say(b.raised("a"), b.raised("b"), b.acknowledged())
        found, _ = await server.view(1).accounts("", None, 10)
        known = {"name": "Acme Ltd", "owner": "bob", "arr": 120_000}
        assert found == [
            AccountShown(account="acme", **known, open_alerts=2, state="acknowledged"),
            AccountShown(account="quiet", **known),
        ]

    async def test_what_is_deleted_goes(self, server: RedisServer) -> None:
        owner = await Owner(server).begin()
        await owner.tell(summary("a"), summary("b"), month("a", "2026-05", 1))
        await owner.tell(month("a", "2026-04", 1), month("b", "2026-05", 1))
        await owner.view.write(0, "first", Batch(gone=["a/days/2026-04", "b"]))
        view = server.view(1)
        assert [one.account for one in (await view.accounts("", None, 9))[0]] == ["a"]
        page = await view.account("a")
        assert page is not None
        assert list(page.days["usage"]) == ["2026-05-01"]
        assert await view.account("b") is None

    async def test_days_that_are_left_out_come_and_go_with_their_month(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        known = month("acme", "2026-05", 1)
        left = {"": {"Labor Day": [1]}, "usage": {"no data from its source": [2]}}
        await owner.tell(summary(), msgspec.structs.replace(known, left_out=left))
        view = server.view(1)
        told = {"": {"2026-05-01": "Labor Day"}, "usage": {"2026-05-02": "no data from its source"}}
        assert await _left_out(view) == told
        await owner.tell(known)
        assert await _left_out(view) == {}
        await owner.tell(msgspec.structs.replace(known, left_out=left))
        await owner.view.write(0, "first", Batch(gone=["acme/days/2026-05"]))
        assert await _left_out(view) == {}

    async def test_thirteen_months_can_be_looked_back(self, server: RedisServer) -> None:
        owner = await Owner(server).begin()
        months = [f"2025-{n:02}" for n in range(1, 13)] + [f"2026-{n:02}" for n in range(1, 6)]
        await owner.tell(summary(), *[month("acme", name, 1) for name in months])
        page = await server.view(1).account("acme")
        assert page is not None
        assert list(page.days["usage"]) == [f"{name}-01" for name in months[4:]]

    async def test_sparks_are_of_days_that_are_over_for_the_account(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        april, may = range(1, 31), range(101, 132)
        await owner.tell(
            summary("here", timezone="UTC"),
            summary("west", timezone="America/Los_Angeles"),
            *[month(one, "2026-04", *april) for one in ("here", "west")],
            *[month(one, "2026-05", *may) for one in ("here", "west")],
            AccountDays(
                account="many",
                month="2026-05",
                metrics={"a": [1.0] * 31, "b": [2.0] * 31, "@people": [9.0] * 31},
            ),
        )
        wanted = [("here", "usage"), ("west", "usage"), ("many", "b"), ("many", "some person")]
        # 08:00 UTC on 14 May is one o'clock in Los Angeles, where the 13th is not judged yet.
        found = await server.view(1).sparks(wanted, date(2026, 5, 14))
        line: list[float | None] = [float(n) for n in (*april, *may)]
        assert found == [
            line[15:43],
            line[14:42],
            [None] * 15 + [2.0] * 13,
            [None] * 15 + [3.0] * 13,
        ]


class TestAlerts:
    async def test_they_are_listed_newest_first_also_where_many_began_at_once(
        self, server: RedisServer
    ) -> None:
        told: list[tuple[int, str, str]] = []
        for number in range(2):
            owner = await Owner(server, number=number, partitions=2).begin()
            accounts = [one for one in "abcdefghij" if partition_of(one, 2) == number]
            for account in accounts:
                for day in (1, 1, 2):
                    id = f"{account}{len(told)}"
                    told.append((day, id, account))
                    await owner.say(b.raised(id, account=account, day=day))
        view = server.view(2)
        sizes, listed, after = [], [], None
        while True:
            found, after = await view.alerts(True, after, 7)
            sizes.append(len(found))
            listed += [(one.account, one.alert_id) for one in found]
            if after is None:
                break
        assert sizes == [7, 7, 7, 7, 2]
        assert listed == [(account, id) for _, id, account in sorted(told, reverse=True)]

    async def test_those_that_are_over_are_left_out_where_only_open_ones_are_asked_for(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised("a"), b.raised("b", day=2), b.cleared("b", day=3))
        view = server.view(1)

        async def ids(open_only: bool) -> list[str]:
            return [one.alert_id for one in (await view.alerts(open_only, None, 9))[0]]

        assert (await ids(True), await ids(False)) == (["a"], ["b", "a"])
        await owner.say(b.worsened("b", day=4))
        assert (await ids(True), await ids(False)) == (["b", "a"], ["b", "a"])

    async def test_evidence_is_in_the_alert_and_not_in_lists(self, server: RedisServer) -> None:
        because = {"headline": "usage fell", "weekly": [{"observed": 1.5}] * 200, "ratio": 0.69}
        owner = await Owner(server).begin()
        await owner.say(b.raised(because=because))
        view = server.view(1)
        alert = await view.alert("a")
        assert alert is not None
        assert alert.because == {"weekly": [{"observed": 1.5}] * 200, "ratio": 0.69}
        listed = [*(await view.alerts(True, None, 9))[0], *(await view.cases())[0].alerts]
        assert [one.because for one in listed] == [None, None]

    @pytest.mark.parametrize("after", ["", "x", "0", "\x1f", "9" * 50, "é", "+", "-", "[", "("])
    async def test_any_text_is_a_place(self, server: RedisServer, after: str) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised())
        found, following = await server.view(1).alerts(True, after, 9)
        assert following is None
        assert len(found) <= 1


class TestAnswers:
    async def test_a_verdict_is_known_for_seven_days(self, server: RedisServer) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised(), b.acknowledged(id="act 1/é"))
        view = server.view(1)
        answer = ActionAnswer(
            id="act 1/é", account="acme", status="applied", version=2, state="acknowledged"
        )
        assert await view.answer("act 1/é") == answer
        assert await view.answer("act 1/é", "acme") == answer
        assert await view.answer("act 1/é", "other") is None
        left = await server.client.ttl(f"{PREFIX}view:answer:act 1/é")
        assert timedelta(days=7) - timedelta(minutes=1) < timedelta(seconds=left)
        assert timedelta(seconds=left) <= timedelta(days=7)

    async def test_two_cases_may_know_the_same_id(self, server: RedisServer) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised("a"), b.raised("b", account="other"))
        await owner.say(b.acknowledged(id="act"), b.reopened(id="act", case="other"))
        view = server.view(1)
        mine, others = await view.answer("act", "acme"), await view.answer("act", "other")
        assert mine is not None
        assert others is not None
        assert (mine.status, others.status) == ("applied", "unchanged")
