"""The plan of a flow: from logs alone, and without a trace in the root."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from features.sessions import GAP_MS
from jobs import FLOW, Step, build_sessions, costs, planned_changes, train_track_embeddings
from jobs import plan as plan_module
from jobs.build_sessions import select_days
from jobs.errors import JobError, WrongUsage
from jobs.feeds import Feed
from jobs.looks import has_work
from jobs.planned_changes import ADDED, GONE, NEW_DAY, OTHER_PLAYS, OTHER_WATERMARK, PlannedTable, Planner
from jobs.publishing.commits import Change, swap
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from jobs.sources import Source, load_source
from jobs.stale_features import find_stale_features, find_stale_partials
from jobs.training import manifest
from jobs.training.request import Request
from reference import own_events
from reference.golden import unpack
from schemas import CONTRACTS
from schemas.declarations import Feature
from schemas.user_features import USER_FEATURE_GROUP
from segue.errors import SegueError
from segue.project import SETTINGS

DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(4)]
LONGEST = Feature("longest", "max", "ms_played", "m", ("7d", "30d"))
# Its flow would train, as the code is another; and what is made of that.
FEATURES = ("sessions", "user_partials", "user_features")


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder


def list_content(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def plan(root, gap_ms=GAP_MS):
    planner = Planner(Warehouse(str(root)), {}, gap_ms)
    return {table.table: table for table in planner.plan()}


def run(*arguments, command="run"):
    parser = argparse.ArgumentParser()
    (plan_module.configure if command == "run" else plan_module.configure_apply)(parser)
    return getattr(plan_module, command)(parser.parse_args(list(arguments)))


def declare(monkeypatch, group):
    monkeypatch.setattr(planned_changes, "FEATURE_GROUPS", (group,))


def put(warehouse, table, hashes, upstream=None, **metadata):
    """A version whose days hold rows of these hashes."""
    opened = warehouse.create(CONTRACTS[table])
    days = {
        day: DayState(0, each, each, "batch", (upstream or {}).get(day, "")) for day, each in hashes.items()
    }
    swap(opened, Change("batch-1", "publish", TableState(opened.version(), days), metadata=metadata))


@pytest.fixture
def cut(tmp_path, monkeypatch):
    """Sessions of four days of plays; tables without rows, which are as good for a plan."""
    monkeypatch.setattr(planned_changes, "has_rows", lambda warehouse, table: table in ("plays", "sessions"))
    declare(monkeypatch, USER_FEATURE_GROUP)
    warehouse = Warehouse(str(tmp_path / "root"))
    put(warehouse, "plays", dict(zip(DAYS, range(1, 5), strict=True)))
    _, upstream = build_sessions.select_days(warehouse.state("plays"), None, [], GAP_MS)
    put(
        warehouse,
        "sessions",
        dict(zip(DAYS, range(5, 9), strict=True)),
        upstream,
        parameters={"gap_ms": GAP_MS},
    )
    return warehouse


def test_plan_writes_nothing_and_opens_no_session(golden):
    before = list_content(golden / "root")
    tables = plan(golden / "root")
    assert not {*FEATURES} & {*tables}, "all of these are up to date"
    assert tables["track_embeddings"].why, "its code is another than that of then"
    assert tables["similar_tracks"].why == "follows from track_embeddings"
    assert "releases" in tables
    assert list_content(golden / "root") == before


def test_plan_says_which_step_would_fail_and_goes_on(golden, monkeypatch):
    def fail(arguments):
        raise SegueError("version 3 of the table has lost files", "restore them")

    monkeypatch.setattr(train_track_embeddings, "main", fail)
    planner = Planner(Warehouse(str(golden / "root")), {}, GAP_MS)
    assert "track_embeddings" not in {table.table for table in planner.plan()}
    assert planner.problems["train-track-embeddings"].startswith("version 3 of the table has lost files")


def test_plan_of_declared_features_names_columns_days_and_cost(golden, monkeypatch, tmp_path):
    first, *rest = USER_FEATURE_GROUP.features
    group = replace(USER_FEATURE_GROUP, features=(replace(first, default=None), *rest, LONGEST))
    declare(monkeypatch, group)
    monkeypatch.setattr(costs.Costs, "_rates", {"build-user-features": 0.5})
    tables = plan(golden / "root")
    partials, features = tables["user_partials"], tables["user_features"]
    assert (partials.new, partials.changed, partials.gone) == (("max_ms_played",), (), ())
    assert features.new == ("longest_max_7d", "longest_max_30d")
    (days,) = features.days
    state = Warehouse(str(golden / "root")).state("user_features")
    assert (days.why, list(days.days), days.columns) == (ADDED, state.days, features.new)
    assert (features.rows, features.seconds) == (state.rows, state.rows / 2)
    assert features.bytes > 1000


def test_plan_of_a_feature_taken_away_has_no_work(cut, monkeypatch):
    more = USER_FEATURE_GROUP.extend(LONGEST)
    sessions = cut.state("sessions")
    stale = find_stale_partials(cut, more, sessions)
    for table, contract in (("user_partials", more.partials_contract()), ("user_features", more.contract())):
        monkeypatch.setitem(CONTRACTS, table, contract)
    put(cut, "user_partials", dict.fromkeys(DAYS, 1), stale.sources)
    stale = find_stale_features(cut, more, cut.state("user_partials"), sessions)
    put(cut, "user_features", dict.fromkeys(DAYS, 1), stale.sources)
    table = plan(cut.root)["user_features"]
    assert table.gone == ("longest_max_7d", "longest_max_30d")


def test_plan_says_why_days_of_sessions_are_stale(cut):
    assert "sessions" not in plan(cut.root)
    reasons = {each.why: list(each.days) for each in plan(cut.root, gap_ms=600_000)["sessions"].days}
    assert reasons == {f"changed parameter: gap-ms was {GAP_MS}, is 600000": DAYS}
    later = DAYS[-1] + timedelta(days=1)
    put(cut, "plays", {DAYS[0]: 1, DAYS[1]: 2, DAYS[2]: 99, DAYS[3]: 4, later: 5})
    reasons = {each.why: list(each.days) for each in plan(cut.root)["sessions"].days}
    assert reasons == {OTHER_PLAYS: [DAYS[2]], "the day before is cut again": [DAYS[3]], NEW_DAY: [later]}


def test_gap_of_sessions_is_a_setting_that_plan_and_flow_go_by(golden, monkeypatch, capsys):
    step, root = next(step for step in FLOW if step.name == "build-sessions"), str(golden / "root")
    assert not has_work(step, ["--root", root]), "sessions are cut with the gap that is the default"
    assert SETTINGS[build_sessions.GAP_SETTING].default == GAP_MS, "rules 1 are recognised by this gap"
    monkeypatch.setenv("SEGUE_SESSION_GAP_MS", "600000")
    assert has_work(step, ["--root", root]), "the step of the flow cuts with another gap than the project's"
    run("--root", root)
    assert "another gap-ms then" in capsys.readouterr().out, "the plan goes by another gap"
    with pytest.raises(SystemExit):
        build_sessions._parser().parse_args(["--gap-ms", "-1"])
    assert "'-1'; expected a whole number of ms" in capsys.readouterr().err


def test_plan_says_that_a_day_is_complete_by_now(cut):
    plays = cut.state("plays")
    noon = datetime.combine(DAYS[3], time(12), UTC)
    before = replace(plays, complete_through=noon)
    names = select_days(before, None, [], GAP_MS)[1]
    put(cut, "sessions", dict.fromkeys(DAYS, 1), names)
    (days,) = plan(cut.root)["sessions"].days
    assert (days.why, list(days.days)) == (OTHER_WATERMARK, [DAYS[3]])


def test_plan_of_changed_rules_says_from_which_to_which(cut, monkeypatch):
    for module in (build_sessions, planned_changes):
        monkeypatch.setattr(module, "RULES", 3)
    (first, *_) = plan(cut.root)["sessions"].days
    assert first.why == "changed rules of sessions: 2 to 3"


def test_plan_follows_stale_sessions_through_partials_to_features(cut):
    # of the day before the last; a tile of two days ends there
    put(cut, "plays", {DAYS[0]: 1, DAYS[1]: 2, DAYS[2]: 99, DAYS[3]: 4})
    sessions = cut.state("sessions")
    stale = find_stale_partials(cut, USER_FEATURE_GROUP, sessions)
    put(cut, "user_partials", dict.fromkeys(DAYS, 1), {day: stale.sources[day] for day in DAYS})
    tables = plan(cut.root)
    assert [list(each.days) for each in tables["user_features"].days] == [DAYS]


def test_plan_names_days_that_their_source_has_no_more(cut):
    for table in ("user_partials", "user_features"):
        put(cut, table, dict.fromkeys(DAYS, 1))
    put(cut, "plays", {DAYS[0]: 1, DAYS[1]: 2, DAYS[2]: 3})
    tables = plan(cut.root)
    gone = {name: [list(each.days) for each in tables[name].days if each.why == GONE] for name in FEATURES}
    assert gone == {name: [DAYS[3:]] for name in FEATURES}
    assert tables["sessions"].rows == 0 and len(tables["sessions"].days) == 1, "nothing is cut again"


def test_plan_as_json_has_a_record_for_each_table(golden, capsys, monkeypatch):
    declare(monkeypatch, USER_FEATURE_GROUP.extend(LONGEST))
    assert run("--root", str(golden / "root"), "--json", "--exit-code") == plan_module.CHANGES
    records = {row["table"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert records["user_features"]["days"][0]["columns"] == ["longest_max_7d", "longest_max_30d"]
    # the flow that made the root left a record of what its steps took
    assert records["user_features"]["seconds"] > 0


def test_plan_with_files_that_are_not_in_yet_starts_with_plays(golden):
    path = str(golden / "landing" / "source.toml")
    files = [str(next((golden / "landing" / "plays").glob("delivered=*")))]
    feeds = {"plays": [Feed("plays", load_source(path), path, files)]}
    planner = Planner(Warehouse(str(golden / "root")), feeds, GAP_MS)
    tables = {table.table: table.why for table in planner.plan()}
    assert tables["plays"] == "files that are not in yet"
    assert tables["user_features"] == "follows from sessions"


def test_plan_of_a_root_without_tables_says_what_to_give(tmp_path):
    with pytest.raises(JobError, match="give --source and --input"):
        run("--root", str(tmp_path))


def test_apply_runs_the_steps_that_the_plan_names(golden, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(plan_module, "run_flows", lambda arguments, only: ran.append((arguments, only)) or 0)
    with pytest.raises(WrongUsage, match="--yes"):
        run("--root", str(golden / "root"), command="apply")
    assert run("--root", str(golden / "root"), "--yes", command="apply") == 0
    ((arguments, only),) = ran
    assert arguments == ["--root", str(golden / "root")]
    assert "train-track-embeddings" in only and "build-sessions" not in only
    assert "track_embeddings" in capsys.readouterr().out


def test_plan_of_a_group_follows_its_own_events(tmp_path, monkeypatch):
    searches, groups = own_events.declare()
    declare(monkeypatch, group := groups["search_features"])
    monkeypatch.setitem(CONTRACTS, "searches", searches.contract)
    monkeypatch.setattr(planned_changes, "has_rows", lambda warehouse, table: table == "searches")
    ingest, build = (
        Step(name, "", "", needs=needs, makes=makes, section=section)
        for name, needs, makes, section in (
            ("ingest-searches", (), ("searches",), "searches"),
            ("build-search-features", ("searches",), group.tables, ""),
        )
    )
    build = replace(build, module="jobs.build_features")
    monkeypatch.setattr(planned_changes, "FLOW", (ingest, build))
    put(Warehouse(str(tmp_path / "root")), "searches", dict.fromkeys(DAYS[:2], 1))
    (partials,) = (each for each in plan(tmp_path / "root").values() if each.table == "search_partials")
    assert [(each.why, list(each.days)) for each in partials.days] == [(NEW_DAY, DAYS[:2])]
    # files of searches that are not in yet: which days those are nobody knows
    monkeypatch.setattr(
        Planner, "_look", lambda self, step: [PlannedTable("searches", step.name, "new files")]
    )
    feed = Feed("searches", Source(name="log", events={"searches": {"query": "text"}}), "log.toml", ["in"])
    tables = Planner(Warehouse(str(tmp_path / "root")), {"searches": [feed]}, GAP_MS).plan()
    assert {each.table: each.why for each in tables} == {
        "searches": "new files",
        "search_partials": "follows from searches",
        "search_features": "follows from searches",
    }


def test_plan_names_training_sets_that_it_concerns(golden, monkeypatch, tmp_path, capsys):
    declare(monkeypatch, USER_FEATURE_GROUP.extend(LONGEST))
    now = manifest.declared_identities()
    known = {ref: now[ref] for ref in ("user_features:plays_count_7d", "user_features:plays_count_1d")}
    for name, identities in (("same", known), ("otherwise", known | {"user_features:plays_count_1d": "x"})):
        (tmp_path / name).mkdir()
        tables = {"user_features": {"version": 1}}
        made = manifest.Manifest(Request("labels"), "r", tables, "code", 0, "", identities=identities)
        manifest.save(made, str(tmp_path / name))
    assert run("--root", str(golden / "root"), "--training-sets", str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path}/same: made again of the newest release, it would differ (user_features)" in printed
    assert (
        f"{tmp_path}/otherwise: has features that are declared otherwise (user_features:plays_count_1d)"
        in printed
    )
    assert "user_features: new: longest_max_7d, longest_max_30d" in printed
