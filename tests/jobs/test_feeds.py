"""Which files a flow reads each event table from, and what is said where that cannot be known."""

from __future__ import annotations

import pytest

from jobs import feeds, flow, sources
from jobs.errors import WrongUsage
from reference import own_events

SEARCHES, _ = own_events.declare()
PLAYS = 'name = "ours"\n[plays]\nuser_id = "u"\n'
SECTION = '[searches]\nsearch_id = "id"\n'
SETTINGS = """
source = "plays.toml"
input = ["landing/plays"]
[events.searches]
input = ["landing/searches"]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    for module in (feeds, sources):
        monkeypatch.setattr(module, "EVENT_TABLES", (SEARCHES,))
    (tmp_path / "plays.toml").write_text(PLAYS + SECTION)
    (tmp_path / "segue.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(*arguments):
    return feeds.find_feeds(flow._parser().parse_args(arguments))


def test_files_and_source_come_from_the_project_and_options_are_stronger(project):
    feed = find()["searches"]
    assert feed.arguments == [
        "--source",
        str(project / "plays.toml"),
        "--input",
        str(project / "landing/searches"),
    ]
    assert find("--events", "searches", "a", "b")["searches"].files == ["a", "b"]
    (project / "search.toml").write_text('name = "log"\nformat = "json"\n' + SECTION)
    (project / "segue.toml").write_text(SETTINGS + 'source = "search.toml"\n')
    assert find()["searches"].source.format == "json" and find()["plays"].source.format == "csv"


@pytest.mark.parametrize(
    ("settings", "source", "why_not"),
    [
        (
            "",
            SECTION,
            r"no files are given: input in \[events.searches\] of segue.toml, or --events searches FILE",
        ),
        (SETTINGS, "", r"source ours has no section \[searches\]"),
    ],
)
def test_step_without_files_or_section_is_not_made_and_says_what_lacks(project, settings, source, why_not):
    (project / "segue.toml").write_text(settings)
    (project / "plays.toml").write_text(PLAYS + source)
    arguments = [] if settings else ["--source", "plays.toml", "--input", "x"]
    with pytest.raises(AssertionError, match=why_not):
        raise AssertionError(find(*arguments)["searches"].why_not)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--events", "serches", "x"],
            "events 'serches', and there is no such event table; declared are: searches",
        ),
        (["--events", "searches"], "--events searches names no files"),
    ],
)
def test_files_for_no_table_are_refused(project, arguments, message):
    with pytest.raises(WrongUsage, match=message):
        find(*arguments)


FIRST_SETTINGS = (
    "name", "format", "encoding", "line_end", "separator", "quote", "escape", "multiline", "header", "plays", "tracks",
)  # fmt: skip


def test_a_section_for_searches_ingests_no_play_again(project):
    """Batches are known by the parameters of their source."""
    with_section = sources.load_source("plays.toml")
    (project / "plays.toml").write_text(PLAYS)
    without = sources.load_source("plays.toml")
    assert (
        with_section.parameters("plays")
        == without.parameters("plays")
        == {name: getattr(without, name) for name in FIRST_SETTINGS}
    ), "settings of later have no part in it while nobody sets them"
    assert with_section.parameters("searches")["events"] == {"search_id": "id"}


def test_a_section_of_no_table_is_unknown(project):
    (project / "plays.toml").write_text(PLAYS + "[serches]\nid = 'id'\n")
    with pytest.raises(WrongUsage, match="serches is unknown"):
        sources.load_source("plays.toml")
    (project / "plays.toml").write_text(PLAYS + "[events.searches]\nsearch_id = 'id'\n")
    with pytest.raises(WrongUsage, match=r"\[events\] is no section"):
        sources.load_source("plays.toml")


def test_auto_finds_the_source_of_a_catalogue_by_its_own_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,17,4.0,944249077\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n17,Sense and Sensibility (1995),Drama\n")
    files = ["--source", "auto", "--input", "ratings.csv"]
    found = find(*files, "--catalogue", "movies.csv")
    assert (found["plays"].source.name, found["tracks"].source.name) == ("movielens", "movielens_movies")
    assert found["tracks"].arguments == ["--source", "movielens_movies", "--input", "movies.csv"]
    assert find(*files)["tracks"].why_not == "source movielens has no section [tracks]"
