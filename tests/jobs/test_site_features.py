"""Features as the site reads them: profiles that are published, with the days that drift compares."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta

import pytest

from expectations.column_profiles import NUMBER, TEXT, ColumnProfile, bin_of
from expectations.verdict import Result
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.lineage import Lineage
from jobs.catalogue.pages import list_places
from jobs.health.drift_settings import DriftSettings
from jobs.health.history import TableHistory
from jobs.publishing.records import append_results
from jobs.publishing.warehouse import Warehouse
from jobs.site.features import DAYS_SHOWN, read_features
from jobs.site.write import write_site
from reference.html_pages import Page
from reference.laid_days import lay_days

HELD = Result("expect_x", "ms_played", "critical", True, "seen", "wanted", 0)
ABOUT = {
    "run_id": "run-1",
    "attempt_id": "a1",
    "table_name": "plays",
    "batch_id": "b-1",
    "rows": 5,
    "outcome": "passed",
}

LAST = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
TABLES = ("plays", "user_features", "user_partials")
DAYS = [LAST - timedelta(days=n) for n in reversed(range(60))]


def make_profile(n):
    counts = {int(bin_of(value)): 100 + n for value in range(5)}
    return ColumnProfile(NUMBER, 600 + 5 * n, nulls=100, mean=2.0, spread=1.0, bins=counts)


def make_history(table, *columns):
    profiles = {(day, column): make_profile(n) for n, day in enumerate(DAYS) for column in columns}
    return TableHistory(table, LAST, dict.fromkeys(DAYS, 600), profiles)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    plans = ColumnProfile(TEXT, 600, distinct_values=2, top_values={"free": 400, "premium": 200})
    features = make_history("user_features", "plays_count_7d")
    features.profiles[LAST, "skips_rate_7d"] = plans
    features.profiles[LAST - timedelta(40), "saves_rate_7d"] = plans
    lay_days(
        Warehouse(str(folder)),
        [features, make_history("user_partials", "span"), make_history("plays", "ms_played")],
    )
    return folder


def read(root, pages=None, settings=None):
    catalogue = Catalogue(Inventory(str(root), now=NOW), Lineage())
    return {
        (each.table, each.column): each
        for each in read_features(catalogue, TABLES, LAST, settings or DriftSettings(), pages)
    }


def test_columns_with_a_profile_of_a_day_shown_are_read(root):
    # partials say nothing that features do not, and one column has only an older profile
    assert [*read(root)] == [
        ("plays", "ms_played"),
        ("user_features", "plays_count_7d"),
        ("user_features", "skips_rate_7d"),
    ]


def test_profiles_are_those_that_are_published_and_of_days_that_are_compared(root):
    facts = read(root)["user_features", "plays_count_7d"]
    assert facts.days == DAYS[-DAYS_SHOWN:]
    # four weeks before a day shown, a week before one, or one itself
    assert facts.profiles == {day: make_profile(n) for n, day in enumerate(DAYS) if n >= 60 - 2 * DAYS_SHOWN}
    assert facts.newest == LAST and len(facts.drift) == DAYS_SHOWN
    assert facts.meaning == "plays, 7d"
    about = dict(facts.about)
    assert (about["owner"], about["window"]) == ("the Segue authors", "7 days before feature_at")
    # rows are laid of the last day alone
    assert about["since"] == f"{LAST}, the first day of the table"
    assert not {"meaning", "nulls"} & about.keys()


def test_reference_and_limits_are_those_of_the_project(root):
    limits = {"user_features": {"plays_count_7d": {"psi": 0.5}}}
    facts = read(root, settings=DriftSettings(date(2026, 10, 16), limits))["user_features", "plays_count_7d"]
    assert facts.limits.psi == 0.5
    assert {day.weekday() for day in facts.references.values()} == set(range(7))
    assert facts.references[LAST] == date(2026, 10, 16) and set(facts.references.values()) <= {
        *facts.profiles
    }


def test_a_column_is_linked_to_its_place_in_the_catalogue(root):
    assert read(root)["plays", "ms_played"].catalogue is None
    place = list_places(Catalogue(Inventory(str(root)), Lineage()), "plays")["ms_played"]
    assert read(root, "../catalogue/")["plays", "ms_played"].catalogue == f"../catalogue/{place.href()}"


def test_site_has_a_page_of_each_feature_which_its_table_leads_to(root, tmp_path):
    folder = tmp_path / "out" / "site"
    (folder.parent / "catalogue").mkdir(parents=True)
    (folder.parent / "catalogue" / "index.html").write_text("")
    assert write_site(str(root), str(folder), 28) == f"{folder}/index.html"
    table = Page((folder / "tables" / "user_features.html").read_text())
    assert "../features/user_features.plays_count_7d.html" in table.addresses
    assert "Population stability index of each day, from 28 days before." in table.text
    assert not (folder / "embeddings.html").exists()
    page = Page((folder / "features" / "user_features.plays_count_7d.html").read_text())
    assert "../../catalogue/tables/user_features.html#plays_count_7d" in page.addresses
    assert "Values on 2026-11-20" in page.text and "../site.css" in page.addresses


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("tables/plays", ["user_features.plays_count_7d.html", "user_features.skips_rate_7d.html"]),
        ("tables/user_features", ["plays.ms_played.html"]),
        # without these nothing is known of any column
        ("quality/profiles", []),
        ("quality/results", []),
    ],
)
def test_what_cannot_be_read_takes_no_page_of_other_features(place, kept, root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "root")
    append_results(Warehouse(str(copy)), ABOUT, [HELD])
    newest = max((copy / place / "_delta_log").glob("*.json"))
    newest.write_text(newest.read_text()[:50])
    write_site(str(copy), str(tmp_path / "site"), 28)
    assert sorted(path.name for path in tmp_path.glob("site/features/*")) == kept
    assert "unreadable" in Page((tmp_path / "site" / "index.html").read_text()).text
