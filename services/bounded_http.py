"""HTTP of which no part but a body may be long or slow, for whoever has not said yet who they are.

A body is bounded where it is read: it is known by then what is asked for, and by whom.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES: Final = 65_536
"""Of a request line with its headers; also of chunk extensions and trailers without any body.

Browsers and proxies send at most a quarter. One read of a socket may come on top.
"""

HEAD_SECONDS: Final = 10.0
"""From the connection, or from the first byte of a further request, until its head is whole; and
for the rest of a request that was answered before it was whole.
Source: faults-and-security.md, Resource limits (slowloris)."""

_CONTENT = (
    f'{{"error":"headers_too_large","detail":"A request line and its headers may have '
    f'{HEAD_BYTES:,} bytes together; send fewer or shorter headers."}}'
).encode()
TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"cache-control: no-store\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_CONTENT), _CONTENT)
)


class HeadTooLong(Exception):
    """A head came to its end, but too late."""


class BoundedHttp(HttpToolsProtocol):
    """One connection; all of it costs a request no more than a few additions.

    Attributes:
        head_seconds: As `HEAD_SECONDS`, > 0.
    """

    head_seconds = HEAD_SECONDS

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # Bytes since a head, a piece of a body, or a request came to its end.
        self._seen = 0
        # Whether a head is what comes next, or is there in part.
        self._heading = True
        self._too_long = False
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head from now on."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it goes on for too long without coming to a point."""
        if self._too_long:
            return
        self._seen += len(data)
        super().data_received(data)
        if self._seen > HEAD_BYTES:
            self._refuse()
        elif self._heading and self._seen and self._waiting is None:
            self._wait()

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        super().on_message_begin()
        # What begins behind another request's end counts from the next read on.
        self._seen = self._seen or 1

    def on_headers_complete(self) -> None:
        """Let the application begin if the head is not too long."""
        if self._seen > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._too_long = True
            raise HeadTooLong
        self._wait_no_more()
        self._seen, self._heading = 0, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count anew: whoever reads the body bounds it."""
        self._seen = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count anew: what follows is another request."""
        self._wait_no_more()
        self._seen, self._heading = 0, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the rest of a request that was answered before it came, and no longer."""
        super().on_response_complete()
        unread = not self._heading and self.cycle.response_complete
        if unread and self._waiting is None and not self.transport.is_closing():
            # Nobody reads the rest of this request any more, however slowly it comes.
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read; uvicorn calls it for every error of its parser."""
        if self._too_long:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self) -> None:
        self._too_long = True
        if self.transport.is_closing():
            return
        # uvicorn declares it as always there; before the first head it is not.
        running: RequestResponseCycle | None = self.cycle
        if self._heading and (running is None or running.response_complete):
            self.transport.write(TOO_LARGE)
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
