"""The console: server-rendered pages for the people who own accounts (design.md §6).

Reading and acting work without the script; it adds live changes, the keyboard and the chart.
"""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request, Response

from services.alerts.console.account import account_routes
from services.alerts.console.acts import act_routes
from services.alerts.console.deliveries import delivery_routes
from services.alerts.console.failing import Missing, page_route
from services.alerts.console.inbox import inbox_routes
from services.alerts.console.site import Site
from services.alerts.ports import Desk, Directory, Reader

__all__ = ["create_console"]


def create_console(
    view: Reader,
    desk: Desk,
    directory: Directory,
    now: Callable[[], datetime],
    version: str = "",
) -> APIRouter:
    """Build the console's routes; include them last, `access.install_access` guards them.

    Args:
        view: What is shown.
        desk: Where actions go.
        directory: People and channels.
        now: Gives the moment, aware UTC.
        version: Of the software, for the foot of each page.
    """
    site = Site(view, desk, directory, now, version)
    router = APIRouter(route_class=page_route(site), include_in_schema=False)
    _static(site, router)
    inbox_routes(site, router)
    account_routes(site, router)
    delivery_routes(site, router)
    act_routes(site, router)
    _nothing(router)
    return router


def _static(site: Site, router: APIRouter) -> None:
    @router.get("/static/{path:path}")
    async def static(request: Request, path: str) -> Response:
        answer = site.assets.answer(
            path,
            request.query_params.get("v"),
            request.headers.get("accept-encoding", ""),
            request.headers.get("if-none-match", ""),
        )
        if answer is None:
            raise Missing(f"there is no file {path[:200]!r}")
        return answer

    @router.get("/freshness")
    async def freshness(request: Request) -> Response:
        return await site.page(request, "freshness.html", live=True)


def _nothing(router: APIRouter) -> None:
    @router.get("/{path:path}")
    async def nothing(path: str) -> Response:
        raise Missing(f"there is no page /{path[:200]}")
