"""The demo's webhook receiver: checks each signature, keeps a log, and shows it as a page."""

import contextlib
import html
from collections import deque
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from services.daemon import HOST

PORT: Final = 8690
"""Where a person finds the page; another free port if this one is taken."""
KEPT: Final = 200
BODY_LIMIT: Final = 64 * 1024

_PAGE: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What the webhook received</title>
<meta http-equiv="refresh" content="3">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem;
  padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .4rem .8rem .4rem 0; vertical-align: top;
  border-bottom: 1px solid #8884 }}
</style></head><body>
<h1>What the webhook received</h1>
<p>This stands for your CRM: a receiver of signed webhooks (Standard Webhooks). {summary}</p>
<table><thead><tr><th>received</th><th>type</th><th>account</th><th>for</th><th>what</th>
<th>webhook-id</th></tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


class _Case(msgspec.Struct):
    account: str
    name: str | None = None


class _Recipient(msgspec.Struct):
    id: str
    why: str
    name: str | None = None


class _Alert(msgspec.Struct):
    rule: str
    headline: str = ""


class _Data(msgspec.Struct):
    case: _Case
    recipient: _Recipient | None = None
    alert: _Alert | None = None


class _Body(msgspec.Struct):
    """What a receiver may rely on; fields that it does not need are passed over."""

    type: str
    data: _Data


class Received(NamedTuple):
    """One delivery whose signature is right.

    Attributes:
        id: Its `webhook-id`, the same on every retry.
        at: When it came.
        type: Such as `alert.raised`.
        account: The account's id.
        name: The account's name.
        rule: The rule that raised the alert.
        person: To whom it is addressed, and why.
        what: One line.
    """

    id: str
    at: datetime
    type: str
    account: str
    name: str
    rule: str
    person: str
    what: str


class Sink:
    """Receives webhooks.

    Args:
        secret: What they are signed with, `whsec_...`.
    """

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._log: deque[Received] = deque(maxlen=KEPT)
        self._ids: set[str] = set()
        self.refused = 0

    @property
    def delivered(self) -> int:
        """How many different notices came."""
        return len(self._ids)

    def has(self, account: str, rule: str) -> bool:
        """Tell whether an alert of a rule of an account came."""
        return any((one.account, one.rule) == (account, rule) for one in self._log)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen as long as the block lasts; gives the address of page and endpoint."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes([web.get("/", self._show), web.post("/", self._receive)])
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            yield await _bind(runner)
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            content: Mapping[str, Any] = self._webhook.verify(raw, dict(request.headers))
        except WebhookVerificationError as error:
            self.refused += 1
            return web.Response(status=401, text=f"{error}\n")
        received = _read(request.headers["webhook-id"], content)
        if received.id not in self._ids:
            self._ids.add(received.id)
            self._log.appendleft(received)
        return web.Response(status=204)

    async def _show(self, _: web.Request) -> web.Response:
        rows = "\n".join(_row(one) for one in self._log)
        summary = f"{self.delivered} delivered, each signature checked; {self.refused} refused."
        page = _PAGE.format(summary=summary, rows=rows)
        return web.Response(text=page, content_type="text/html")


async def _bind(runner: web.AppRunner) -> str:
    for port in (PORT, 0):
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError:
            continue
        return f"http://{HOST}:{runner.addresses[0][1]}/"
    raise OSError(f"no port of {HOST} is free")


def _read(id: str, content: Mapping[str, Any]) -> Received:
    body = msgspec.convert(content, _Body)
    case, recipient, alert = body.data.case, body.data.recipient, body.data.alert
    return Received(
        id=id,
        at=datetime.now(UTC),
        type=body.type,
        account=case.account,
        name=case.name or case.account,
        rule=alert.rule if alert else "",
        person=f"{recipient.name or recipient.id} ({recipient.why})" if recipient else "nobody",
        what=alert.headline if alert else "",
    )


def _row(one: Received) -> str:
    cells = (f"{one.at:%H:%M:%S} UTC", one.type, one.name, one.person, one.what, one.id)
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
