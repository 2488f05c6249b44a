import asyncio
import json
from datetime import UTC, datetime

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cases import decode, encode
from tests.unit.alerts.door import application, calling
from tests.unit.alerts.fakes import FakeDesk, FakeDirectory, FakeView, case

_texts = st.text(max_size=30)
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_bodies = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["acknowledge", "snooze", "resolve", "assign", "comment", "feedback"]
        )
    },
    optional={
        "until": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | _anything,
        "outcome": st.sampled_from(["saved", "churned"]) | _anything,
        "note": _anything,
        "to": _anything,
        "text": _anything,
        "alert_id": _anything,
        "verdict": st.sampled_from(["useful", "known"]) | _anything,
    },
)


@pytest.fixture(scope="module")
def fed() -> tuple[FastAPI, FakeDesk]:
    desk = FakeDesk(FakeView(case()))
    return application(desk.view, desk, FakeDirectory()), desk


@given(body=_bodies | _anything)
@settings(max_examples=150)
def test_whatever_is_sent_is_applied_or_refused_and_never_a_bug(
    fed: tuple[FastAPI, FakeDesk], body: object
) -> None:
    app, desk = fed
    desk.heard.clear()

    async def send() -> httpx2.Response:
        async with calling(app) as client:
            return await client.post(
                "/api/v1/cases/acct_1/actions",
                content=json.dumps(body),
                headers={"if-match": "*", "content-type": "application/json"},
            )

    assert asyncio.run(send()).status_code in (200, 404, 422)
    for action in desk.heard:
        assert decode(encode(action)) == action
