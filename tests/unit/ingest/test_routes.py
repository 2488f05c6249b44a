import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
import pytest

from schemas.cloudevents import Incoming
from schemas.config import ApiKey
from schemas.envelope import Entry
from schemas.events import UsageRecorded
from schemas.rejects import Reject
from services.ingest import intake as intake_module
from services.ingest.body import Uploads
from services.ingest.entries import admit
from services.ingest.intake import Intake
from services.ingest.keys import digest
from services.ingest.metrics import Metrics
from services.ingest.rejects import DETAIL_LIMIT, Rejects
from services.ingest.routes import create_app
from services.ingest.seen import HOUR_MICROS, Seen
from services.publishing.publisher import Publisher
from services.runtime import Health
from tests.unit.ingest.builders import NOW, FakeProducer, body, event

SECRET = "s" * 43
AT = datetime(2026, 1, 1, tzinfo=UTC)


def api_key(id: str, source: str, revoked_at: datetime | None = None) -> ApiKey:
    stored = digest("pepper", SECRET)
    return ApiKey(id=id, hash=stored, source=source, created_at=AT, revoked_at=revoked_at)


KEYS = {
    key.id: key
    for key in (api_key("any", "*"), api_key("one", "/one"), api_key("old", "*", revoked_at=AT))
}


@dataclass
class Door:
    """Ingest's HTTP over a fake producer."""

    producer: FakeProducer
    client: httpx2.AsyncClient
    metrics: Metrics
    seen: Seen
    obstacles: list[str] = field(default_factory=list)

    async def post(self, content: bytes, key: str = "any", **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("authorization", f"Bearer ebw_live_{key}_{SECRET}")
        return await self.client.post("/v1/events", content=content, headers=named)

    def rejects(self) -> list[Reject]:
        return [
            msgspec.json.decode(value, type=Reject)
            for topic, _, value in self.producer.sent
            if topic == "rejects.v1"
        ]

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    producer, metrics, seen, obstacles = FakeProducer(), Metrics(), Seen(), list[str]()
    publisher = Publisher(producer, "events.v1", 4)
    await publisher.start()
    metrics.sources = frozenset({"/one"})
    intake = Intake(
        publisher,
        Rejects(producer, "rejects.v1"),
        metrics,
        seen,
        lambda: NOW,
        [lambda: obstacles[0] if obstacles else None],
        lambda: KEYS,
        "pepper",
        deadline=0.3,
        limit=10,
    )
    health = Health()
    app = create_app(intake, Uploads(20_000, 50_000, 10**6, 5), health)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield Door(producer, client, metrics, seen, obstacles)
    if producer.gate is not None:
        producer.gate.set()
    await publisher.stop()


async def test_an_accepted_event_is_in_the_log_when_the_answer_comes(door: Door) -> None:
    answer = await door.post(body(event()))

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": []})
    usage = UsageRecorded(metric="api_calls", quantity=3)
    assert door.producer.entries() == [Entry("e-1", "/api", NOW, ("account:acct_42",), usage)]
    assert door.seen.hours.take() == {"/api": [NOW // HOUR_MICROS]}


async def test_a_missing_time_is_left_to_the_append_time(door: Door) -> None:
    await door.post(body(event(time=None)))

    assert [entry.time for entry in door.producer.entries()] == [0]


async def test_refused_events_are_named_and_kept_and_the_others_accepted(door: Door) -> None:
    broken = event(id="e-2", data={"metric": "m", "quantity": "many"})
    nobody = event(id="e-3", subject=None, data={"metric": "m"})
    late = event(id="e-4", time="2199-01-01T00:00:00Z")

    answer = await door.post(body(event(), broken, nobody, late))

    assert answer.status_code == 200
    told = answer.json()
    assert told["accepted"] == 1
    assert [(r["index"], r["id"], r["field"], r["reason"]) for r in told["rejected"]] == [
        (1, "e-2", "data.quantity", "invalid"),
        (2, "e-3", "subject", "unattributed"),
        (3, "e-4", "time", "future"),
    ]
    kept = sorted((r.index or 0, r.reason, r.source, json.loads(r.raw)) for r in door.rejects())
    assert kept == [
        (1, "invalid", "/api", broken),
        (2, "unattributed", "/api", nobody),
        (3, "future", "/api", late),
    ]


async def test_a_body_of_which_nothing_is_accepted_is_400(door: Door) -> None:
    answer = await door.post(b'{"specversion": "1.0"}')

    assert answer.status_code == 400
    assert answer.json() == {
        "accepted": 0,
        "rejected": [
            {
                "index": 0,
                "id": "",
                "field": "id",
                "reason": "invalid",
                "detail": "id is missing",
            }
        ],
    }


async def test_an_empty_batch_is_fine(door: Door) -> None:
    answer = await door.post(b"[]")

    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "rejected": []})


async def test_gzip_is_understood(door: Door) -> None:
    answer = await door.post(gzip.compress(body(event())), content_encoding="gzip")

    assert answer.json() == {"accepted": 1, "rejected": []}


async def test_a_key_sends_for_its_own_source_only(door: Door) -> None:
    answer = await door.post(body(event(source="/one"), event(source="/two")), key="one")

    told = answer.json()
    assert (told["accepted"], [r["reason"] for r in told["rejected"]]) == (1, ["forbidden_source"])


async def test_what_a_key_sends_unreadably_in_another_name_is_forbidden_for_good(
    door: Door,
) -> None:
    """A later version may read it, and `ebbwatch rejects replay` cannot ask the key again."""
    future = {"type": "no.such_type"}
    nameless = event(id="e-3")
    del nameless["source"]
    sent = body(event(source="/one", **future), event(source="/two", **future), nameless)
    told = [(await door.post(sent, key=key)).json()["rejected"] for key in ("one", "any")]

    assert [[each["reason"] for each in one] for one in told] == [
        ["unknown_type", "forbidden_source", "invalid"],
        ["unknown_type", "unknown_type", "invalid"],
    ]
    assert sorted((one.index, one.source) for one in door.rejects()) == [
        (0, "/one"),
        (0, "/one"),
        (1, "/two"),
        (1, "/two"),
        # of an event that names no source the key's is kept, if it has one
        (2, ""),
        (2, "/one"),
    ]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer nonsense",
        f"Bearer ebw_live_nobody_{SECRET}",
        f"Bearer ebw_live_any_{'t' * 43}",
        f"Bearer ebw_live_old_{SECRET}",
    ],
)
async def test_without_a_key_in_force_it_is_401_and_does_not_say_why(
    door: Door, authorization: str
) -> None:
    answer = await door.post(body(event()), authorization=authorization)

    detail = (
        "The key is missing, unknown, wrong or revoked; create one with `ebbwatch keys create`."
    )
    assert answer.status_code == 401
    assert answer.json() == {"error": "unauthorized", "detail": detail}
    assert answer.headers["www-authenticate"] == "Bearer"
    assert door.producer.sent == []


@pytest.mark.parametrize(
    "content, headers, status, error",
    [
        (b"x" * 50_001, {}, 413, "too_large"),
        (b"x" * 20_001, {"content_type": "application/cloudevents+json"}, 413, "too_large"),
        (gzip.compress(b"\0" * 50_001, mtime=0), {"content_encoding": "gzip"}, 413, "too_large"),
        (body(*[event()] * 11), {}, 413, "too_many"),
        (b"[" * 100 + b"]" * 100, {}, 413, "too_deep"),
        (b"a,b", {"content_type": "text/csv"}, 415, "unsupported_media"),
        (b"", {"content_encoding": "br"}, 415, "unsupported_encoding"),
        (b"no gzip", {"content_encoding": "gzip"}, 400, "broken_encoding"),
    ],
)
async def test_a_body_that_cannot_be_taken_as_a_whole_is_refused(
    door: Door, content: bytes, headers: dict[str, str], status: int, error: str
) -> None:
    answer = await door.post(content, **headers)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert door.producer.sent == []


async def test_while_something_is_awaited_it_is_503_before_the_key_is_looked_at(door: Door) -> None:
    door.obstacles.append("run `ebbwatch import FILE...`")

    answer = await door.post(body(event()), authorization="")

    assert answer.status_code == 503
    assert answer.json() == {"error": "unavailable", "detail": "run `ebbwatch import FILE...`"}
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("content", [body(event()), body(event(), event(id=None))])
async def test_without_kafka_s_acknowledgement_it_is_503_within_the_deadline(
    door: Door, content: bytes
) -> None:
    door.producer.gate = asyncio.Event()

    async with asyncio.timeout(2):
        answer = await door.post(content)

    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    assert door.count("ebbwatch_ingest_events_total", source="other", outcome="accepted") is None


async def test_metrics_name_known_sources_and_count_the_others_together(door: Door) -> None:
    nobody: dict[str, Any] = {"subject": None, "data": {"metric": "m"}}

    await door.post(body(event(source="/one"), event(source="/x1"), event(source="/x2")))
    await door.post(body(event(source="/x3", **nobody)))
    await door.post(body(event()), authorization="")

    assert door.count("ebbwatch_ingest_events_total", source="/one", outcome="accepted") == 1
    assert door.count("ebbwatch_ingest_events_total", source="other", outcome="accepted") == 2
    assert door.count("ebbwatch_ingest_events_total", source="other", outcome="refused") == 1
    assert door.count("ebbwatch_ingest_unattributed_events_total", source="other") == 1
    assert door.count("ebbwatch_dead_letters_total", stage="ingest", reason="unattributed") == 1
    assert door.count("ebbwatch_ingest_denied_total", reason="missing") == 1
    shown = (await door.client.get("/metrics")).text
    assert "ebbwatch_ingest_request_duration_seconds_count 3.0" in shown


async def test_nothing_else_is_there(door: Door) -> None:
    paths = ["/docs", "/openapi.json", "/redoc", "/v1/events", "/"]

    assert [(await door.client.get(path)).status_code for path in paths] == [
        404,
        404,
        404,
        405,
        404,
    ]


async def test_an_event_at_which_our_code_fails_is_kept_and_the_others_are_taken(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 500: its sender would repeat it for ever, and the others with it."""

    def raising(incoming: Incoming, *rest: Any) -> Any:
        if incoming.id == "bug":
            raise ZeroDivisionError("by accident")
        return admit(incoming, *rest)

    monkeypatch.setattr(intake_module, "admit", raising)

    answer = await door.post(body(event(id="good"), event(id="bug")))

    detail = (
        "format cloudevents raised ZeroDivisionError('by accident'); report this with the raw bytes"
    )
    told = {"index": 1, "id": "bug", "field": "", "reason": "format_failed", "detail": detail}
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": [told]})
    assert [entry.id for entry in door.producer.entries()] == ["good"]
    (kept,) = door.rejects()
    assert (kept.reason, kept.source, json.loads(kept.raw)["id"]) == (
        *("format_failed", "/api"),
        "bug",
    )


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
async def test_an_event_for_which_there_is_no_room_is_not_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Nothing is wrong with it: a refusal would make its sender give it up."""

    def raising(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(intake_module, "admit", raising)

    answer = await door.post(body(event()))

    assert (answer.status_code, answer.json()["error"]) == (500, "bug")
    assert (door.producer.entries(), door.rejects()) == ([], [])


async def test_an_answer_quotes_no_more_of_what_is_wrong_than_is_kept(door: Door) -> None:
    answer = await door.post(body(event(type="x" * 250), event(specversion="y" * 3_000)))

    (kind, version) = answer.json()["rejected"]
    assert kind["detail"].startswith("type 'xxx")
    assert len(version["detail"]) == DETAIL_LIMIT


async def test_what_no_line_foresaw_is_answered_500_and_the_next_request_is_taken(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raising(*_: Any) -> Any:
        raise ZeroDivisionError("by accident")

    with monkeypatch.context() as broken:
        broken.setattr(intake_module.Intake, "accept", raising)
        answer = await door.post(body(event()))

    assert (answer.status_code, answer.json()["error"]) == (500, "bug")
    assert answer.json()["detail"].startswith("a bug of Ebbwatch's: ZeroDivisionError(")
    assert (await door.post(body(event()))).status_code == 200
