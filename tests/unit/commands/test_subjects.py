import pytest
from typer.testing import CliRunner

from services.cli import app
from services.commands.subjects import for_people


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "name one subject, or give --all"),
        (["company", "--all"], "name one subject, or give --all"),
        (["ana"], "'ana' is no subject; one is company, colleague:ID or person:ID"),
        (
            ["account:acct_42"],
            "accounts have a command of their own: ebbwatch accounts show acct_42",
        ),
    ],
)
def test_what_is_no_subject_beside_accounts_is_refused_with_the_remedy(
    arguments: list[str], told: str
) -> None:
    done = CliRunner().invoke(app, ["subjects", "show", *arguments])
    assert (done.exit_code, done.stderr) == (2, told + "\n")


def test_a_subject_is_shown_to_people_with_what_is_not_known() -> None:
    line = {
        "subject": "person:u1",
        "partition": 3,
        "stamp": 812,
        "facts": {"account": None, "waiting": 2, "days": {"2026-05-14": 1}},
    }
    assert for_people(line).splitlines() == [
        "person:u1  (partition 3, stamp 812)",
        "  account   unknown",
        "  waiting   2",
        '  days      {"2026-05-14": 1}',
    ]
