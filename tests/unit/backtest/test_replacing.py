"""A file is written as a whole, or what was there stays."""

from pathlib import Path

import pytest

from services.backtest.alert_file import write
from services.backtest.replacing import refusal, replacing
from tests.unit.backtest.builders import row


class BrokenDisk(OSError):
    """The disk is full."""


def write_half(path: Path) -> None:
    with replacing(path) as out:
        out.write("half")
        raise BrokenDisk


def test_what_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "alerts.csv").write_text("old")
    with pytest.raises(BrokenDisk):
        write_half(tmp_path / "alerts.csv")
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"alerts.csv": "old"}


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "alerts.csv").symlink_to("real.csv")
    with replacing(tmp_path / "alerts.csv") as out:
        out.write("new")
    assert (tmp_path / "alerts.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_to_ask_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "alerts.csv").write_text("old")
    asked = [refusal(tmp_path / name) for name in ("alerts.csv", "new.csv", ".", "no/where.csv")]
    why = "its folder must exist, and it must be no folder"
    assert asked == [None, None, why, why]
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"alerts.csv": "old"}
    assert refusal(Path("/dev/null")) is None


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t"])
def test_a_headline_is_no_formula_in_a_spreadsheet_and_ids_stay_as_they_are(
    tmp_path: Path, first: str
) -> None:
    alert = row(f"{first}acme", 3, headline=f"{first}cmd fell by 31 %")
    assert write(tmp_path / "alerts.csv", [alert], shadow=False) == 1
    told = (tmp_path / "alerts.csv").read_text().splitlines()[1]
    assert told.startswith(f"{first}acme,2025-01-09,")
    assert told.endswith(f",'{first}cmd fell by 31 %")
