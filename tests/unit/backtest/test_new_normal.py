"""What has become the new normal is not told once more by another rule."""

import random
from datetime import timedelta
from pathlib import Path

from schemas.alerts import AlertCleared, AlertRaised
from services.backtest import run
from services.company import shipped
from tests.unit.backtest import histories as h

STOPPED, DAYS = 220, 320


def test_a_stop_that_is_the_new_normal_does_not_come_back_as_a_drop(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    usage = ["account_id,date,count"]
    first = h.START - timedelta(days=DAYS - h.DAYS)
    for n in range(12):
        for day in range(DAYS):
            if n or day < STOPPED:
                used = rng.randint(30, 50)
                usage.append(f"acct_{n},{first + timedelta(days=day)},{used}")
    (tmp_path / "usage.csv").write_text("\n".join(usage))
    files = run.look_at({"usage": [tmp_path / "usage.csv"]})
    _, alerts = h.played(files, shipped().content)
    mine = [one for one in alerts if one.account == "acct_0" and not one.shadow]
    falls = [one for one in mine if one.kind == "usage_drop"]
    assert [(type(one), one.rule) for one in falls] == [
        (AlertRaised, "usage-stopped"),
        (AlertCleared, "usage-stopped"),
    ]
    assert isinstance(falls[1], AlertCleared)
    assert falls[1].reason == "new_normal"
    assert (falls[1].day - falls[0].day).days == 84
