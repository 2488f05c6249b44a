"""A partition of `accounts.v1` as a table."""

import msgspec
import pytest

from schemas.accounts import AccountDays, AccountSummary
from services.alerts.accounts import UNREADABLE, Accounts, decode

encode = msgspec.json.encode


def summary(account: str = "acme", stamp: int = 1, owner: str | None = None) -> AccountSummary:
    return AccountSummary(account=account, stamp=stamp, owner=owner)


def days(account: str = "acme", month: str = "2026-05") -> AccountDays:
    return AccountDays(account=account, month=month, metrics={"usage": [1.0, 2.5]})


@pytest.mark.parametrize(
    "key,record",
    [
        ("acme", summary()),
        ("acme/days/2026-05", days()),
        # Account ids may be anything, and so look like the key of a month, or of a month's month.
        ("acme/days/2026-05", summary("acme/days/2026-05")),
        ("acme/days/2026-05/days/2026-06", days("acme/days/2026-05", "2026-06")),
        ("a/b c", summary("a/b c")),
    ],
)
def test_a_record_is_known_by_its_key_and_what_it_holds(
    key: str, record: AccountSummary | AccountDays
) -> None:
    assert decode(key, encode(record)) == record


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"account": 7, "stamp": 1}', b"\xff"])
def test_what_is_no_record_is_refused_and_the_former_summary_stays(value: bytes) -> None:
    accounts = Accounts()
    accounts.take("acme", encode(summary()))
    with pytest.raises(UNREADABLE):
        accounts.take("acme", value)
    assert accounts.summary("acme") == summary()


def test_the_newest_summary_stands_until_it_is_deleted() -> None:
    accounts = Accounts()
    assert accounts.summary("acme") is None
    accounts.take("acme", encode(summary(owner="ana")))
    assert accounts.take("acme", encode(summary(stamp=2, owner="ben"))) == summary(
        stamp=2, owner="ben"
    )
    assert (accounts.summary("acme"), len(accounts)) == (summary(stamp=2, owner="ben"), 1)
    assert accounts.take("acme", None) is None
    assert (accounts.summary("acme"), len(accounts)) == (None, 0)


def test_months_are_read_and_not_kept() -> None:
    accounts = Accounts()
    assert accounts.take("acme/days/2026-05", encode(days())) == days()
    assert len(accounts) == 0
