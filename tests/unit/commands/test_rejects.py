"""What is said of refusals: which are meant, and how each is shown."""

import ast
import base64
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from schemas.cloudevents import Refused
from schemas.config import Input, RuleSetContent, RuleSetRecord
from schemas.envelope import Entry, Origin, account
from schemas.events import UsageRecorded
from schemas.rejects import Reject
from services.commands import reject_text, rejects
from services.commands.rejected import Refusal, Wanted, beginning, names_of, topics_of
from services.commands.replaying import Chosen
from services.commands.resending import Again

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


def refusal(minute: int = 0, **changes: Any) -> Refusal:
    fields = {
        "stage": "ingest",
        "reason": "invalid",
        "detail": "expected `int`",
        "raw": b'{"id":"e-7"}',
        "field": "data.quantity",
        "source": "/api",
        "index": 2,
    }
    at_ms = round(NOON.timestamp() * 1000) + 60_000 * minute
    return Refusal(1, 40 + minute, at_ms, Reject(**{**fields, **changes}))


OF_INPUT: dict[str, Any] = {"topic": "usage", "partition": 3, "offset": 1234}


@pytest.mark.parametrize(
    "since, begin, found",
    [
        ("90s", None, datetime(2026, 5, 14, 11, 58, 30, tzinfo=UTC)),
        ("14d", None, datetime(2026, 4, 30, 12, tzinfo=UTC)),
        ("2h", "2026-05-13", datetime(2026, 5, 13, tzinfo=UTC)),
        ("2h", "2026-05-13T09:30+02:00", datetime(2026, 5, 13, 7, 30, tzinfo=UTC)),
        ("2 h", None, "--since '2 h' must be a number with s, m, h or d, such as 2h"),
        ("2h", "May", "--from 'May' must be a date or an instant, such as 2026-05-14T09:00Z"),
        ("2h", "2026-05-13T09:30", "--from '2026-05-13T09:30' has no offset; write "),
    ],
)
def test_from_when_on_is_said_as_a_span_or_an_instant(
    since: str, begin: str | None, found: datetime | str
) -> None:
    answer = beginning(since, begin, NOON)
    if isinstance(found, str):
        assert str(answer).startswith(found)
    else:
        assert answer == found


def test_a_wrong_span_is_wrong_usage() -> None:
    told = CliRunner().invoke(rejects.app, ["list", "--since", "soon"])
    assert (told.exit_code, "such as 2h" in told.output) == (2, True)


def test_filters_leave_out_what_is_not_meant() -> None:
    every = [
        refusal(-1),
        refusal(0),
        refusal(1, reason="future"),
        refusal(2, stage="detector"),
        refusal(3, source="/other"),
    ]

    def meant(**changes: Any) -> list[int]:
        wanted = Wanted(NOON, **changes)
        return [one.offset - 40 for one in every if one in wanted]

    assert meant() == [0, 1, 2, 3]
    assert meant(stage="detector") == [2]
    assert meant(reasons=frozenset({"future", "no_such"})) == [1]
    assert meant(source="/other") == [3]


def rule_set(n: int, **topics: str) -> dict[str, bytes]:
    inputs = {
        name.replace("__", "~"): Input(topic=topic, format="cloudevents", source="/api")
        for name, topic in topics.items()
    }
    text = msgspec.json.encode(RuleSetContent(rules=[], inputs=inputs)).decode()
    return {f"rules/{n}": msgspec.json.encode(RuleSetRecord(n=n, content=text, applied_at=NOON))}


def test_the_topics_of_an_input_are_those_of_all_its_lives() -> None:
    found = {**rule_set(1, usage="u1", crm="c"), **rule_set(2, usage__2="u2")}
    assert topics_of(found, "usage") == {"u1", "u2"}
    assert topics_of(found, "usage~2") == {"u2"}
    assert topics_of(found, "/api") == frozenset()


def test_what_an_input_brought_is_found_by_the_inputs_name_and_by_its_topic() -> None:
    every = [
        refusal(0, topic="u1", partition=0, offset=3),
        refusal(1),
        refusal(2, topic="c", partition=0, offset=3),
        # Folded from events.v1: its entry says by which input it came, if that is in it.
        by_detector(3, Origin("usage", 0, 3, 0)),
        by_detector(4, None),
        refusal(5, stage="detector", topic="events.v1", partition=0, offset=3, raw=b"cut off"),
    ]

    found = {**rule_set(1, usage="u1", crm="c"), **rule_set(2, usage__2="u2")}

    def meant(source: str) -> list[int]:
        topics, names = topics_of(found, source), names_of(found, source)
        wanted = Wanted(NOON, source=source, topics=topics, inputs=names)
        return [one.offset - 40 for one in every if one in wanted]

    assert meant("usage") == meant("u1") == [0, 3]
    assert meant("usage~2") == []
    assert meant("/api") == [0, 1, 2, 3, 4, 5]
    assert meant("events.v1") == []


def by_detector(minute: int, origin: Origin | None) -> Refusal:
    event = UsageRecorded(metric="api_calls", quantity=1)
    entry = Entry("e", "/api", 0, (account("acme"),), event, origin)
    return refusal(minute, stage="detector", topic="events.v1", raw=msgspec.json.encode(entry))


@pytest.mark.parametrize("command", ["list", "replay"])
def test_an_unknown_reason_is_wrong_usage_and_the_known_ones_are_told(command: str) -> None:
    told = CliRunner().invoke(rejects.app, [command, "--reason", "future", "--reason", "no_such"])
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == (
        f"--reason 'no_such' is unknown; there are {', '.join(sorted(rejects.REASONS))}\n"
    )


def test_every_reason_in_the_code_can_be_asked_for() -> None:
    root = Path(__file__).parents[3]
    takes = {"Refused": 0, "_refuse": 1, "refuse_entry": 1, "of_bytes": 2}
    code = ("schemas/cloudevents.py", "services/ingest/**/*.py", "services/detector/**/*.py")
    found = set()
    for path in (each for pattern in code for each in root.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                given = node.args[takes[name] : takes[name] + 1] if name in takes else []
            else:
                given = [node.value] if isinstance(node, ast.Return) and node.value else []
                given = [one for one in map(_only_refusals, given) if one is not None]
            found |= {one.value for one in given if isinstance(one, ast.Constant)}
    assert {"invalid", "unattributed", "too_many_contacts", "unreadable"} <= found
    assert found <= rejects.REASONS


def _only_refusals(returned: ast.expr) -> ast.expr | None:
    """Return what a fold says of an entry that it refuses: facts return the code itself."""
    known = isinstance(returned, ast.Constant) and isinstance(returned.value, str)
    code = re.compile("(too_many|sum_too|unknown)_[a-z_]+")
    return returned if known and code.fullmatch(returned.value) else None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "changes, origin",
    [({}, "HTTP #2"), ({"index": None}, "a file"), (OF_INPUT, "usage/3@1234 #2")],
)
def test_where_a_refusal_came_from_is_told(changes: dict[str, Any], origin: str) -> None:
    assert refusal(**changes).origin == origin


def test_a_refusal_stands_in_two_lines_that_do_nothing_to_a_terminal() -> None:
    assert reject_text.lines(refusal(raw=b'{"id":"e-7\\u001b[2J"}')) == [
        "2026-05-14 12:00:00  ingest    invalid           /api  e-7\ufffd[2J  HTTP #2",
        "    data.quantity: expected `int`",
    ]


def test_a_refusal_that_a_replay_has_sent_says_so() -> None:
    assert reject_text.lines(refusal(), sent_again=True)[0].endswith("  HTTP #2  sent again")
    assert reject_text.listed(refusal(), sent_again=True)["sent_again"] is True
    assert reject_text.summary(Counter({"ingest invalid": 3}), Wanted(NOON), 1, 2)[1] == (
        "3 refusals, 1 of them shown, 2 of them sent again by a replay"
    )


@pytest.mark.parametrize(
    "raw, id",
    [
        (b'{"id":"e-7"}', "e-7"),
        (b'["e-8","/api",0]', "e-8"),  # an entry of events.v1
        (b'{"id":7}', ""),
        (b"[]", ""),
        (b"[1]", ""),
        (b"poison", ""),
        (b"[" * 5_000, ""),
        (b"\xff", ""),
    ],
)
def test_the_id_is_read_as_far_as_it_can_be(raw: bytes, id: str) -> None:
    assert reject_text.identity(refusal(raw=raw).reject) == id


def test_bytes_that_are_no_text_are_shown_as_base64() -> None:
    text, bytes_ = (reject_text.plain(refusal(raw=raw, **OF_INPUT)) for raw in (b"{}", b"\xff\x00"))

    assert text == {
        "at": "2026-05-14T12:00:00+00:00",
        "partition": 1,
        "offset": 40,
        "stage": "ingest",
        "reason": "invalid",
        "field": "data.quantity",
        "detail": "expected `int`",
        "source": "/api",
        "id": "",
        "topic": "usage",
        "topic_partition": 3,
        "topic_offset": 1234,
        "index": 2,
        "cut": False,
        "raw": "{}",
    }
    assert base64.b64decode(str(bytes_["raw_base64"])) == b"\xff\x00"
    assert msgspec.json.encode(bytes_)


def test_the_summary_counts_all_of_them_by_reason() -> None:
    counts = Counter({"ingest invalid": 1_200, "detector future": 3})
    assert reject_text.summary(counts, Wanted(NOON), 50) == [
        "",
        "1,203 refusals, 50 of them shown",
        "    1,200  ingest invalid",
        "        3  detector future",
    ]
    assert reject_text.summary(Counter(), Wanted(NOON), 0) == [
        "nothing was refused since 2026-05-14 12:00 UTC (--since 14d looks at all that is kept)"
    ]


def test_what_a_replay_came_to_is_told_with_the_first_of_what_is_left() -> None:
    why = Refused("invalid", "data.quantity", "expected `int`")
    tried = [
        Again(refusal(), items=[(0, b""), (1, b"")], events=1),
        *(Again(refusal(minute), refused=[why]) for minute in range(12)),
    ]

    assert reject_text.replayed(tried, "sent") == [
        "1 event of 1 refusal sent",
        "12 events still refused (invalid 12)",
    ]
    told = reject_text.examples(tried)
    assert told[0] == "  HTTP #2  e-7  invalid: data.quantity: expected `int`"
    assert (len(told), told[-1]) == (11, "  and 2 more; --json shows all")
    assert reject_text.rest(Chosen(sent_before=1, left=2)) == [
        "1 refusal had been replayed before",
        "2 refusals left; run the same command again",
    ]
