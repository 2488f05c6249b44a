"""Lets a channel reach public addresses only, whatever its address and its name servers say.

Source: OWASP API7:2023, and faults-and-security.md (SSRF). What is refused is what IANA's
special-purpose registries name as not globally reachable (RFC 6890 and its updates, as of 2026).
"""

import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.alerts.channels.sending import Network

PORTS: Final = (443, 8443)
URL_LIMIT: Final = 2_000

_V4: Final = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a carrier's NAT",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "reserved for protocols",
    IPv4Network("192.0.2.0/24"): "for documentation",
    IPv4Network("192.88.99.0/24"): "a 6to4 relay",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "for benchmarks",
    IPv4Network("198.51.100.0/24"): "for documentation",
    IPv4Network("203.0.113.0/24"): "for documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
    # Azure's virtual host on every machine there, which hands out certificates and settings.
    IPv4Network("168.63.129.16/32"): "the metadata service of a cloud",
}
_V6: Final = {
    IPv6Network("::/128"): "unspecified",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("fc00::/7"): "private",
    IPv6Network("ff00::/8"): "multicast",
    # Inside 2000::/3, which is all that is handed out for unicast (RFC 4291).
    IPv6Network("2001::/32"): "a Teredo tunnel",
    IPv6Network("2001::/23"): "reserved for protocols",
    IPv6Network("2001:db8::/32"): "for documentation",
    IPv6Network("2002::/16"): "a 6to4 tunnel",
    IPv6Network("3fff::/20"): "for documentation",
}
_GLOBAL: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""A network without IPv4 reaches it through these: what counts is the address inside (RFC 6052)."""

_PRINTABLE = re.compile(r"[!-\[\]-~]+")
_NUMERIC = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class BadUrl(NamedTuple):
    """Why an address is none that a channel may have; the reason does not show it whole."""

    reason: str


class ForbiddenAddress(OSError):
    """An address that this channel may not reach."""


def parse(url: str, allow_http: bool) -> URL | BadUrl:
    """Read a channel's address, or say what is wrong with it.

    Args:
        url: The address.
        allow_http: Plain http, and any port.

    >>> parse("https://crm.example.com/hook", False)
    URL('https://crm.example.com/hook')
    >>> parse("https://crm.example.com:444/hook", False).reason
    'port 444 is not 443 or 8443; allow_http = true lifts that'
    """
    if len(url) > URL_LIMIT:
        return BadUrl(f"it has {len(url):,} characters; at most {URL_LIMIT:,}")
    if not _PRINTABLE.fullmatch(url):
        return BadUrl(
            "it must be printable ASCII without spaces and backslashes; write a name in another "
            "script as `xn--...`, the rest percent-encoded"
        )
    try:
        read = URL(url)
        port = read.port
    except (ValueError, IndexError):
        # IndexError is what yarl raises of a host of brackets only.
        return BadUrl("it is no URL; such as https://crm.example.com/hook")
    reason = _scheme(read, allow_http) or _host(url, read) or _port(port, allow_http)
    return BadUrl(reason) if reason else read


def refusal(text: str, allow: Sequence[Network]) -> str | None:
    """Return why an address may not be reached; None if it may.

    Args:
        text: As name servers and sockets write it.
        allow: Networks that may be reached although they are not public.

    >>> refusal("93.184.215.14", ())
    >>> refusal("::ffff:127.0.0.1", ())
    '::ffff:127.0.0.1 is not public: loopback'
    """
    try:
        address = ip_address(text)
    except ValueError:
        return f"{text!r} is no address"
    meant = _meant(address)
    if any(one in network for one in (address, meant) for network in allow):
        return None
    why = _why_not_public(meant)
    return f"{text} is not public: {why}" if why else None


class Guard(AbstractResolver):
    """Judges every address of one attempt: all that a name has, and the one that is connected to.

    A name is asked once, and only what was judged is connected to: a name server that answers
    otherwise the next time changes nothing.

    Args:
        allow: Networks that may be reached although they are not public.
        lookup: Finds the addresses of a name.
        make: Makes a socket.
    """

    def __init__(
        self,
        allow: Sequence[Network],
        lookup: AbstractResolver,
        make: Callable[..., socket.socket] = socket.socket,
    ) -> None:
        self.refused: str | None = None
        self._allow = allow
        self._lookup = lookup
        self._make = make

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name if every one of them may be reached.

        Raises:
            ForbiddenAddress: One may not.
            OSError: There is none, or the name server does not answer.
        """
        found = await self._lookup.resolve(host, port, family)
        for one in found:
            self._judge(one["host"])
        return found

    def open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an address as `getaddrinfo` writes it.

        Raises:
            ForbiddenAddress: It may not be reached.
        """
        family, kind, proto, _, place = address
        self._judge(place[0])
        return self._make(family=family, type=kind, proto=proto)

    async def close(self) -> None:
        """Keep the look-up, which is not ours."""

    def _judge(self, text: str) -> None:
        reason = refusal(text, self._allow)
        if reason is not None:
            # Kept, because what a connector tells of several addresses hides each one's reason.
            self.refused = reason
            raise ForbiddenAddress(reason)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the address behind one that only carries it."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address


def _why_not_public(address: IPv4Address | IPv6Address) -> str | None:
    table: Any = _V4 if isinstance(address, IPv4Address) else _V6
    named = next((why for network, why in table.items() if address in network), None)
    if named is None and isinstance(address, IPv6Address) and address not in _GLOBAL:
        return "reserved"
    # Python's own table is the second opinion.
    return named if named is not None or address.is_global else "reserved"


def _scheme(url: URL, allow_http: bool) -> str | None:
    if url.scheme in (("https", "http") if allow_http else ("https",)):
        return None
    lift = "; allow_http = true lifts that" if url.scheme == "http" else ""
    return f"its scheme is {url.scheme!r}, not https{lift}"


def _host(text: str, url: URL) -> str | None:
    if "@" in text.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]:
        return "a user name or password in it is refused; leave out what stands before the @"
    host = url.raw_host or ""
    if ":" in host:
        return "an address with a zone is refused" if "%" in host else None
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_NAME.fullmatch(label) for label in labels):
        return f"{host!r} is no host; such as crm.example.com"
    if _NUMERIC.fullmatch(labels[-1]) and not _is_canonical(host):
        return f"{host!r} is no host: an IPv4 address is four decimal numbers"
    return None if _is_decodable(url) else f"{host!r} is no host: its `xn--` stands for no name"


def _is_decodable(url: URL) -> bool:
    """Tell whether a host can be read, or whoever asks for it gets an exception."""
    try:
        return bool(url.host)
    except (ValueError, IndexError):
        # IndexError is what Python's own codec for IDNA raises of some.
        return False


def _is_canonical(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


def _port(port: int | None, allow_http: bool) -> str | None:
    if allow_http or port in PORTS:
        return None
    return f"port {port} is not 443 or 8443; allow_http = true lifts that"
