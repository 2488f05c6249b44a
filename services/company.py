"""A company's configuration: packs and files merged into one rule set, or all that is wrong."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.config import FEATURE_LIMIT, FeatureFlags, Input, MetricFlags, RuleSetContent
from services import company_files
from services.company_desk import DeskFiles, read_desk
from services.company_files import File, Problem, checked
from services.company_rules import Placed, check
from services.detector import packs
from services.detector.cases import Case

DEFAULT_METRICS = {"usage": MetricFlags(core=True)}
"""`usage` is what a usage row without a metric counts: meaningful and core (formats.md)."""


class RuleCase(NamedTuple):
    """A case of a rule of the company, and where it stands."""

    rule: str
    case: Case
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Company:
    """A configuration in which nothing is wrong.

    Attributes:
        content: Complete: what `ebbwatch config apply` puts in force.
        cases: Cases of the company's own rules; those of the packs are tests of the product.
        warnings: What has no effect, or what a careful author would add.
        desk: People, routing and channels; not part of the rule set, because no fold reads them.
    """

    content: RuleSetContent
    cases: tuple[RuleCase, ...] = ()
    warnings: tuple[Problem, ...] = ()
    desk: DeskFiles = field(default_factory=DeskFiles)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _CompanyFile(_Part):
    packs: tuple[str, ...] = ("core",)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    signal_manager: str | None = None


class _RulesFile(_Part):
    rule: list[dict[str, Any]] = []
    override: list[dict[str, Any]] = []


_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/ -]*$", max_length=100)]


class _Metric(_Part):
    from_: dict[str, list[str]] = Field({}, alias="from")
    meaningful: bool = Field(True, strict=True)
    core: bool = Field(False, strict=True)
    high_value: bool = Field(False, strict=True)


class _Feature(_Part):
    core: bool = Field(False, strict=True)


class _MetricsFile(_Part):
    metric: dict[_Name, _Metric] = {}
    feature: dict[_Name, _Feature] = Field({}, max_length=FEATURE_LIMIT)


class _Input(_Part):
    topic: Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
    format: str
    source: Annotated[str, Field(min_length=1, max_length=200)]


def _not_import(name: str) -> str:
    """Refuse the name that the origins of an import have in the log."""
    if name == "import":
        raise ValueError("an input cannot be called 'import'; choose another name")
    return name


_InputName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$"), AfterValidator(_not_import)
]


class _InputsFile(_Part):
    input: dict[_InputName, _Input] = {}


@dataclass(slots=True)
class _Reading:
    """What was found so far, and what is wrong with it."""

    files: Mapping[str, File]
    formats: Collection[str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def file(self, name: str) -> File:
        return self.files.get(name) or File(name)


def read_company(folder: Path | None, formats: Collection[str]) -> Company | list[Problem]:
    """Read a company's files and merge them with the packs.

    Args:
        folder: `EBBWATCH_CONFIG_DIR`; None for the shipped defaults. Absent files are empty ones.
        formats: Names of the intake formats that exist.

    Returns:
        The configuration, or everything that is wrong with it, by file and line.
    """
    reading = _Reading({}, formats)
    if folder is not None:
        files = company_files.read_folder(folder, reading.problems, reading.warnings)
        reading.files = files
    company = _company(reading)
    rules, overrides, cases = _rules(reading, company.packs)
    metrics = _metrics_file(reading)
    content = RuleSetContent(
        rules=[one.raw for one in rules],
        overrides=[one.raw for one in overrides],
        metrics=DEFAULT_METRICS | _metrics(reading, metrics),
        features={name: FeatureFlags(core=one.core) for name, one in metrics.feature.items()},
        inputs=_inputs(reading),
        currency=company.currency,
    )
    reading.problems.extend(check(content, rules, overrides))
    desk = read_desk(reading.files, folder, company.signal_manager, reading.problems)
    if reading.problems:
        return sorted(set(reading.problems))
    return Company(content, tuple(cases), tuple(sorted(reading.warnings)), desk)


def shipped() -> Company:
    """Return the configuration of a company that has said nothing: the default packs."""
    found = read_company(None, ())
    assert isinstance(found, Company)
    return found


@lru_cache(1)
def pack_names() -> tuple[str, ...]:
    """Return the packs that are shipped."""
    files = (one.name for one in resources.files(packs).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def pack_cases(pack: str) -> dict[str, tuple[Case, ...]]:
    """Return the cases of a shipped pack, by rule."""
    rules = _pack(pack).data["rule"]
    return {rule["id"]: tuple(map(Case.model_validate, rule.get("case", ()))) for rule in rules}


@lru_cache(8)
def _pack(name: str) -> File:
    raw = resources.files(packs).joinpath(f"{name}.toml").read_bytes()
    found = company_files.parse(f"packs/{name}.toml", raw)
    assert isinstance(found, File), str(found)
    return found


def _company(reading: _Reading) -> _CompanyFile:
    file = reading.file("company.toml")
    found = checked(_CompanyFile, file.data, file, (), reading.problems) or _CompanyFile()
    known = pack_names()
    for place, name in enumerate(found.packs):
        if name not in known:
            reason = f"there is no pack {name!r}; shipped are {', '.join(known)}"
            reading.problems.append(file.problem(("packs", place), reason))
    return found.model_copy(update={"packs": [name for name in found.packs if name in known]})


def _rules(
    reading: _Reading, pack_list: Collection[str]
) -> tuple[list[Placed], list[Placed], list[RuleCase]]:
    """Return rules and overrides without cases, and the cases of the company's own rules."""
    file = reading.file("rules.toml")
    told = checked(_RulesFile, file.data, file, (), reading.problems) or _RulesFile()
    own = [Placed(file, ("rule", i), _bare(rule)) for i, rule in enumerate(told.rule)]
    replaced = {rule for one in own if isinstance(rule := one.raw.get("id"), str)}
    packed = [
        Placed(_pack(name), ("rule", i), _bare(rule))
        for name in pack_list
        for i, rule in enumerate(_pack(name).data["rule"])
        if rule["id"] not in replaced
    ]
    overrides = [Placed(file, ("override", i), one) for i, one in enumerate(told.override)]
    cases = [case for i, rule in enumerate(told.rule) for case in _cases(reading, file, i, rule)]
    return [*packed, *own], overrides, cases


def _bare(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != "case"}


def _cases(reading: _Reading, file: File, i: int, rule: Mapping[str, Any]) -> Iterator[RuleCase]:
    told = rule.get("case", [])
    if not isinstance(told, list):
        problem = file.problem(("rule", i, "case"), "cases are tables: [[rule.case]]")
        reading.problems.append(problem)
        return
    polarities = set()
    for j, raw in enumerate(told):
        at = ("rule", i, "case", j)
        before = len(reading.problems)
        case = checked(Case, raw, file, at, reading.problems)
        if case is not None and len(reading.problems) == before:
            polarities.add(case.fires)
            yield RuleCase(str(rule.get("id")), case, file.name, file.lines.of(at))
    for fires, what in ((True, "fires"), (False, "stays just quiet")):
        if fires not in polarities:
            reason = f"rule {rule.get('id')!r} has no case in which it {what}"
            reading.warnings.append(file.problem(("rule", i), reason))


def _metrics_file(reading: _Reading) -> _MetricsFile:
    file = reading.file("metrics.toml")
    return checked(_MetricsFile, file.data, file, (), reading.problems) or _MetricsFile()


def _metrics(reading: _Reading, told: _MetricsFile) -> dict[str, MetricFlags]:
    file = reading.file("metrics.toml")
    for name, metric in told.metric.items():
        for vendor in metric.from_:
            if vendor not in reading.formats:
                reason = f"format {vendor!r} does not exist in this version; this has no effect"
                where = ("metric", name, "from", vendor)
                reading.warnings.append(file.problem(where, reason))
    return {
        name: MetricFlags(meaningful=one.meaningful, core=one.core, high_value=one.high_value)
        for name, one in told.metric.items()
    }


def _inputs(reading: _Reading) -> dict[str, Input]:
    file = reading.file("inputs.toml")
    told = checked(_InputsFile, file.data, file, (), reading.problems) or _InputsFile()
    topics: dict[str, str] = {}
    for name, one in told.input.items():
        if one.format not in reading.formats:
            known = ", ".join(sorted(reading.formats))
            reason = f"format {one.format!r} does not exist; known are {known}"
            reading.problems.append(file.problem(("input", name, "format"), reason))
        first = topics.setdefault(one.topic, name)
        if first != name:
            reason = f"input {first!r} reads topic {one.topic!r} already: leave one out"
            reading.problems.append(file.problem(("input", name, "topic"), reason))
    return {name: msgspec.convert(one.model_dump(), Input) for name, one in told.input.items()}
