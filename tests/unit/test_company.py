from pathlib import Path

import pytest

from schemas.config import FeatureFlags, Input, MetricFlags
from services.company import Company, read_company, shipped
from services.company_files import Problem
from services.detector.primitives import PRIMITIVES

FORMATS = ("cloudevents", "segment")

OWN_RULE = """
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
usage = [{ days = "1..140", each = 100, metric = "api_calls" },
  { days = "141..168", each = 50, metric = "api_calls" }]
expect = { fires_by = 168 }

[[rule.case]]
story = "all is well"
usage = [{ days = "1..150", each = 100, metric = "api_calls" }]
expect = "nothing"
"""


def folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / f"{name}.toml").write_text(text)
    return path


def accepted(path: Path) -> Company:
    found = read_company(path, FORMATS)
    assert isinstance(found, Company), "\n".join(map(str, found))
    return found


def problems(path: Path) -> list[str]:
    found = read_company(path, FORMATS)
    assert isinstance(found, list)
    return [str(one) for one in found]


def test_a_company_that_says_nothing_gets_what_is_shipped(tmp_path: Path) -> None:
    assert accepted(tmp_path) == shipped()
    content = shipped().content
    assert (content.metrics, content.inputs, content.overrides, content.currency) == (
        {"usage": MetricFlags(meaningful=True, core=True)},
        {},
        [],
        "EUR",
    )


def test_files_are_merged_with_the_pack(tmp_path: Path) -> None:
    company = accepted(
        folder(
            tmp_path,
            company='currency = "USD"',
            rules=OWN_RULE + '[[override]]\nrule = "usage-drop"\nsegment = "smb"\noff = true\n',
            metrics="[metric.api_calls]\ncore = true\n[metric.sync]\nmeaningful = false\n",
            inputs='[input.usage]\ntopic = "usage"\nformat = "cloudevents"\nsource = "gateway"\n',
            directory='[person.ana]\nname = "Ana Lima"\n',
        )
    )
    ids = [rule["id"] for rule in company.content.rules]
    assert ids == [*(rule["id"] for rule in shipped().content.rules), "api-drop"]
    assert "case" not in company.content.rules[-1]
    assert company.content.overrides == [{"rule": "usage-drop", "segment": "smb", "off": True}]
    assert company.content.metrics == {
        "usage": MetricFlags(core=True),
        "api_calls": MetricFlags(core=True),
        "sync": MetricFlags(meaningful=False),
    }
    assert company.content.inputs == {
        "usage": Input(topic="usage", format="cloudevents", source="gateway")
    }
    assert company.content.currency == "USD"
    assert [(one.rule, one.case.story, one.line) for one in company.cases] == [
        ("api-drop", "half of it is gone", 11),
        ("api-drop", "all is well", 17),
    ]
    assert company.warnings == ()


def test_a_rule_with_the_id_of_a_shipped_one_takes_its_place(tmp_path: Path) -> None:
    told = OWN_RULE.replace('"api-drop"', '"usage-drop"')
    company = accepted(folder(tmp_path, rules=told))
    titles = {rule["id"]: rule["title"] for rule in company.content.rules}
    assert titles["usage-drop"] == "API calls fell"
    assert len(titles) == len(shipped().content.rules) == len(company.content.rules)


def test_a_company_may_do_without_the_pack(tmp_path: Path) -> None:
    company = accepted(folder(tmp_path, company="packs = []", rules=OWN_RULE))
    assert [rule["id"] for rule in company.content.rules] == ["api-drop"]


def test_usage_is_core_unless_the_company_says_otherwise(tmp_path: Path) -> None:
    company = accepted(folder(tmp_path, metrics="[metric.usage]\nhigh_value = true\n"))
    assert company.content.metrics == {"usage": MetricFlags(high_value=True)}


def test_what_has_no_effect_is_a_warning(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        rule="",
        rules=OWN_RULE.split("[[rule.case]]")[0],
        metrics='[metric.api]\nfrom = { segment = ["A"], mixpanel = ["B"] }\n',
    )
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / "secrets").mkdir()
    assert accepted(path).warnings == (
        Problem(
            "metrics.toml",
            2,
            "format 'mixpanel' does not exist in this version; this has no effect",
        ),
        Problem("rule.toml", 0, "nothing reads this file; did you mean rules.toml?"),
        Problem("rules.toml", 2, "rule 'api-drop' has no case in which it fires"),
        Problem("rules.toml", 2, "rule 'api-drop' has no case in which it stays just quiet"),
    )


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert problems(gone) == [f"{gone}: there is no such folder; EBBWATCH_CONFIG_DIR names it"]


NAMES = [str(rule["id"]) for rule in shipped().content.rules]
KNOWN = ", ".join(sorted([*NAMES, "common-fall"]))


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("rules", "[[rule]\n", ["rules.toml:1: Expected ']]' at the end of an array declaration"]),
        ("channels", "a = 1\na = 2\n", ["channels.toml:2: Cannot overwrite a value"]),
        ("rules", "x = [1,\n", ["rules.toml:2: Invalid value"]),
        ("rules", "rule = 3\n", ["rules.toml:1: rule: Input should be a valid list (it is 3)"]),
        ("rules", "[rulez]\n", ["rules.toml:1: there is no key rulez; known are override, rule"]),
        (
            "rules",
            '\n[[override]]\nrule = "usage-dorp"\n',
            [f"rules.toml:3: rule 'usage-dorp' is unknown; known are {KNOWN}"],
        ),
        (
            "rules",
            '[[override]]\nrule = "common-fall"\nsegment = "smb"\noff = true\n',
            [
                "rules.toml:2: 'common-fall' is about all customers together; say only off or "
                "shadow of it"
            ],
        ),
        (
            "rules",
            OWN_RULE.replace('"api-drop"', '"common-fall"'),
            [
                "rules.toml:3: 'common-fall' is built in; choose another id, or say off or shadow "
                "of it in an [[override]]"
            ],
        ),
        (
            "rules",
            '[[override]]\nrule = "usage-drop"\n[override.params]\nratio = 1.5\n',
            ["rules.toml:4: Input should be less than 1 (it is 1.5)"],
        ),
        (
            "rules",
            '[[override]]\nrule = "usage-drop"\nparams = { ratio = 0.95 }\n',
            ["rules.toml:3: clear (0.92) must be above ratio (0.95)"],
        ),
        (
            "company",
            'packs = ["core", "cora"]\n',
            ["company.toml:1: there is no pack 'cora'; shipped are core"],
        ),
        (
            "company",
            'currency = "Euro"\n',
            ["company.toml:1: currency: String should match pattern '^[A-Z]{3}$' (it is 'Euro')"],
        ),
        (
            "metrics",
            '[metric.api]\ncore = "yes"\n',
            ["metrics.toml:2: metric.api.core: Input should be a valid boolean (it is 'yes')"],
        ),
        (
            "inputs",
            '[input.a]\ntopic = "t"\nformat = "xml"\nsource = "s"\n',
            ["inputs.toml:3: format 'xml' does not exist; known are cloudevents, segment"],
        ),
        (
            "inputs",
            '[input.a]\ntopic = "t"\nformat = "segment"\nsource = "s"\n'
            '[input.b]\ntopic = "t"\nformat = "segment"\nsource = "s"\n',
            ["inputs.toml:6: input 'a' reads topic 't' already: leave one out"],
        ),
        (
            "inputs",
            '[input.a]\ntopic = "a b"\nformat = "segment"\n',
            [
                "inputs.toml:1: input.a.source: Field required",
                "inputs.toml:2: input.a.topic: String should match pattern "
                "'^[A-Za-z0-9._-]+$' (it is 'a b')",
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_reason(
    name: str, text: str, said: list[str], tmp_path: Path
) -> None:
    assert problems(folder(tmp_path, **{name: text})) == said


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_bytes(b'# fine\na = "\xff"\n')
    assert problems(tmp_path) == ["rules.toml:2: byte 0xff is not UTF-8; save it as UTF-8"]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    bad = OWN_RULE.replace('"api_calls" }\ncat', '"api_calls", ratio = 2, colour = 3 }\ncat')
    worse = OWN_RULE.replace('"drop"', '"dorp"').replace("api-drop", "zzz")
    path = folder(
        tmp_path,
        rules=(bad + OWN_RULE + worse).replace("each = 50", "each = -1")
        + '[[override]]\nrule = "nobody"\n',
        metrics="[metric.api]\nheart = true\n",
        directory="[person",
    )
    with_ours = ", ".join(sorted([*KNOWN.split(", "), "api-drop", "zzz"]))
    assert problems(path) == [
        "directory.toml:1: Expected ']' at the end of a table declaration",
        "metrics.toml:2: there is no key metric.api.heart",
        "rules.toml:6: ratio: Input should be less than 1 (it is 2)",
        "rules.toml:6: there is no key colour; known are clear, evidence, metric, ratio",
        "rules.toml:14: usage.1.each: Input should be greater than or equal to 0 (it is -1)",
        "rules.toml:34: usage.1.each: Input should be greater than or equal to 0 (it is -1)",
        f"rules.toml:45: primitive 'dorp' is unknown; known are {', '.join(sorted(PRIMITIVES))}",
        "rules.toml:54: usage.1.each: Input should be greater than or equal to 0 (it is -1)",
        f"rules.toml:62: rule 'nobody' is unknown; known are {with_ours}",
    ]


def test_tracked_features_travel_with_the_rule_set(tmp_path: Path) -> None:
    told = '[feature.export]\ncore = true\n\n[feature."data import"]\n'
    found = read_company(folder(tmp_path, metrics=told), FORMATS)
    assert isinstance(found, Company)
    expected = {"export": FeatureFlags(core=True), "data import": FeatureFlags()}
    assert found.content.features == expected


def test_more_features_than_can_be_tracked_are_refused(tmp_path: Path) -> None:
    told = "".join(f"[feature.f{n}]\n" for n in range(21))
    (said,) = problems(folder(tmp_path, metrics=told))
    assert said.startswith("metrics.toml:1: feature: Dictionary should have at most 20 items")


def test_an_id_stands_once(tmp_path: Path) -> None:
    assert problems(folder(tmp_path, rules=OWN_RULE + OWN_RULE)) == [
        "rules.toml:23: 'api-drop' stands twice; ids are unique"
    ]


def test_rules_that_yield_to_each_other_are_refused(tmp_path: Path) -> None:
    told = OWN_RULE.replace('"api-drop"', '"usage-stopped"\nyields_to = ["usage-drop"]')
    found = problems(folder(tmp_path, rules=told))
    assert len(found) == 1
    assert found[0].endswith("rules yield to each other")
