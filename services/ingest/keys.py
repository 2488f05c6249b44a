"""API keys: `ebw_<env>_<id>_<secret>`, of which only a keyed hash of the secret is stored."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from schemas.config import ApiKey

SECRET_BYTES: Final = 32
"""So much randomness needs no slow hash. Source: faults-and-security.md, intake auth."""
ANY_SOURCE: Final = "*"

_FORM = re.compile(r"ebw_([a-z0-9]{1,20})_([A-Za-z0-9]{1,40})_([A-Za-z0-9_-]{43})")
_NOBODY = "0" * 64


class Presented(NamedTuple):
    """A key as a client presents it; its repr shows no secret.

    Attributes:
        env: Which deployment it is meant for, such as `live`.
        id: Public part, which may be logged.
        secret: 43 characters.
    """

    env: str
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"Presented(env={self.env!r}, id={self.id!r})"

    def text(self) -> str:
        """Return the key as it is handed out."""
        return f"ebw_{self.env}_{self.id}_{self.secret}"


class Denied(NamedTuple):
    """Why a key does not open the door.

    Attributes:
        reason: For the log and the metric; the client is not told which.
        id: Public part of the key, empty if none could be read.
    """

    reason: Literal["missing", "malformed", "unknown", "wrong", "revoked"]
    id: str = ""


def parse(authorization: str | None) -> Presented | Denied:
    """Read the value of an `Authorization` header.

    >>> parse("Bearer nonsense").reason
    'malformed'
    """
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return Denied("missing")
    found = _FORM.fullmatch(text.strip())
    return Presented(*found.groups()) if found else Denied("malformed")


def digest(pepper: str, secret: str) -> str:
    """Return what is stored of a secret: HMAC-SHA256 under the deployment's pepper, hex."""
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()


def verify(presented: Presented, keys: Mapping[str, ApiKey], pepper: str) -> ApiKey | Denied:
    """Tell whose key it is, in a time that does not depend on whether its id exists.

    Args:
        presented: What the client sent.
        keys: All keys by id, revoked ones too.
        pepper: The deployment's secret.
    """
    key = keys.get(presented.id)
    stored = _NOBODY if key is None else key.hash
    right = hmac.compare_digest(stored, digest(pepper, presented.secret))
    if key is None:
        return Denied("unknown", presented.id)
    if not right:
        return Denied("wrong", presented.id)
    return key if key.revoked_at is None else Denied("revoked", presented.id)


def may_send(key: ApiKey, source: str) -> bool:
    """Tell whether a key's scope holds a source."""
    return key.source in (ANY_SOURCE, source)
