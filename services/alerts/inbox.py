"""One page of the list of cases, as the view has it now."""

from datetime import date
from typing import Final

from services.alerts.listing import BadCursor, CasePage, Filter, Sort, page
from services.alerts.ports import Reader
from services.alerts.shown import CaseState

UNRESOLVED: Final[frozenset[CaseState]] = frozenset({"open", "acknowledged", "snoozed"})


async def find_cases(
    view: Reader, wanted: Filter, sort: Sort, today: date, cursor: str | None, limit: int
) -> CasePage | BadCursor:
    """Read a page of cases with their sparklines.

    Args:
        view: Where they are read.
        wanted: Which are listed; resolved ones only if their state is asked for.
        sort: Their order.
        today: The day from which renewals are counted.
        cursor: `next` of the page before.
        limit: Cases of a page, >= 1.

    Raises:
        ViewAway: The view cannot be asked.
    """
    cases = []
    if not wanted.state or wanted.state & UNRESOLVED:
        cases += await view.cases()
    if "resolved" in wanted.state:
        cases += await view.cases(resolved=True)
    found = page(cases, wanted, sort, today, cursor, limit)
    if isinstance(found, BadCursor):
        return found
    # The worst alert stands first; what it is about is a metric, if it has a series at all.
    marked = [case for case in found.items if case.alerts]
    sparks = await view.sparks([(case.account, case.alerts[0].object) for case in marked], today)
    drawn = dict(zip((case.account for case in marked), sparks, strict=True))
    items = [case.model_copy(update={"spark": drawn.get(case.account, [])}) for case in found.items]
    return CasePage(items, found.next, found.total)
