"""The site of a root: every table, day and batch that its logs and records have, and what its options refuse."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from expectations.attempts import Attempt
from expectations.site.facts import RootFacts, TableFacts
from expectations.site.files import batch_file, table_file
from expectations.site.site import Site
from expectations.verdict import Result
from jobs.health.root import open_root
from jobs.page_files import write_pages
from jobs.publishing.records import append_results
from jobs.publishing.warehouse import Warehouse
from jobs.site.read import choose_window, read_root
from reference.batches import batch
from reference.golden import unpack
from reference.html_pages import Page
from reference.published import lay
from schemas import CONTRACTS
from segue.command import main

NEXT_DAY = date(2026, 1, 10)
# The golden root ends the day before, and was audited much later.
MORNING = datetime(2026, 11, 28, 5, tzinfo=UTC)
BROKEN = Result("expect_rows_to_be_within_bounds", "rows", "critical", False, "31", "at least 400")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The golden root, and a batch of the day after that was refused."""
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    about = {"run_id": "run-10", "attempt_id": "a10", "table_name": "plays", "batch_id": "b10-1"}
    about |= {"first_ds": NEXT_DAY, "last_ds": NEXT_DAY, "rows": 31, "outcome": "refused"}
    append_results(Warehouse(str(folder / "root")), about, [BROKEN])
    return folder / "root"


@pytest.fixture(scope="module")
def facts(root):
    return read_root(open_root(str(root)), 28, "Segue")


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    assert main(["report", "--root", str(root), "--site", f"{folder}/"]) == 0
    return folder


def find_row(page, name):
    """Of the map."""
    (row,) = (row for row in page.rows if row[0] == name and len(row) == 1 + 28)
    return row


def test_the_map_has_each_table_with_the_days_that_it_published(site):
    index = Page((site / "index.html").read_text())
    assert find_row(index, "plays")[-6:] == ["✓"] * 5 + ["✕"]
    assert find_row(index, "sessions")[-6:] == ["✓"] * 5 + ["○"], "nothing came of the day after"
    # a night need not reject anything, and a catalogue stands at the night that brought it
    assert find_row(index, "rejected_plays")[-6:] == ["✓", "", "", "✓", "✓", ""]
    assert find_row(index, "tracks")[-6:] == ["", "", "", "", "✓", ""]


def test_what_is_refused_comes_first(site):
    text = Page((site / "index.html").read_text()).text
    refused = (
        "plays: the batch of 2026-01-10 was refused: rows: expected at least 400; observed 31 (its batch)"
    )
    assert text.index("New since yesterday") < text.index(refused) < text.index("Alerts that are on")
    assert text.index("Alerts that are on") < text.index("refused: plays") < text.index("Tables by day")


def test_what_a_source_does_not_have_is_said_once(site):
    rows = Page((site / "index.html").read_text()).rows
    assert ["source segue has no source_session_id", "1", "plays:source_session_id"] in rows


def test_every_table_and_batch_has_a_page(site, facts):
    names = {table.name for table in facts.tables}
    assert {"plays", "sessions", "user_features", "releases"} <= names
    pages = {table_file(name) for name in names} | {batch_file(each.attempt_id) for each in facts.attempts}
    # no profile of the golden root is on record, so that no column has a page
    assert {str(path.relative_to(site)) for path in site.rglob("*.*")} == pages | {
        "embeddings.html",
        "index.html",
        "site.css",
        "site.js",
    }


def test_a_batch_that_a_log_names_is_published_and_a_release_too(facts):
    outcomes = {(each.table, each.outcome) for each in facts.attempts}
    assert {("sessions", "published"), ("releases", "published"), ("plays", "refused")} <= outcomes
    assert not [each for each in outcomes if each[1] == "passed"]


def test_the_page_of_a_batch_has_the_commands_for_this_root(site, root):
    text = Page((site / "batches/a10.html").read_text()).text
    for words in (
        f"segue report --run-id run-10 --root {root}",
        f"segue gate plays --root {root}",
        "batch-b10-1",
    ):
        assert words in text


def test_a_page_of_a_table_has_its_rows_by_day(site):
    page = Page((site / "tables/plays.html").read_text())
    rows = [row[:3] for row in page.rows if row[0].startswith("2026-01-") and len(row) == 4]
    assert [row[0] for row in rows] == [f"2026-01-{day:02}" for day in (10, 9, 8, 7, 6, 5)]
    assert rows[0][1:] == ["\N{EN DASH}", "✕ refused"] and rows[1][2] == "✓ passed"
    assert "No two profiles of this table" in page.text


@pytest.mark.parametrize(
    ("newest", "last"),
    [
        # before yesterday, yesterday, today and, by a clock that is wrong, tomorrow
        (MORNING.date() - 3 * DAY, MORNING.date() - DAY),
        (MORNING.date() - DAY, MORNING.date() - DAY),
        (MORNING.date(), MORNING.date()),
        (MORNING.date() + DAY, MORNING.date()),
        # the first day that would not be shown, and one later
        (MORNING.date() - 28 * DAY, MORNING.date() - 28 * DAY),
        (MORNING.date() - 27 * DAY, MORNING.date() - DAY),
        (None, MORNING.date() - DAY),
    ],
)
def test_the_days_shown_end_yesterday_or_with_what_there_is(newest, last):
    window = choose_window(MORNING.date(), 28, [newest] if newest else [])
    assert window == [last - n * DAY for n in range(27, -1, -1)]


def test_a_catalogue_that_is_read_today_does_not_move_the_days_of_a_history_that_ended(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "root")
    warehouse, today = Warehouse(str(copy)), MORNING.date()
    (reject,) = batch(CONTRACTS["rejected_tracks"], 1)
    lay(warehouse, "rejected_tracks", [reject | {"ds": today}])
    about = {"run_id": "run-11", "attempt_id": "a11", "table_name": "rejected_tracks", "batch_id": "b11-1"}
    about |= {"first_ds": today, "last_ds": today, "rows": 1, "outcome": "passed"}
    append_results(warehouse, about, [])
    facts = read_root(open_root(str(copy), now=MORNING), 28, "Segue")
    assert facts.window[-1] == NEXT_DAY
    assert today in next(table for table in facts.tables if table.name == "rejected_tracks").rows_by_day


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--days", "7"], "--days is of --site"),
        (["--site", "x", "--out", "y"], "leave out --run-id and --out"),
        (["--site", "x", "--run-id", "run-1"], "leave out --run-id and --out"),
        (["--site", "x", "--days", "0"], "expected 1 to 100 days; got 0"),
        (["--site", "x", "--days", "101"], "expected 1 to 100 days; got 101"),
        (["--site", "x", "--days", "many"], "'many' is no number of days"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words, root, capsys):
    try:
        code = main(["report", "--root", str(root), *options])
    except SystemExit as end:
        code = end.code
    assert code == 2 and words in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(root, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", "--root", str(root), "--site", str(tmp_path / "file")]) == 2
    assert "file cannot be written" in capsys.readouterr().err


def test_a_site_is_written_over_one_from_before_and_removes_nothing(root, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):
        assert main(["report", "--root", str(root), "--site", str(tmp_path), "--days", "2"]) == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert "2 days, 2026-01-09 to 2026-01-10." in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("place", ["quality/results", "releases", "tables/sessions"])
def test_what_cannot_be_read_is_said_and_the_rest_is_shown(place, root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "root")
    newest = sorted((copy / place / "_delta_log").glob("*.json"))[-1]
    newest.write_text(newest.read_text()[:50])
    assert main(["report", "--root", str(copy), "--site", str(tmp_path / "site")]) == 0
    index = Page((tmp_path / "site" / "index.html").read_text())
    assert "unreadable:" in index.text
    assert find_row(index, "plays").count("✓") == 5
    # nothing is known of its days, not even that they are missing
    assert find_row(index, "sessions").count("?") == (28 if place == "tables/sessions" else 0)


# --- a browser

EVIL = (
    "\"'></td><script>document.title='broken in'</script><img src=x onerror=document.title='broken&#32;in'>"
)


def make_evil_site(folder):
    row = {
        "expectation": EVIL, "column": EVIL, "severity": "critical", "success": False, "observed": EVIL,
        "expected": EVIL, "unexpected_count": 3,
    }  # fmt: skip
    day = NEXT_DAY
    one = Attempt("a1", EVIL, EVIL, EVIL, day, day, 10, "refused", MORNING, (row,))
    two = replace(one, attempt_id="a2", checked_at=MORNING + timedelta(minutes=1))
    tables = [TableFacts(EVIL, [one, two], EVIL, EVIL, rows_by_day={day: 10})]
    indicator = dict.fromkeys(("kind", "subject", "what", "to_do", "page", "owner", "unit"), EVIL)
    indicator |= {"status": "wrong", "value": 1.0, "bound": 1.0, "since": MORNING}
    release = {
        "release_id": EVIL,
        "released_at": MORNING,
        "tables": {EVIL: {"version": 1, "rows": 1, "content_hash": EVIL}},
    }
    facts = RootFacts(EVIL, MORNING, [day], tables, [release], [indicator])
    write_pages(str(folder), Site(facts).render())
    return [folder / "index.html", folder / batch_file("a2")]


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine: pages of hostile names are not opened in a browser")
    return path


def open_page(browser, path):
    """What the page is once its scripts have run."""
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        "--virtual-time-budget=500",
    ]
    with_profile = [*command, f"--user-data-dir={path.parents[1]}/profile", f"file://{path}"]
    return subprocess.run(with_profile, check=True, capture_output=True, text=True, timeout=60).stdout


def test_hostile_names_run_no_script_in_a_browser(browser, tmp_path):
    pages = make_evil_site(tmp_path / "site")
    (tmp_path / "proof.html").write_text(
        "<title>as it was</title><script>document.title='broken in'</script>"
    )
    assert "<title>broken in</title>" in open_page(browser, tmp_path / "proof.html"), "it would be seen"
    doms = [open_page(browser, page) for page in pages]
    for dom in doms:
        assert "<title>broken in</title>" not in dom and "<img" not in dom and dom.count("<script") == 1
    # the site's own has run: beside the map as a whole, one of its cells is in the order of tabs
    assert doms[0].count('tabindex="0"') == 2
