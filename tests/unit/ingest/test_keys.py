from datetime import UTC, datetime

import msgspec
import pytest

from schemas.config import ApiKey
from services.ingest.keys import Denied, Presented, digest, may_send, parse, verify

SECRET = "s" * 43
KEY = ApiKey(
    id="k1",
    hash=digest("pepper", SECRET),
    source="/api",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
REVOKED = msgspec.structs.replace(KEY, id="k2", revoked_at=datetime(2026, 2, 1, tzinfo=UTC))
KEYS = {key.id: key for key in (KEY, REVOKED)}


@pytest.mark.parametrize(
    "header, found",
    [
        (f"Bearer ebw_live_k1_{SECRET}", Presented("live", "k1", SECRET)),
        (f"bearer  ebw_live_k1_{SECRET} ", Presented("live", "k1", SECRET)),
        (f"Bearer ebw_live_k1_{'_-' * 21}_", Presented("live", "k1", "_-" * 21 + "_")),
        (None, Denied("missing")),
        ("Basic abc", Denied("missing")),
        ("Bearer ", Denied("malformed")),
        (f"Bearer ebw_live_k1_{SECRET}s", Denied("malformed")),
        (f"Bearer ebw_live_k1_{SECRET[1:]}", Denied("malformed")),
        (f"Bearer ebw_LIVE_k1_{SECRET}", Denied("malformed")),
    ],
)
def test_a_header_is_read(header: str | None, found: Presented | Denied) -> None:
    assert parse(header) == found


@pytest.mark.parametrize(
    "presented, verdict",
    [
        (Presented("live", "k1", SECRET), KEY),
        (Presented("test", "k1", SECRET), KEY),  # the environment is for people
        (Presented("live", "k1", "t" * 43), Denied("wrong", "k1")),
        (Presented("live", "k9", SECRET), Denied("unknown", "k9")),
        (Presented("live", "k2", SECRET), Denied("revoked", "k2")),
        (Presented("live", "k2", "t" * 43), Denied("wrong", "k2")),
    ],
)
def test_a_key_opens_only_with_its_own_secret(
    presented: Presented, verdict: ApiKey | Denied
) -> None:
    assert verify(presented, KEYS, "pepper") == verdict


def test_another_pepper_opens_nothing() -> None:
    assert verify(Presented("live", "k1", SECRET), KEYS, "other") == Denied("wrong", "k1")


def test_a_key_is_handed_out_as_it_is_presented() -> None:
    presented = Presented("live", "k1", SECRET)

    assert parse(f"Bearer {presented.text()}") == presented
    assert SECRET not in repr(presented)


@pytest.mark.parametrize(
    "scope, source, allowed", [("/api", "/api", True), ("/api", "/apis", False), ("*", "x", True)]
)
def test_a_key_is_scoped_by_source(scope: str, source: str, allowed: bool) -> None:
    assert may_send(msgspec.structs.replace(KEY, source=scope), source) is allowed
