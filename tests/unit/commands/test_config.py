import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from schemas.config import RuleSetRecord
from services.commands import config, rules
from services.commands.config import newest_rules
from services.company import shipped

RULE = """
[[rule]]
id = "api-drop"
title = "API calls fell"
primitive = "drop"
params = { metric = "api_calls" }
category = "early_signals"
severity = "high"
play = "call-them"
[[rule.case]]
story = "half of it is gone"
usage = [
  { days = "1..140", each = 100, metric = "api_calls" },
  { days = "141..168", each = 50, metric = "api_calls" },
]
expect = { fires_by = 168 }
[[rule.case]]
story = "one step below the bound"
usage = [
  { days = "1..140", each = 100, metric = "api_calls" },
  { days = "141..168", each = 90, metric = "api_calls" },
]
expect = "nothing"
"""


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder named by the environment, empty; the work tree's own secrets are out of sight."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "company"
    folder.mkdir()
    monkeypatch.setenv("EBBWATCH_CONFIG_DIR", str(folder))
    return folder


def run(*arguments: str) -> tuple[int, str, str]:
    app = config.app if arguments[0] in ("check", "apply") else rules.app
    found = CliRunner().invoke(app, list(arguments))
    return found.exit_code, found.stdout, found.stderr


def test_what_is_right_is_said_in_a_line(company: Path) -> None:
    assert run("check") == (0, "ok: 19 rules (3 in shadow)\n", "")
    (company / "rules.toml").write_text(
        RULE + '[[override]]\nrule = "usage-drop"\nsegment = "smb"\noff = true\n'
    )
    assert run("check") == (
        0,
        "ok: 20 rules (3 in shadow), 1 override, 2 cases of your own played\n",
        "",
    )


def test_what_is_wrong_is_said_with_file_line_and_reason(company: Path) -> None:
    (company / "rules.toml").write_text(RULE.replace("each = 50", "each = -1"))
    (company / "metrics.toml").write_text("[metric.api]\nheart = true\n")
    assert run("check") == (
        1,
        "",
        "metrics.toml:2: there is no key metric.api.heart\n"
        "rules.toml:14: usage.1.each: Input should be greater than or equal to 0 (it is -1)\n"
        "refused: 2 problems\n",
    )


def test_a_folder_may_be_named_in_place_of_the_one_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[rulez]")
    code, _, said = run("check", str(tmp_path))
    assert (code, said.splitlines()[0]) == (
        1,
        "rules.toml:1: there is no key rulez; known are override, rule",
    )


def test_a_case_of_the_company_that_does_not_hold_is_a_problem(company: Path) -> None:
    (company / "rules.toml").write_text(RULE.replace("each = 90", "each = 60"))
    code, _, said = run("check")
    assert code == 1
    assert said.splitlines()[0].startswith(
        "rules.toml:17: case 'one step below the bound' of rule 'api-drop': expected nothing, "
        "it raised high for 'api_calls' on day 1"
    )
    assert said.splitlines()[1] == "refused: 1 case failed"


def test_a_rule_without_cases_is_warned_about(company: Path) -> None:
    (company / "rules.toml").write_text(RULE.split("[[rule.case]]")[0])
    code, _, said = run("check")
    assert (code, said) == (
        0,
        "warning: rules.toml:2: rule 'api-drop' has no case in which it fires\n"
        "warning: rules.toml:2: rule 'api-drop' has no case in which it stays just quiet\n",
    )


def test_the_newest_rule_set_is_the_one_with_the_greatest_number() -> None:
    def record(n: int) -> RuleSetRecord:
        return RuleSetRecord(n=n, content="{}", applied_at=datetime(2026, 5, 14, tzinfo=UTC))

    found = {f"rules/{n}": msgspec.json.encode(record(n)) for n in (2, 10, 9)}
    assert newest_rules(found | {"mode": b"{}", "rules/x": b""}) == record(10)
    assert newest_rules({"mode": b"{}"}) is None


def test_rules_are_listed_in_the_order_in_which_they_are_judged(company: Path) -> None:
    code, out, _ = run("list", "--files", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert (code, len(told)) == (0, len(shipped().content.rules) + 1)
    placed = [one["id"] for one in told]
    assert all(set(one["yields_to"]) <= set(placed[:n]) for n, one in enumerate(told))
    assert next(one for one in told if one["id"] == "gone-silent") == {
        "id": "gone-silent",
        "title": "The customer has gone silent",
        "primitive": "silence",
        "kind": "silence",
        "params": {
            "metric": "@meaningful",
            "days": None,
            "pace": 20.0,
            "shortest": 5,
            "longest": 150,
            "active_days": 5,
            "unknown": None,
            "population": None,
            "alive": 0.5,
        },
        "severity": "by_renewal",
        "off": False,
        "shadow": False,
        "rows": ["A25", "B10"],
        "category": "early_signals",
        "leak_layer": "behaviour",
        "churn_kind": "voluntary",
        "timing": "leading",
        "play": "reach-out",
        "yields_to": [],
        "overrides": {},
    }


def test_the_rule_that_is_built_in_is_listed_and_explained_like_the_others(company: Path) -> None:
    _, out, _ = run("list", "--files")
    assert out.splitlines()[-1].split() == [
        *("common-fall", "Many", "customers", "fell", "at", "once"),
        *("built", "in", "by_depth", "on", "C26"),
    ]
    code, out, _ = run("explain", "common-fall", "--files")
    assert code == 0
    assert out.startswith(
        "common-fall: Many customers fell at once\n\nFires when more customers fall at once than "
    )
    for told in (
        "  share = 0.2  of the accounts that are not low anyway\n",
        "  raised when it has held 2 times running\n",
        "  cleared when it has been over 7 times running; after 84 days it is the new normal\n",
        "  severity by depth; kind incident; about the company\n",
    ):
        assert told in out
    assert "in shadow" not in out


@pytest.mark.parametrize(
    "said, state, told",
    [("off", "off", "  off\n"), ("shadow", "shadow", "  in shadow: judged and logged, notifies")],
)
def test_a_company_can_say_off_or_shadow_of_the_rule_that_is_built_in(
    company: Path, said: str, state: str, told: str
) -> None:
    (company / "rules.toml").write_text(f'[[override]]\nrule = "common-fall"\n{said} = true\n')
    assert run("check")[0] == 0
    _, out, _ = run("list", "--files")
    assert out.splitlines()[-1].split()[-2] == state
    assert told in run("explain", "common-fall", "--files")[1]
    _, out, _ = run("explain", "common-fall", "--files", "--json")
    found = json.loads(out)
    assert (found["id"], found[said], found["cases"]) == ("common-fall", True, [])


def test_overrides_are_seen_in_the_list_and_in_the_explanation(company: Path) -> None:
    (company / "rules.toml").write_text(
        '[[override]]\nrule = "usage-drop"\nsegment = "smb"\nparams = { ratio = 0.7 }\n'
        '[[override]]\nrule = "gone-silent"\noff = true\n'
    )
    _, out, _ = run("list", "--files")
    states = {line.split()[0]: line for line in out.splitlines()}
    assert "on (smb differ)" in states["usage-drop"]
    assert " off " in states["gone-silent"]
    _, out, _ = run("explain", "usage-drop", "--files")
    assert "By segment\n  smb: ratio = 0.7\n" in out


def test_a_rule_is_explained_with_its_bounds_its_policy_and_its_cases(company: Path) -> None:
    code, out, _ = run("explain", "payment-failed", "--files")
    assert code == 0
    assert out.startswith("payment-failed: A payment failed twice\n\nFires when events have")
    assert "  count = 2  (at least 1, at most 20)\n" in out
    assert "  raised when it has held once\n" in out
    assert "involuntary churn" in out
    assert out.endswith(
        "Cases\n"
        "  - the charge fails, and the retry fails too: high on day 103\n"
        "  - the retry works: nothing\n"
        "  - two payments fail once each: nothing\n"
        "  - the third try works: an alert by day 103, cleared by day 106\n"
    )


@pytest.mark.parametrize("rule", [str(rule["id"]) for rule in shipped().content.rules])
def test_every_shipped_rule_can_be_explained(rule: str, company: Path) -> None:
    code, out, _ = run("explain", rule, "--files")
    assert (code, "Source:" in out) == (0, False)
    assert "Cases\n" in out


def test_a_rule_of_the_company_is_explained_with_its_own_cases(company: Path) -> None:
    (company / "rules.toml").write_text(RULE)
    code, out, _ = run("explain", "api-drop", "--files", "--json")
    assert (code, [case["story"] for case in json.loads(out)["cases"]]) == (
        0,
        ["half of it is gone", "one step below the bound"],
    )


def test_a_rule_that_there_is_not_is_told_with_those_that_there_are(company: Path) -> None:
    code, _, said = run("explain", "usage-dorp", "--files")
    assert code == 1
    assert said.startswith("there is no rule 'usage-dorp' in the files; known are usage-stopped,")
