"""What the OpenAPI document says beyond what types say: examples, the stream, who may call."""

from typing import Any, Final

from fastapi import FastAPI

ACTION_BODIES: Final[dict[str, Any]] = {
    "acknowledge": {"summary": "I am on it", "value": {"type": "acknowledge"}},
    "snooze": {
        "summary": "Not before that moment",
        "value": {"type": "snooze", "until": "2026-06-01T09:00:00+02:00"},
    },
    "resolve": {
        "summary": "It is over",
        "value": {"type": "resolve", "outcome": "saved", "note": "New champion found."},
    },
    "assign": {"summary": "Somebody else works on it", "value": {"type": "assign", "to": "ana"}},
    "comment": {
        "summary": "A word to the others",
        "value": {"type": "comment", "text": "Their admin has left; I called the CTO."},
    },
    "reopen": {"summary": "It is not over", "value": {"type": "reopen"}},
    "feedback": {
        "summary": "What an alert was worth",
        "value": {
            "type": "feedback",
            "alert_id": "5f8b6d1e-8f5c-5c39-9d0e-0c1f5f4b7a10",
            "verdict": "useful",
        },
    },
}

CASE: Final[dict[str, Any]] = {
    "account": "acct_1",
    "name": "Acme Ltd",
    "state": "open",
    "version": 3,
    "severity": "high",
    "owner": "ana",
    "assignee": None,
    "segment": "mid-market",
    "country": "DE",
    "arr": 1_200_000,
    "currency": "EUR",
    "renewal_on": "2026-06-15",
    "opened_at": "2026-05-14T00:15:00Z",
    "changed_at": "2026-05-14T09:30:00Z",
    "until": None,
    "outcome": None,
    "historic": False,
    "alerts": [],
    "spark": [],
}

FRESH: Final[dict[str, Any]] = {
    "as_of": "2026-05-14T09:30:00Z",
    "partitions": 8,
    "current": 8,
    "complete": True,
    "stale": False,
    "reason": "",
}

APPLIED: Final[dict[str, Any]] = {
    "id": "0f0d7a0c-2f6c-4d0e-8a55-6f1f3a1f9b7d",
    "account": "acct_1",
    "status": "applied",
    "version": 3,
    "state": "open",
    "detail": "",
}

CONFLICT: Final[dict[str, Any]] = {
    "error": "conflict",
    "detail": "The case has moved on; look at it, and act again.",
    "answer": APPLIED | {"status": "conflict"},
    "case": CASE,
}

_EVENTS: Final = (
    "event: change\n"
    'data: {"id":"1764000000000-0","type":"alert.raised","account":"acct_1","version":1,'
    '"severity":"high","raised":true}\n'
    "id: 1764000000000-0\n\n"
)

_STREAM: Final[dict[str, Any]] = {
    "description": (
        "`change`: a case or an account changed, `data` is a `Change` and `id` its place; "
        "`reset`: messages may be missing, read everything anew; `stale`: what is shown may be "
        "out of date, `data.reason` says why; `fresh`: it is current again. A comment comes after "
        "15 s of silence. With `Last-Event-ID` what was missed comes first."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
}


def example(content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Return what the document shows of a good answer.

    Args:
        content: Such an answer.
    """
    return {200: {"content": {"application/json": {"example": content}}}}


_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "The value of EBBWATCH_TOKEN."},
    "browser": {
        "type": "http",
        "scheme": "basic",
        "description": "The token as password; the user name is who acts.",
    },
}


_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}


class DocumentedApi(FastAPI):
    """An application whose document says who may call, and what types alone do not.

    Args:
        secured: Whether a token is asked for.
        settings: As of `FastAPI`.
    """

    def __init__(self, secured: bool, **settings: Any) -> None:
        super().__init__(generate_unique_id_function=lambda route: route.name, **settings)
        self._secured = secured

    def openapi(self) -> dict[str, Any]:
        """Return the document, made when it is first asked for."""
        if self.openapi_schema is None:
            self._complete(super().openapi())
        return super().openapi()

    def _complete(self, document: dict[str, Any]) -> None:
        paths = document["paths"]
        for parameter in paths["/cases/{account}/actions"]["post"]["parameters"]:
            if parameter["name"] == "If-Match":
                # Without it the answer is 428, not 422: so it is optional to the framework.
                parameter |= {"required": True, "schema": {"type": "string", "example": '"3"'}}
        # The framework takes every answer of a stream for one.
        responses = paths["/stream"]["get"]["responses"]
        for status, answer in responses.items():
            answer.pop("text/event-stream", None)
            if status != "200":
                answer["content"]["application/json"]["schema"] = _PROBLEM
        responses["200"] = _STREAM
        if self._secured:
            document["components"]["securitySchemes"] = _SCHEMES
            document["security"] = [{name: []} for name in _SCHEMES]
