"""docs/reference says what the declarations say, and no link of the docs is dead."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
REBUILD = "`make reference` writes docs/reference anew; review its diff"
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_agree_with_the_declarations(generator):
    stale = generator.stale()
    assert not stale, f"docs/reference: {', '.join(stale)} would be written otherwise now; {REBUILD}"


def test_stale_names_changed_missing_and_extra_pages(generator, tmp_path):
    pages = generator.pages()
    for name, text in pages.items():
        (tmp_path / name).write_text(text)
    assert generator.stale(tmp_path) == []
    (tmp_path / "tables.md").write_text(pages["tables.md"].replace("One row per play", "One row per song"))
    (tmp_path / "old.md").write_text("of a page that there was")
    (tmp_path / "settings.md").unlink()
    assert generator.stale(tmp_path) == ["old.md", "settings.md", "tables.md"]


@pytest.mark.parametrize("name", ["tables.md", "settings.md"])
def test_pages_give_every_column_and_setting_a_meaning(generator, name):
    rows = [line for line in generator.pages()[name].splitlines() if line.startswith("|")]
    silent = [row for row in rows if not row.rstrip("|").rpartition("|")[2].strip()]
    assert rows and not silent, f"{name} has rows without a meaning: {silent}"


def find_dead_links(page: Path) -> list[str]:
    """Relative links of a page to files that are not there."""
    targets = (target.partition("#")[0] for target in LINK.findall(page.read_text()) if "://" not in target)
    return [target for target in targets if target and not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_docs_have_no_dead_links(page):
    assert not find_dead_links(page), (
        f"{page.relative_to(ROOT)} links to what is not there: {find_dead_links(page)}"
    )


def test_dead_links_finds_a_dead_link(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("[itself](a.md#x) [gone](../nowhere/b.py) [elsewhere](https://example.org) [below](#x)")
    assert find_dead_links(page) == ["../nowhere/b.py"]
