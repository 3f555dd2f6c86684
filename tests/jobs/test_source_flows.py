"""A project with two sources: both are ingested, then the rest of the flow runs once; one that is refused stops it."""

from __future__ import annotations

import argparse

import pytest

import segue
from expectations.verdict import Refused, Result, Verdict
from jobs import FLOW, Step, feeds, flow, plan, planned_changes, release_tables, source_flows, sources
from jobs.errors import WrongUsage
from jobs.source_flows import has_new_files, run_flows
from reference import own_events
from reference.laid_flow import FIRST, LaidFlow
from segue.project import SETTINGS, VARIABLE

SEARCHES, _ = own_events.declare()
PLAYS = 'name = "{}"\n[plays]\nuser_id = "u"\n'
SETTINGS_TEXT = """
root = "root"
[sources.radio]
source = "radio.toml"
input = ["radio"]
[sources.app]
source = "app.toml"
input = ["app/1", "app/2"]
catalogue = ["tracks"]
"""
REFUSAL = Refused.batch(
    "plays", "b-1", Verdict((Result("expect_x", "x", "critical", False, "seen", "wanted"),)), ""
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose steps lay their tables; `calls` has each with its source and its files."""
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    world = LaidFlow(tmp_path)
    (tmp_path / "segue.toml").write_text(SETTINGS_TEXT)
    (tmp_path / "radio.toml").write_text(PLAYS.format("radio"))
    (tmp_path / "app.toml").write_text(PLAYS.format("app") + '[tracks]\ntrack_id = "t"\n')
    world.calls, world.refused, real = [], "", flow.run_step

    def run_step(name, arguments):
        files = [value.removeprefix(f"{tmp_path}/") for value in arguments if value.startswith(str(tmp_path))]
        world.calls.append((name, *files[1:]))
        if world.refused and f"{world.refused}.toml" in files:
            raise REFUSAL
        return real(name, arguments) if name == "release-tables" else world._lay(name, FIRST)

    monkeypatch.setattr(flow, "run_step", run_step)
    for audit in ("_count_orphans", "_read_versions"):
        monkeypatch.setattr(release_tables, audit, lambda job, selection: {})
    return world


INGESTS = [
    ("ingest-plays", "radio.toml", "radio"),
    ("ingest-plays", "app.toml", "app/1", "app/2"),
    ("ingest-tracks", "app.toml", "tracks"),
]


def test_every_source_is_ingested_and_the_rest_is_made_once(project):
    assert run_flows(["--run-id", "night", "--at-once", "1"]) == 0
    others = [(step.name,) for step in FLOW if not step.section]
    assert project.calls[: len(INGESTS)] == INGESTS
    assert sorted(project.calls[len(INGESTS) :]) == sorted(others)
    # of those that could begin, which does is another matter: see `jobs.graph.run_steps`
    order = [name for name, *_ in project.calls]
    makers = {table: step.name for step in FLOW for table in step.makes}
    for step in FLOW:
        for table in (*step.needs, *step.uses):
            assert order.index(makers[table]) < order.index(step.name), (
                f"{step.name} ran before {table} was made"
            )
    assert "plays" in segue.open(project.root).tables
    reports = [path.name for path in sorted((project.source.parent / "root" / "quality").glob("*.html"))]
    assert reports == ["night-app.html", "night-radio.html", "night.html"]


def test_a_source_that_is_refused_holds_up_no_other_but_all_that_is_made_of_plays(project, capsys):
    project.refused = "radio"
    assert run_flows(["--at-once", "1"]) == Refused.exit_code
    assert project.calls == INGESTS
    assert "Nothing was made of plays, as these sources were not taken in: radio\n" in capsys.readouterr().out


def test_sources_that_are_given_or_wrong_are_not_those_of_the_project(project, monkeypatch):
    (project.source.parent / "app.toml").write_text("name = 3")
    with pytest.raises(WrongUsage, match=r"source .*app\.toml: "):
        run_flows([])
    assert not project.calls
    monkeypatch.setenv("SEGUE_SOURCE", str(project.source))
    monkeypatch.setenv("SEGUE_INPUT", "landed")
    assert run_flows(["--skip", *(step.name for step in FLOW if not step.section), "--at-once", "1"]) == 0
    assert [call[:2] for call in project.calls] == [
        ("ingest-plays", "source.toml"),
        ("ingest-tracks", "source.toml"),
    ]


@pytest.fixture
def look(project, monkeypatch):
    """`look.new` is the source with files that are not in; `look.at` has each that a step was looked at with."""
    look = argparse.Namespace(new="", at=[])

    def has_work(step, arguments):
        if not step.section:
            return False
        name = arguments[arguments.index("--source") + 1].rpartition("/")[2]
        look.at.append((step.name, name))
        return name == look.new

    monkeypatch.setattr(planned_changes, "has_work", has_work)
    return look


def test_rounds_look_at_other_events_as_the_run_of_the_last_source_reads_them(project, look, monkeypatch):
    """To the first source, which reads none of them, their files would be new in each round."""
    step = Step("ingest-searches", "jobs.ingest_events", "", section=SEARCHES.name, makes=(SEARCHES.name,))
    for module in (flow, source_flows):
        monkeypatch.setattr(module, "FLOW", (*FLOW, step))
    for module in (feeds, sources):
        monkeypatch.setattr(module, "EVENT_TABLES", (SEARCHES,))
    monkeypatch.setattr(flow, "has_work", planned_changes.has_work)
    folder = project.source.parent
    for name in ("radio.toml", "app.toml"):
        with (folder / name).open("a") as source:
            source.write('[searches]\nsearch_id = "id"\n')
    (folder / "segue.toml").write_text(SETTINGS_TEXT + '[events.searches]\ninput = ["searches"]\n')
    plays, last = [call[:2] for call in INGESTS], ("ingest-searches", "app.toml")
    assert not has_new_files([])
    assert look.at == [*plays, last], "each step by the sources that it is run with"
    look.at.clear()
    assert not has_new_files(["--skip", "ingest-tracks"])
    assert look.at == [*plays[:2], last], "beside what is left out by the command"


def run_plan(command, *arguments):
    parser = argparse.ArgumentParser()
    (plan.configure if command == "run" else plan.configure_apply)(parser)
    return getattr(plan, command)(parser.parse_args(list(arguments)))


def test_a_plan_looks_at_the_files_of_every_source(project, look, capsys):
    assert run_plan("run", "--exit-code") == 0
    assert look.at == [call[:2] for call in INGESTS], "each source by the steps that read it"
    assert "nothing to do" in capsys.readouterr().out
    for look.new in ("radio.toml", "app.toml"):
        assert run_plan("run", "--exit-code") == plan.CHANGES, f"{look.new} has files that are not in"
        assert "files that are not in yet" in capsys.readouterr().out
    look.at.clear()
    assert run_plan("run", "--exit-code", "--source", str(project.source), "--input", "landed") == 0
    assert {name for _, name in look.at} == {"source.toml"}, "the one that is given alone"


def test_a_plan_that_is_applied_runs_its_steps_for_every_source(project, look):
    look.new = "radio.toml"
    assert run_plan("apply", "--yes") == 0
    # the catalogue has nothing new
    assert project.calls[:2] == [call for call in INGESTS if call[0] == "ingest-plays"]
    later = {name for name, *_ in project.calls[2:]}
    assert "build-sessions" in later and not later & {"ingest-plays", "ingest-tracks"}, later


def test_a_plan_without_files_to_read_ingests_nothing(project):
    assert run_flows(["--run-id", "night"], only={"build-sessions"}) == 0
    reports = [path.name for path in (project.source.parent / "root" / "quality").glob("*.html")]
    assert (project.calls, reports) == ([], ["night.html"]), "no source was to be read"
