"""What every kind of channel is given, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver
from yarl import URL

from schemas.config import ChannelHealth

Network = IPv4Network | IPv6Network

SECRET_CHARACTERS: Final = 8
"""A part of an address that is shorter is no secret, and to hide it would garble other words."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as it is in force; neither its address nor its secrets are in its repr.

    Attributes:
        name: Its name in `channels.toml`.
        kind: Which module of this package sends.
        url: Where it sends; the path may be a secret of the endpoint's.
        secrets: In the clear, the newest first; while secrets change, two are in force.
        allow: Networks that it may reach although they are not public.
        allow_http: Plain http, and any port.
        health: How its endpoint does.
        fault: Why it cannot be used as it stands, and the remedy; empty if it can.
    """

    name: str
    kind: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    allow: tuple[Network, ...] = ()
    allow_http: bool = False
    health: ChannelHealth = field(default_factory=ChannelHealth)
    fault: str = ""

    @property
    def disabled(self) -> bool:
        """Whether it was switched off until `ebbwatch channels enable`."""
        return self.health.disabled_at is not None

    @property
    def state(self) -> Literal["ok", "failing", "disabled", "broken"]:
        """How it does, in a word."""
        if self.fault:
            return "broken"
        if self.disabled:
            return "disabled"
        return "ok" if self.health.failing_since is None else "failing"

    @property
    def host(self) -> str:
        """Where it sends as far as everybody may see it, such as `crm.example.com`."""
        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:
            return ""

    def hidden(self, text: str) -> str:
        """Return what the far end or a library said, without what of the address may be secret.

        Many an endpoint says `Cannot POST /hooks/<secret>` of a path that it does not know.
        """
        try:
            url = URL(self.url)
            whole = {self.url, str(url), url.raw_path_qs, url.path_qs, url.raw_path, url.path}
        except (ValueError, IndexError):
            return text
        parts = {*url.raw_parts, *url.parts, url.raw_query_string, url.query_string}
        secrets = whole | parts | {*url.query, *url.query.values()}
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= SECRET_CHARACTERS:
                text = text.replace(secret, "[hidden]")
        return text


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint took it.

    Attributes:
        status: Its HTTP status, 200..299.
    """

    status: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt failed.

    Attributes:
        reason: Coarse, for people: `forbidden_address`, `redirect`, `timeout`, `connection`,
            `tls`, `status 503`, `gone`, `bad_url`, `misconfigured`, `channel_disabled`.
        detail: For the log of the process; it shows no secret, and of an address the host only.
        retry_after: Seconds that the endpoint asks to be left alone for, at most a day.
        gone: The endpoint answered 410: the channel is to be switched off.
    """

    reason: str
    detail: str
    retry_after: float | None = None
    gone: bool = False


Outcome = Delivered | Refused


class Kind(Protocol):
    """What a module of this package is; none keeps anything between two attempts."""

    KIND: str

    def url_fault(self, url: str, allow: Sequence[Network], allow_http: bool) -> str | None:
        """Return why it cannot send to an address, with the remedy; None if it can."""

    def secret_fault(self, secret: str) -> str | None:
        """Return what is wrong with a secret, without showing it; None if nothing is."""

    def make_secret(self, randomness: bytes) -> str:
        """Return a fresh secret made of 32 random bytes."""

    async def send(
        self,
        channel: Channel,
        notice_id: str,
        body: bytes,
        now: datetime,
        within: float,
        lookup: AbstractResolver,
    ) -> Outcome:
        """Make one attempt.

        Args:
            channel: Where to.
            notice_id: The notice; the same for every attempt.
            body: What to send, as `message.py` composed it.
            now: Aware UTC, when the attempt begins.
            within: Seconds for everything, > 0.
            lookup: Finds the addresses of a name.
        """
