import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pure_contract_covers_every_module_of_the_pure_floor() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {each["id"]: each for each in settings["tool"]["importlinter"]["contracts"]}
    floors = contracts["floors"]
    pure = [name.strip(" ()") for name in floors["layers"][-1].split(":")]
    modules = [f"{service}.{name}" for service in floors["containers"] for name in pure]
    paths = {module: ROOT / module.replace(".", "/") for module in modules}
    existing = [
        module
        for module, path in paths.items()
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    ]
    assert sorted(contracts["pure"]["source_modules"]) == sorted(existing)
