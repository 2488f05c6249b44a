"""A plugin of pytest: of a story that fails, nobody looks for the shortest."""

import pytest
from hypothesis import Phase, settings


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("hasty", settings(), phases=(Phase.generate,))
    settings.load_profile("hasty")
