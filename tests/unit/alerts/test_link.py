import pytest

from services.alerts.view import ViewAway
from services.alerts.view.link import Link, connect
from tests.platform import free_port


@pytest.mark.parametrize("password", ["CANARY", "CAN#ARY", "CAN/ARY", "C@N#ARY", "CAN%23ARY"])
async def test_no_error_of_the_view_shows_a_part_of_the_password(password: str) -> None:
    where = f"127.0.0.1:{free_port()}"
    # The client knows a sound address: what it says of one that it misreads is its own.
    link = Link(f"redis://ana:{password}@{where}/0", lambda _: connect(f"redis://{where}/0"))
    with pytest.raises(ViewAway) as raised:
        async with link.bounded():
            await link.ask("PING")
    await link.close()
    assert str(raised.value).startswith(f"the view at {where} cannot be used: ")
    assert not any(part in str(raised.value) for part in ("CAN", "ARY", "ana"))
