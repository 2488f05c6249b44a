import fnmatch
import hashlib
import re
import tomllib
from pathlib import Path

import pytest

import services.alerts.console
from services.alerts.console.assets import FOR_EVER, TYPES, Assets

CONSOLE = Path(services.alerts.console.__file__).parent
ROOT = CONSOLE.parents[2]
VENDORED = [CONSOLE / "static" / "vendor", ROOT / "tests" / "browser" / "vendor"]
OURS = [*CONSOLE.glob("templates/*.html"), *CONSOLE.glob("static/*.*")]


@pytest.mark.parametrize("folder", VENDORED, ids=["shipped", "tests"])
def test_what_others_wrote_is_as_they_published_it(folder: Path) -> None:
    told = tomllib.loads((folder / "VENDORED.toml").read_text())["file"]
    files = {one.name for one in folder.iterdir()} - {"VENDORED.toml"}

    assert {one["file"] for one in told} == {one for one in files if not one.startswith("LICENCES")}
    assert len(files) == len(told) + 1
    for one in told:
        assert hashlib.sha256((folder / one["file"]).read_bytes()).hexdigest() == one["sha256"]
        assert set(one) == {"file", "package", "version", "source", "project", "licence", "sha256"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_page_asks_anybody_else_or_runs_anything_inline(path: Path) -> None:
    text = path.read_text()
    elsewhere = set(re.findall(r"https?://[^\s\"'<)]+", text)) - {"http://www.w3.org/2000/svg"}

    assert elsewhere == set()
    if path.suffix == ".html":
        assert not re.search(
            r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|<script(?!( defer)? src=)", text
        )
        assert "|safe" not in text.replace(" ", "")


def test_an_address_names_the_content_and_is_kept_for_ever() -> None:
    assets = Assets()
    path, _, version = assets.address("app.css").removeprefix("/static/").partition("?v=")
    found = assets.answer(path, version, "", "")
    other = assets.answer(path, "0123456789abcdef", "", "")

    assert found is not None
    assert other is not None
    assert found.headers["cache-control"] == FOR_EVER
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert found.body == (CONSOLE / "static" / "app.css").read_bytes()
    assert other.headers["cache-control"] == "no-cache"


def test_who_has_it_already_gets_nothing_again_and_who_can_unpack_gets_less() -> None:
    assets = Assets()
    plain = assets.answer("app.js", None, "br", "")
    packed = assets.answer("app.js", None, "gzip, br", "")
    assert plain is not None
    assert packed is not None
    again = assets.answer("app.js", None, "gzip", plain.headers["etag"])
    assert again is not None

    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert (again.status_code, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["", "../__init__.py", "vendor/VENDORED.toml", "vendor", "no.css"])
def test_nothing_else_is_served(path: str) -> None:
    assert Assets().answer(path, None, "", "") is None


def test_all_that_the_console_needs_is_in_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    globs = project["tool"]["setuptools"]["package-data"]["*"]
    needed = [path for path in CONSOLE.rglob("*") if path.suffix in {".html", *TYPES}]

    assert len(needed) > 15
    left = [
        path.name
        for path in needed
        if not any(fnmatch.fnmatch(f"x/{path.name}", one) for one in globs)
    ]
    assert left == []
