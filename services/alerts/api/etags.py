"""The `ETag` of a case: its version, for who acts, and its content, for who keeps copies."""

import orjson
import xxhash
from pydantic import BaseModel
from starlette.responses import Response

from services.alerts.shown import CaseShown


def raw(content: BaseModel) -> bytes:
    """Return the JSON of an answer."""
    return orjson.dumps(content.model_dump(mode="json"))


def etag(case: CaseShown) -> str:
    """Return a case's `ETag`.

    It begins with the version, which `If-Match` is about. That stays when an alert is added,
    whereas a copy that somebody keeps must be renewed: so the content follows.

    Args:
        case: The case.
    """
    return _tag(case.version, raw(case))


def tagged(case: CaseShown, known: str | None) -> Response:
    """Return a case's answer, or 304 to who has it already.

    Args:
        case: The case.
        known: The header `If-None-Match`.

    Source:
        RFC 9110 §13.1.2, weak comparison.
    """
    content = raw(case)
    tag = _tag(case.version, content)
    told = [one.strip().removeprefix("W/") for one in (known or "").split(",")]
    if "*" in told or tag in told:
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, headers={"etag": tag}, media_type="application/json")


def _tag(version: int, content: bytes) -> str:
    return f'"{version}-{xxhash.xxh3_64_hexdigest(content)}"'
