from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from schemas.config import IMPORT_KEY, IMPORTED_PREFIX, MODE_KEY, ImportRecord, ModeRecord
from services.ingest.history.files import digest, find
from services.ingest.history.plan import Plan, Refusal, go_live, mode, plan

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def records(**found: msgspec.Struct) -> dict[str, bytes]:
    return {key: msgspec.json.encode(record) for key, record in found.items()}


def run(n: int, content: str, done: bool) -> ImportRecord:
    return ImportRecord(run=n, digest=content, done=done, at=NOW)


def deployed(state: str, last: ImportRecord | None = None) -> dict[str, bytes]:
    found: dict[str, msgspec.Struct] = {}
    if state != "new":
        found[MODE_KEY] = ModeRecord(mode=state, at=NOW)  # type: ignore[arg-type]
    if last is not None:
        found[IMPORT_KEY] = last
    return records(**found)


@pytest.mark.parametrize(
    "found, again, run_number, history, resumed",
    [
        (deployed("new"), False, 1, True, False),
        (deployed("importing", run(1, "same", False)), False, 1, True, True),
        (deployed("importing", run(1, "same", False)), True, 1, True, True),
        (deployed("live"), False, 1, False, False),
        (deployed("live", run(1, "other", True)), False, 2, False, False),
        (deployed("live", run(4, "same", True)), True, 5, False, False),
        (deployed("live", run(4, "same", False)), False, 4, False, True),
        (deployed("live", run(4, "same", False)), True, 4, False, True),
        (deployed("live", run(4, "other", False)), True, 5, False, False),
    ],
)
def test_an_import_is_a_new_run_or_goes_on_with_an_interrupted_one(
    found: dict[str, bytes], again: bool, run_number: int, history: bool, resumed: bool
) -> None:
    decided = plan(found, "same", NOW, again=again)
    begun: dict[str, msgspec.Struct] = {IMPORT_KEY: run(run_number, "same", False)}
    ended = run(run_number, "same", True)
    done: dict[str, msgspec.Struct] = {IMPORT_KEY: ended, f"{IMPORTED_PREFIX}same": ended}
    if history:
        begun[MODE_KEY] = ModeRecord(mode="importing", at=NOW)
        done[MODE_KEY] = ModeRecord(mode="live", at=NOW)
    expected = Plan(run_number, history, resumed, records(**begun), records(**done))
    assert decided == expected


@pytest.mark.parametrize(
    "found, again, words",
    [
        (deployed("live", run(2, "same", True)), False, "imported already as run 2; --again"),
        (
            deployed("live", run(3, "other", True))
            | records(**{f"{IMPORTED_PREFIX}same": run(2, "same", True)}),
            False,
            "imported already as run 2; --again",
        ),
        (deployed("importing", run(1, "other", False)), False, "`ebbwatch live`"),
        (deployed("importing", run(1, "other", False)), True, "`ebbwatch live`"),
        (deployed("live", run(3, "other", False)), False, "run 3 imported other files"),
    ],
)
def test_an_import_that_would_count_twice_or_leave_half_is_refused(
    found: dict[str, bytes], again: bool, words: str
) -> None:
    decided = plan(found, "same", NOW, again=again)
    assert isinstance(decided, Refusal)
    assert words in decided.detail


def test_going_live_gives_up_the_rest_of_an_interrupted_import() -> None:
    live = ModeRecord(mode="live", at=NOW)
    given_up = {MODE_KEY: live, IMPORT_KEY: run(1, "x", True)}
    assert go_live(deployed("live"), NOW) is None
    assert go_live(deployed("new"), NOW) == (records(**{MODE_KEY: live}), False)
    assert go_live(deployed("importing", run(1, "x", False)), NOW) == (records(**given_up), True)
    assert mode({}) == "new"


def test_the_digest_tells_contents_and_their_order_apart(tmp_path: Path) -> None:
    one = find([write(tmp_path, "a.csv", "account_id,date,count\n1,2,3\n")])
    two = find([write(tmp_path, "b.csv", "account_id,date,count\n1,2,4\n")])
    same = find([write(tmp_path, "c.csv", "account_id,date,count\n1,2,3\n")])
    assert digest(one) == digest(same)
    assert len({digest(files) for files in (one, two, one + two, two + one)}) == 4
