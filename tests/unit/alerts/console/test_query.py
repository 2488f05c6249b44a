from datetime import date
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerts import SEVERITIES
from services.alerts.console.query import (
    SORTS,
    TABS,
    BadQuery,
    Query,
    account_address,
    local_path,
    read,
    same_address,
)
from services.alerts.console.words import minor_units
from services.alerts.listing import Filter

TODAY = date(2026, 5, 14)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=20
)
QUERIES = st.builds(
    Query,
    state=st.sampled_from(sorted(TABS)),
    owner=TEXT,
    severity=st.sets(st.sampled_from(SEVERITIES)).map(
        lambda asked: tuple(one for one in SEVERITIES[::-1] if one in asked)
    ),
    segment=TEXT,
    arr=st.sampled_from(["", "0-10000", "250000-", "-5"]),
    renewal=st.sampled_from(["", "0", "90"]),
    sort=st.sampled_from(sorted(SORTS)),
    q=TEXT,
    after=TEXT,
)


def pairs(address: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address).query, keep_blank_values=True)


@given(QUERIES)
def test_an_address_leads_back_to_what_it_was_made_of(query: Query) -> None:
    assert read(pairs(query.address(after=query.after))) == query


def test_the_plain_inbox_has_a_plain_address() -> None:
    assert (Query().address(), Query().narrowed) == ("/", False)
    assert Query(owner="me").narrowed


def test_another_filter_begins_with_the_first_page() -> None:
    query = Query(severity=("critical",), after="place")

    assert query.address(sort="arr") == "/?severity=critical&sort=arr"
    assert query.with_severity("high") == "/?severity=critical&severity=high"
    assert query.with_severity("critical") == "/"


def test_what_it_asks_of_the_list() -> None:
    query = read(pairs("/?owner=me&arr=10000-50000&renewal=30&segment=smb&q=+ac+&severity=high"))

    assert query.wanted("ana", TODAY) == Filter(
        state=frozenset({"open"}),
        owner=frozenset({"ana"}),
        severity=frozenset({"high"}),
        segment=frozenset({"smb"}),
        min_arr=1_000_000,
        max_arr=4_999_999,
        renewal_before=date(2026, 6, 14),
        q="ac",
    )
    nobody = read(pairs("/?owner=nobody&state=all")).wanted("ana", TODAY)
    assert nobody == Filter(
        state=frozenset({"open", "acknowledged", "snoozed"}), owner=frozenset({""})
    )


@pytest.mark.parametrize(
    "currency, least, most",
    [("JPY", 10_000, 49_999), ("EUR", 1_000_000, 4_999_999), ("KWD", 10_000_000, 49_999_999)],
)
def test_a_band_is_of_major_units_of_its_currency(currency: str, least: int, most: int) -> None:
    wanted = read(pairs("/?arr=10000-50000")).wanted("ana", TODAY, minor=minor_units(currency))

    assert (wanted.min_arr, wanted.max_arr) == (least, most)


@pytest.mark.parametrize(
    "query, field",
    [
        ("state=closed", "state"),
        ("severity=high&severity=awful", "severity"),
        ("sort=name", "sort"),
        ("arr=10000", "arr"),
        ("arr=a-b", "arr"),
        ("arr=1-2-3", "arr"),
        ("arr=" + "9" * 20 + "-", "arr"),
        ("arr=٣-", "arr"),
        ("renewal=soon", "renewal"),
        ("renewal=-1", "renewal"),
        ("renewal=99999", "renewal"),
        ("renewal=" + "9" * 5_000, "renewal"),
    ],
)
def test_a_malformed_filter_names_its_field(query: str, field: str) -> None:
    with pytest.raises(BadQuery) as refused:
        read(pairs(f"/?{query}"))

    assert refused.value.field == field


@given(st.text(min_size=1))
def test_no_id_leads_out_of_the_account_pages(account: str) -> None:
    try:
        account.encode()
    except UnicodeEncodeError:
        return
    path = urlsplit(account_address(account)).path
    parts = path.split("/")[2:]

    assert path.startswith("/accounts")
    assert not {".", "..", "%2e"} & set(parts)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "evil",
        "/\n",
        "/" * 5000,
        "/accounts/a/../../me",
        "/accounts/%2e%2E/me",
        "/./me",
        "/accounts/a\\..\\..\\me",
    ],
)
def test_nobody_is_sent_elsewhere(text: str) -> None:
    assert local_path(text) == "/"


@pytest.mark.parametrize(
    "path, query, offered",
    [
        (b"/accounts/50%2F", b"", "/accounts/50%2F"),
        (b"/accounts/a%2F..%2F..%2Fme", b"x=a%26b&y", "/accounts/a%2F..%2F..%2Fme?x=a%26b&y"),
        (b"/accounts/a/../../me", b"", "/"),
        (b"/accounts/a/%2E%2e/x", b"", "/"),
        (b"/accounts/a\\..\\..\\me", b"", "/accounts/a%5C..%5C..%5Cme"),
        (b"//evil.example/", b"", "/"),
        (b"/accounts/\xe5\xae\xa2", b"q=\xff", "/accounts/%E5%AE%A2?q=%FF"),
        (b'/accounts/a"<b>', b"", "/accounts/a%22%3Cb%3E"),
    ],
)
def test_what_was_asked_for_is_offered_again_as_it_came(
    path: bytes, query: bytes, offered: str
) -> None:
    assert same_address(path, query) == offered
