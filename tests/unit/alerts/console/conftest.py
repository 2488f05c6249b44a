from collections.abc import AsyncIterator

import pytest

from tests.unit.alerts.console.door import Door, opened


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """The console over fakes: one case, two people, one channel."""
    async with opened() as door:
        yield door
