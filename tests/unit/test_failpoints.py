import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import failpoints

SERVICES = Path(__file__).parents[2] / "services"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_every_name_is_passed_somewhere_and_no_other_is() -> None:
    code = "\n".join(path.read_text() for path in SERVICES.rglob("*.py"))
    passed = set(re.findall(r'failpoints\.reach\(\s*"([^"]+)"', code))
    assert passed == set(failpoints.FAILPOINTS)


def test_a_place_raises_the_time_it_was_asked_for_and_never_again() -> None:
    failpoints.arm("detector.fold=raise@2")
    failpoints.reach("detector.fold")
    with pytest.raises(RuntimeError, match=r"detector\.fold"):
        failpoints.reach("detector.fold")
    failpoints.reach("detector.fold")
    failpoints.reach("snapshot.cut")


def test_a_place_says_that_it_strikes_before_it_does_and_nothing_when_it_is_only_passed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failpoints.arm("snapshot.cut=stall:0@2,bridge.published=kill@2")
    for name in ("snapshot.cut", "snapshot.cut", "snapshot.cut", "bridge.published"):
        failpoints.reach(name)
    told = [(one.getMessage(), vars(one)) for one in caplog.records]
    assert [(said, it["place"], it["action"], it["time"]) for said, it in told] == [
        (failpoints.STRIKES, "snapshot.cut", "stall", 2)
    ]


def test_who_dies_at_a_place_has_said_so() -> None:
    code = (
        "from services import failpoints, runtime; runtime.configure_logging('detector');"
        "failpoints.arm('detector.fold=kill'); failpoints.reach('detector.fold')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=False, timeout=60
    )
    told = json.loads(done.stdout)
    wanted = {"event": failpoints.STRIKES, "place": "detector.fold", "action": "kill", "time": 1}
    assert (done.returncode, told | wanted) == (-signal.SIGKILL, told)


@pytest.mark.parametrize(
    "spec", ["nowhere=kill", "detector.fold", "detector.fold=dance", "detector.fold=stall:x"]
)
def test_an_unknown_name_or_action_is_refused(spec: str) -> None:
    with pytest.raises(failpoints.WrongFailpoint):
        failpoints.arm(spec)


def test_a_frozen_process_stands_still_until_it_is_let_go_on() -> None:
    code = (
        "from services import failpoints;"
        "failpoints.arm('detector.fold=freeze'); failpoints.reach('detector.fold')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        told = os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert told is not None
        assert told.si_status == signal.SIGSTOP
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=30) == 0
