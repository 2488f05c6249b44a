"""The records of `rejects.v1`: every refusal, with its reason and where it came from."""

from typing import Literal

import msgspec


class Reject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One refused event or record.

    Attributes:
        stage: Who refused it.
        reason: A code, the label of the metric.
        detail: What is wrong, for a person.
        raw: The refused bytes (base64 in JSON), cut at 64 kB.
        field: The field at fault; of the detector's, the subject that refused the entry.
        source: The event's source, or the name of the input.
        topic: The topic it was read from; empty over HTTP.
        partition: The partition of that topic; None over HTTP.
        offset: The offset in that partition; None over HTTP.
        index: Its place in the batch or envelope.
    """

    stage: Literal["ingest", "detector", "alerts"]
    reason: str
    detail: str
    raw: bytes
    field: str = ""
    source: str = ""
    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    index: int | None = None
    v: int = 1


RAW_LIMIT = 64 * 1024
"""Longer refused bytes are cut: a reject must fit beside others in one transaction."""
