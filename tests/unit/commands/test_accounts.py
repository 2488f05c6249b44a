from typing import Any

import pytest

from services.commands.accounts import _for_people

LINE: dict[str, Any] = {
    "account": "acme",
    "partition": 3,
    "stamp": 4,
    "judged": "2026-05-13",
    "facts": {"owner": "ana"},
    "buckets": {"calls": {"2026-05-12": 1.5, "2026-05-13": 2}, "logins": {}},
    "states": {"calls": "ok"},
    "watch": [],
    "people": {},
    "episodes": [],
    "quarantine": None,
}


def shown(**changes: Any) -> list[str]:
    return _for_people(LINE | changes).splitlines()


def test_an_account_is_shown_line_by_line() -> None:
    assert shown() == [
        "acme  (partition 3, stamp 4, judged to 2026-05-13)",
        "  facts     owner ana",
        "  calls     ok; 2 days; newest 2026-05-12 1.5  2026-05-13 2",
        "  logins    not judged yet; 0 days; newest ",
        "  people    0",
    ]


@pytest.mark.parametrize(
    "object_, state, said",
    [
        ("calls", "pending", "ok, watch: falling, not yet certain"),
        ("calls", "cooling", "ok, watch: falling, not yet certain"),
        ("logins", "firing", "ok, watch: falling, not yet certain"),
        # of what is told there is nothing to watch
        ("calls", "firing", "ok"),
        ("calls", "clearing", "ok"),
    ],
)
def test_a_fall_on_watch_is_said_until_it_is_told(object_: str, state: str, said: str) -> None:
    episode = {"rule": "usage-drop", "object": object_, "state": state}
    told = shown(watch=["calls"], episodes=[episode])
    assert told[2] == f"  calls     {said}; 2 days; newest 2026-05-12 1.5  2026-05-13 2"
