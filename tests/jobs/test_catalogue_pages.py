"""The pages link only to what is there, need nothing from elsewhere, and show names as they are."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from jobs import write_catalogue
from jobs.catalogue import pages
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.lineage import Lineage
from reference.golden import unpack
from reference.html_pages import Page
from schemas import CONTRACTS

HOSTILE = "a\"'><img src=x onerror=alert(1)>{{ 1 + 1 }} &amp;"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    tables = folder / "root" / "tables"
    shutil.copytree(tables / "artist_features", tables / HOSTILE)
    return folder / "root"


def render(root):
    catalogue = Catalogue(Inventory(str(root)), Lineage())
    return dict(pages.Pages(catalogue, "Ours <b>").render())


@pytest.fixture(scope="module")
def files(root):
    return render(root)


def find_dead_links(files):
    parsed = {name: Page(text) for name, text in files.items()}
    dead = []
    for name, page in parsed.items():
        for link in page.addresses:
            path, _, anchor = link.partition("#")
            target = str((Path("/") / Path(name).parent / unquote(path)).resolve())[1:] if path else name
            if target not in parsed or (anchor and unquote(anchor) not in parsed[target].ids):
                dead.append((name, link))
    return dead


def test_every_link_leads_to_a_page_and_a_column_of_it(files):
    assert not find_dead_links(files)
    assert find_dead_links({"index.html": files["index.html"]})


def test_every_column_of_every_table_is_on_the_index_and_on_a_page(files):
    index = Page(files["index.html"])
    for name, contract in CONTRACTS.items():
        links = {f"tables/{name}.html#{column}" for column in contract.names}
        assert links <= set(index.addresses), name
        assert set(contract.names) <= Page(files[f"tables/{name}.html"]).ids, name


def test_pages_are_small_and_need_nothing_from_elsewhere(files):
    for name, text in files.items():
        assert len(text.encode()) < 500_000, name
        assert not re.search(r"(https?:)?//\w|@import|url\(|fetch\(|XMLHttp", re.sub(r"// .*", "", text)), (
            name
        )
        assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_names_are_shown_and_never_taken_for_markup(files):
    (page,) = (Page(text) for name, text in files.items() if name.startswith("tables/table-"))
    assert HOSTILE in page.text and "Ours <b>" in page.text
    assert "img" not in page.tags and "b" not in page.tags
    index = Page(files["index.html"])
    assert HOSTILE in index.text and not {"img", "b"} & set(index.tags)
    assert all(re.fullmatch(r"(index|tables/[\w-]+)\.html", name, re.ASCII) for name in files)


def test_lineage_of_a_column_is_linked_up_and_down(files):
    text = files["tables/sessions.html"]
    completion = text[text.index('<details id="completion">') : text.index('<details id="skipped">')]
    assert 'href="../tables/plays.html#ms_played"' in completion
    assert 'href="../tables/user_features.html#completion_mean_7d"' in completion


def test_many_columns_are_on_several_pages(root, files, monkeypatch):
    monkeypatch.setattr(pages, "COLUMNS_ON_A_PAGE", 10)
    more = render(root)
    assert not find_dead_links(more)
    parts = [f"tables/user_features{suffix}.html" for suffix in ("", "-2", "-3", "-4")]
    ids = [Page(more[name]).ids for name in parts]
    assert "tables/user_features-5.html" not in more and sum(map(len, ids)) == len(set.union(*ids))
    assert set.union(*ids) == Page(files["tables/user_features.html"]).ids


def test_catalogue_is_written_beside_the_reports(root, capsys):
    parser = argparse.ArgumentParser()
    write_catalogue.configure(parser)
    assert write_catalogue.run(parser.parse_args(["--root", str(root), "--title", "Ours <b>"])) == 0
    folder = root / "quality" / "catalogue"
    assert capsys.readouterr().out == f"{folder}/index.html\n"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.html")}
    assert "index.html" in written and "tables/plays.html" in written
