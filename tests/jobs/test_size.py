"""What another size would cost, from made-up runs whose costs are known. Without Spark."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs import FLOW, maintain, show_size, verify
from jobs.errors import JobError, WrongUsage
from jobs.publishing import record_tables
from jobs.publishing.layout import find_file_bytes
from jobs.publishing.record_tables import COSTS
from jobs.publishing.warehouse import Warehouse
from jobs.sizing import predict
from jobs.sizing.fit import Fit, TooFewRuns, fit_costs, solve_non_negative
from jobs.sizing.meter import find_kind
from jobs.sizing.predict import LISTENERS, PLAYS, TRACKS, World, find_mix, predict_steps
from jobs.sizing.stages import find_farthest_task, sum_stages
from jobs.sizing.walls import Machine, find_walls
from reference.batches import batch
from reference.golden import unpack
from reference.published import lay
from schemas import CONTRACTS
from segue.parser import CommandParser

AT = datetime(2026, 10, 1, tzinfo=UTC)
WORLD = World(1000.0, 100.0, 50.0)
# What a run of made-up steps costs: fixed, and for a row of plays, of listeners and of tracks.
TRUE_COSTS = {
    "core_seconds": (3.0, 0.01, 0.02, 0.0),
    "shuffle_bytes": (0.0, 80.0, 0.0, 0.0),
    "bytes_written": (1000.0, 30.0, 400.0, 0.0),
    "driver_bytes": (2e8, 0.0, 0.0, 900.0),
}


def cost(name, rows):
    fixed, *per_row = TRUE_COSTS[name]
    return fixed + sum(each * rows[kind] for each, kind in zip(per_row, predict.KINDS, strict=True))


def make_run(number, plays, listeners, tracks, step="build-user-features", **overrides):
    rows = {PLAYS: plays, LISTENERS: listeners, TRACKS: tracks}
    empty = {column.name: 0 for column in COSTS.contract.columns}
    known = {
        "run_id": f"run-{number}",
        "step": step,
        "ended_at": AT + timedelta(days=number),
        "rows_published": sum(rows.values()),
        "cores": 2,
        "task_bytes": 50_000_000 + round(cost("bytes_written", rows)) * 3,
        "largest_task_seconds": 2.0,
        "median_task_seconds": 1.0,
    }
    return {**empty, **known, **rows, **{name: cost(name, rows) for name in TRUE_COSTS}, **overrides}


def make_runs():
    """The newest first, and it is of a night of `WORLD`; the three kinds of rows go their own ways."""
    sizes = [(1000, 100, 50), (9000, 300, 70), (3000, 800, 20), (200, 10, 400), (30_000, 1500, 90)]
    return [make_run(-n, *size) for n, size in enumerate(sizes)]


# --- the fit


def descend(matrix, values, rounds=20_000):
    """Non-negative least squares by coordinate descent, in loops: the error of what it ends with."""
    found = [0.0] * len(matrix[0])
    for _ in range(rounds):
        largest_step = 0.0
        for place in range(len(found)):
            gradient = square = 0.0
            for row, value in zip(matrix, values, strict=True):
                gradient += row[place] * (value - sum(a * b for a, b in zip(row, found, strict=True)))
                square += row[place] ** 2
            new = max(0.0, found[place] + gradient / square) if square else 0.0
            largest_step, found[place] = max(largest_step, abs(new - found[place])), new
        if largest_step < 1e-12:
            break
    return measure_error(matrix, values, found)


def measure_error(matrix, values, found):
    return sum(
        (value - sum(a * b for a, b in zip(row, found, strict=True))) ** 2
        for row, value in zip(matrix, values, strict=True)
    )


numbers = st.integers(0, 4).map(float)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=3, max_size=5), st.data())
@example([(0.0, 0.0, 0.0, 0.0)] * 3, None)
@example([(1.0, 2.0, 4.0, 1.0), (2.0, 4.0, 8.0, 0.0), (1.0, 2.0, 4.0, 0.0)], None)
def test_solution_is_as_good_as_that_of_descent(matrix, data):
    values = [float(n) for n in range(len(matrix))] if data is None else [data.draw(numbers) for _ in matrix]
    found = list(solve_non_negative(np.array(matrix), np.array(values)))
    assert min(found) >= 0
    assert measure_error(matrix, values, found) <= descend(matrix, values) + 1e-5


def test_fit_finds_the_costs_that_runs_were_made_of():
    runs = [{kind: run[kind] for kind in predict.KINDS} for run in make_runs()]
    for name, (fixed, *per_row) in TRUE_COSTS.items():
        fit = fit_costs(runs, [cost(name, run) for run in runs])
        assert [fit.fixed, *fit.per_row.values()] == pytest.approx([fixed, *per_row], rel=1e-6, abs=1e-9)


def test_a_small_run_weighs_as_much_as_a_large_one():
    # all but the largest lie on a line, and by plain squares the largest alone would be met
    rows = [{PLAYS: 10.0**n} for n in range(1, 7)]
    costs = [2 * run[PLAYS] for run in rows[:-1]] + [2.4 * rows[-1][PLAYS]]
    assert fit_costs(rows, costs).per_row[PLAYS] < 2.2


def test_rows_that_grew_together_are_paid_for_by_the_first_kind():
    rows = [{PLAYS: 10.0 * n, LISTENERS: 1.0 * n} for n in (1, 2, 5)]
    fit = fit_costs(rows, [run[PLAYS] * 3 for run in rows])
    assert fit.per_row == {PLAYS: pytest.approx(3), LISTENERS: 0}


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ((100, 1000), "2 of 3 runs"),
        ((100, 150, 199), "the largest needs 2 x the smallest's rows"),
        ((0, 0, 0), "the largest needs"),
        ((100, 150, 200), ""),
    ],
)
def test_too_few_runs_or_runs_of_one_size_are_refused(sizes, why):
    rows = [{PLAYS: float(size)} for size in sizes]
    if not why:
        assert fit_costs(rows, [run[PLAYS] for run in rows]).predict({PLAYS: 400}) == pytest.approx(400)
        return
    with pytest.raises(TooFewRuns, match=why):
        fit_costs(rows, [1.0] * len(rows))


@given(st.integers(0, 50), st.integers(0, 5), st.integers(0, 5), st.integers(0, 200))
def test_scale_is_where_the_limit_is_reached(fixed, per_play, per_listener, limit):
    fit, rows = Fit(float(fixed), {PLAYS: per_play, LISTENERS: per_listener}), {PLAYS: 2, LISTENERS: 3}
    scale = fit.find_scale(rows, float(limit))

    def costs_at(factor):
        return fit.predict({kind: number * factor for kind, number in rows.items()})

    if scale == float("inf"):
        assert costs_at(1e9) == fixed < limit
    elif scale:
        assert costs_at(scale) == pytest.approx(limit)
    else:
        assert fixed >= limit


# --- predictions


def test_prediction_is_what_the_requested_rows_cost():
    requested = World(40_000.0, 2000.0, 75.0)
    (found,) = predict_steps(make_runs(), WORLD, requested)
    rows = {PLAYS: 1000 * 40, LISTENERS: 100 * 20, TRACKS: 50 * 1.5}
    assert found.rows == pytest.approx(rows)
    assert {name: found.predict(name) for name in TRUE_COSTS} == pytest.approx(
        {name: cost(name, rows) for name in TRUE_COSTS}, rel=1e-6
    )
    assert found.beyond == pytest.approx(max(40_000 / 30_000, 2000 / 1500, 75 / 400))
    assert found.task_bytes == pytest.approx(50_000_000 + 3 * cost("bytes_written", rows), rel=1e-4)


def test_a_backfill_is_measured_and_no_night_is_taken_from_it():
    ingests = [
        make_run(n, plays, 0, 0, "ingest-plays", rows_published=plays)
        for n, plays in ((0, 30_000), (-1, 1000), (-2, 9000))
    ]
    runs = [ingests[0], make_run(0, 30_000, 3000, 50), ingests[1], *make_runs()[1:], ingests[2]]
    ingest, features = predict_steps(runs, WORLD, WORLD)
    assert (ingest.step, features.step) == ("ingest-plays", "build-user-features")
    assert ingest.rows == {PLAYS: 1000}
    # of run -1, which took in about a day: not of run 0
    assert features.rows == {PLAYS: 9000, LISTENERS: 300, TRACKS: 70}
    late = [run for run in runs if run["run_id"] == "run-0" or run["step"] == "ingest-plays"]
    late += [make_run(0, size, 1, 1, "build-sessions") for size in (100, 1000, 9000)]
    (sessions,) = (each for each in predict_steps(late, WORLD, WORLD) if each.step == "build-sessions")
    assert sessions.why_not == "no run took in the plays of about one day"


def test_runs_that_published_nothing_or_lost_jobs_are_left_out():
    runs = make_runs()
    spoiled = [make_run(5, 1, 1, 1, rows_published=0), make_run(6, 1, 1, 1, lost=2)]
    (found,) = predict_steps([*spoiled, *runs], WORLD, WORLD)
    assert (found.runs, found.rows) == (5, {PLAYS: 1000, LISTENERS: 100, TRACKS: 50})
    (none,) = predict_steps([*spoiled, *runs[:2]], WORLD, WORLD)
    assert none.why_not == "2 of 3 runs"


def test_what_is_unknown_of_a_world_grows_with_its_plays():
    scale = World(10.0, None, 5.0).compare(World(30.0, 7.0, None))
    assert scale == {PLAYS: 3, LISTENERS: 3, TRACKS: 3}


def test_mix_is_how_much_farther_kinds_are_from_each_other_than_ever():
    runs = [{PLAYS: 100, LISTENERS: 10}, {PLAYS: 100, LISTENERS: 20}, {PLAYS: 100, LISTENERS: 0}]
    requested = [
        ({PLAYS: 50, LISTENERS: 9}, 1.0),
        ({PLAYS: 50, LISTENERS: 20}, 2.0),
        ({PLAYS: 50, LISTENERS: 1}, 5.0),
    ]
    for rows, times in requested:
        assert find_mix(runs, rows) == pytest.approx(times)


def test_kinds_of_rows_follow_from_the_contracts():
    kinds = {name: find_kind(contract) for name, contract in CONTRACTS.items()}
    by_play = {"plays", "late_plays", "sessions", "user_track_partials", "user_artist_partials"}
    by_listener = {"user_partials", "user_features", "user_embeddings", "candidates"}
    assert {name for name, kind in kinds.items() if kind == PLAYS} == by_play
    assert {name for name, kind in kinds.items() if kind == LISTENERS} == by_listener
    assert {"tracks", "track_partials", "artist_features", "similar_tracks"} <= {
        name for name, kind in kinds.items() if kind == TRACKS
    }
    assert kinds["embedding_versions"] is None, "it has a row for each training"


def test_a_world_is_that_of_the_newest_days(root):
    warehouse = Warehouse(root)
    assert predict.measure_world(warehouse) == World(10, 2, 1)
    for table, rows in (("plays", 30), ("user_features", 7)):
        lay(warehouse, table, batch(CONTRACTS[table], rows, ds=date(2026, 10, 2)))
    assert predict.measure_world(warehouse) == World(30, 7, 1)


# --- walls


def predict_world(scale):
    requested = World(WORLD.plays * scale, WORLD.listeners * scale, WORLD.tracks * scale)
    return predict_steps(make_runs(), WORLD, requested), requested


def test_first_wall_is_what_breaks_first_as_the_size_grows():
    machine = Machine(2, 24, task_bytes=2**30, driver_bytes=2**30, executor_bytes=2**30)
    predictions, requested = predict_world(1)
    walls = find_walls(predictions, requested, machine)
    assert [wall.scale for wall in walls] == sorted(wall.scale for wall in walls)
    assert len(walls) == 5
    for wall in walls:
        assert not breaks(wall.what, wall.scale * 0.99, machine)
        assert breaks(wall.what, wall.scale * 1.01, machine), wall


def breaks(what, scale, machine):
    """By the made-up costs themselves."""
    rows = {PLAYS: 1000 * scale, LISTENERS: 100 * scale, TRACKS: 50 * scale}
    size, target = cost("bytes_written", rows), find_file_bytes("user_features")
    buckets = CONTRACTS["user_features"].buckets
    files = 1
    while files < buckets and size / files > target:
        files += 1
    if "hours" in what:
        return cost("core_seconds", rows) > machine.hours * 3600 * machine.cores
    if "one for each bucket" in what:
        return size / buckets > target
    if "sorts" in what:
        return 50_000_000 + 3 * size / files > machine.task_bytes
    if "driver" in what:
        return cost("driver_bytes", rows) > machine.driver_bytes
    return rows[TRACKS] * 64 * 2 * 4 > machine.executor_bytes


def test_a_task_of_a_file_that_fits_grows_only_once_every_bucket_is_a_file():
    predictions, requested = predict_world(1)
    target = find_file_bytes("user_features")
    small, large = (
        next(
            w for w in find_walls(predictions, requested, Machine(2, task_bytes=memory)) if "sorts" in w.what
        )
        for memory in (50_000_000 + 3 * target / 2, 50_000_000 + 3 * target * 2)
    )
    assert large.scale > 100 * small.scale


@pytest.mark.parametrize(
    ("step", "tables"),
    [
        ("ingest-plays", ["plays"]),
        ("ingest-tracks", ["tracks"]),
        ("build-user-features", ["user_features"]),
        ("build-pair-partials", ["user_track_partials", "user_artist_partials"]),
        ("train-track-embeddings", ["track_embeddings"]),
        ("release-tables", []),
    ],
)
def test_bytes_of_a_step_are_of_its_results(step, tables):
    """And not of what late or rejected plays, or days on the way to features, are in."""
    (found,) = (each for each in FLOW if each.name == step)
    assert predict.list_result_tables(found) == tables


def find_file_walls(runs, sizes):
    """By table where a day of it has a full file in each bucket."""
    walls = find_walls(predict_steps(runs, WORLD, WORLD, sizes), WORLD, Machine(2))
    return {wall.what.split()[3]: wall.scale for wall in walls if "one for each bucket" in wall.what}


def test_bytes_of_ingested_plays_are_those_of_plays():
    runs = [replace_step(run, "ingest-plays") for run in make_runs()]
    assert [*find_file_walls(runs, {})] == ["plays"]


def test_bytes_of_several_results_are_divided_as_they_are_published():
    runs = [replace_step(run, "build-pair-partials") for run in make_runs()]
    sizes = {"user_track_partials": 3000, "user_artist_partials": 1000}
    found, alike = find_file_walls(runs, sizes), find_file_walls(runs, {})
    # the fixed part of the made-up bytes is nothing beside a file
    assert found["user_artist_partials"] == pytest.approx(3 * found["user_track_partials"], rel=1e-3)
    assert alike["user_artist_partials"] == alike["user_track_partials"]
    assert found["user_track_partials"] < alike["user_track_partials"], (
        "three quarters of the bytes, not half"
    )
    assert [*find_file_walls(runs, {"user_track_partials": 1})] == ["user_track_partials"], (
        "the other has none"
    )


def replace_step(run, step):
    # a night takes in a day of plays
    return run | {"step": step, "rows_published": WORLD.plays}


def test_sizes_are_those_of_the_files_that_are_published(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    lay_rows(warehouse, "user_track_partials", 3)
    files = list((tmp_path / "tables" / "user_track_partials").rglob("*.parquet"))
    assert predict.measure_sizes(warehouse) == {
        "user_track_partials": sum(file.stat().st_size for file in files)
    }, "of steps that make several tables, those that are there"


def test_walls_that_are_not_requested_are_not_looked_for():
    predictions, requested = predict_world(1)
    assert len(find_walls(predictions, requested, Machine(2))) == 2
    assert find_walls([replace(predictions[0], why_not="too few")], requested, Machine(2)) == []


# --- stages


def make_stage(tasks, status="COMPLETE", profile=0):
    """As Spark's REST interface has it, from tasks of seconds, bytes and memory."""
    times = sorted(task["ms"] for task in tasks)
    stage = {"status": status, "resourceProfileId": profile, "numFailedTasks": 0, "numKilledTasks": 0}
    stage |= {"numCompleteTasks": len(tasks), "executorRunTime": sum(times), "jvmGcTime": 0, "inputBytes": 0}
    stage |= {"executorCpuTime": sum(task["cpu_ns"] for task in tasks), "diskBytesSpilled": 0}
    stage |= {"outputBytes": sum(task["bytes"] for task in tasks), "shuffleWriteBytes": 0}
    if tasks and status == "COMPLETE":
        peaks = sorted(task["memory"] for task in tasks)
        middle = (len(times) - 1) // 2
        stage["taskMetricsDistributions"] = {
            "executorRunTime": [times[middle], times[-1]],
            "peakExecutionMemory": [peaks[middle], peaks[-1]],
        }
    return stage


def test_sums_of_stages_are_those_of_their_tasks():
    draw = random.Random(7)
    stages_of_tasks = [
        [
            {
                "ms": draw.randrange(5000),
                "cpu_ns": draw.randrange(10**9),
                "bytes": draw.randrange(99),
                "memory": n,
            }
            for n in range(draw.randrange(1, 9))
        ]
        for _ in range(20)
    ]
    stages = [make_stage(tasks, profile=place % 2) for place, tasks in enumerate(stages_of_tasks)]
    skipped = [make_stage([], "SKIPPED"), make_stage([], "PENDING")]
    failed = make_stage([{"ms": 1000, "cpu_ns": 5, "bytes": 2, "memory": 10**6}], "FAILED")
    found = sum_stages([*stages, *skipped, failed], {0: 1, 1: 4})
    cores, cpu, size, tasks, farthest = 1.0, 5e-9, 2, 1, (0.0, 0.0)
    for place, each in enumerate(stages_of_tasks):
        for task in each:
            cores += task["ms"] / 1000 * (4 if place % 2 else 1)
            cpu, size, tasks = cpu + task["cpu_ns"] / 1e9, size + task["bytes"], tasks + 1
        times = sorted(task["ms"] for task in each)
        pair = times[(len(times) - 1) // 2] / 1000, times[-1] / 1000
        farthest = max(farthest, pair, key=lambda p: p[1] - p[0])
    assert (found["stages"], found["tasks"], found["bytes_written"]) == (21, tasks, size)
    assert (found["core_seconds"], found["cpu_seconds"]) == pytest.approx((cores, cpu))
    assert (found["median_task_seconds"], found["largest_task_seconds"]) == farthest
    assert found["task_bytes"] == max(task["memory"] for each in stages_of_tasks for task in each)


def test_a_step_without_a_task_that_ended_well_has_no_largest_one():
    assert find_farthest_task([make_stage([{"ms": 1, "cpu_ns": 1, "bytes": 1, "memory": 1}], "FAILED")]) == (
        None,
        None,
    )
    assert sum_stages([], {0: 1})["task_bytes"] == 0


# --- the command


def show(root, *arguments):
    parser = CommandParser(prog="segue size")
    show_size.configure(parser)
    return show_size.run(parser.parse_args(["--root", str(root), *arguments]))


def lay_rows(warehouse, table, rows):
    lay(warehouse, table, batch(CONTRACTS[table], rows))


@pytest.fixture
def root(tmp_path):
    """A root of ten plays a day, two listeners and a track, with five recorded runs."""
    warehouse = Warehouse(str(tmp_path / "root"))
    for table, rows in (("plays", 10), ("user_features", 2), ("track_features", 1)):
        lay_rows(warehouse, table, rows)
    COSTS.append(warehouse, make_runs())
    return warehouse.root


def test_size_names_what_was_measured_what_was_requested_and_the_first_wall(root, capsys):
    assert show(root, "--listeners", "2e3", "--cores", "4", "--driver-memory", "1") == 0
    said = capsys.readouterr().out
    assert "measured:  10 plays a day of 2 listeners, 1 tracks" in said
    assert "requested: 10,000 plays a day of 2,000 listeners, 1 tracks" in said
    rows = {PLAYS: 1000 * 1000, LISTENERS: 100 * 1000, TRACKS: 50}
    assert f"{cost('core_seconds', rows) / 3600:,.2f}" in said
    assert f"extrapolated up to {100_000 / 1500:,.1f} x beyond the largest run" in said
    assert said.count("first wall") == 1 and said.index("first wall") < said.index("then, at")


def test_without_a_size_the_newest_run_of_each_step_is_shown(root, capsys):
    COSTS.append(Warehouse(root), [make_run(9, 7, 0, 0, "build-sessions", lost=1)])
    assert show(root) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["build-user-features", "5", "1150"]
    assert lines[2].split()[:3] == ["build-sessions*", "1", "7"]
    assert lines[2].endswith("2.0 s / 1.0 s") and lines[-1].startswith("* Spark had forgotten")


def test_size_says_what_is_missing(root, tmp_path, capsys):
    assert show(tmp_path / "none") == 0
    assert "a flow records it unless spark.segue.runCosts is false" in capsys.readouterr().out
    with pytest.raises(
        JobError, match=r"run a flow first, which records it unless spark\.segue\.runCosts is false"
    ):
        show(tmp_path / "none", "--listeners", "10")
    with pytest.raises(WrongUsage, match="--tracks is of a size; give --listeners too"):
        show(root, "--tracks", "10")
    with pytest.raises(SystemExit):
        show(root, "--listeners", "-1")
    assert "expected a number above 0, such as 1e6; got '-1'" in capsys.readouterr().err
    other = Warehouse(str(tmp_path / "other"))
    lay_rows(other, "plays", 1)
    COSTS.append(other, make_runs()[:2])
    with pytest.raises(WrongUsage, match="give --plays-per-listener"):
        show(other.root, "--listeners", "10")
    with pytest.raises(JobError, match=r"build-user-features: 2 of 3 runs\); run flows of days that differ"):
        show(other.root, "--listeners", "10", "--plays-per-listener", "3")


# --- the table among the others


def test_maintenance_joins_the_files_of_costs_and_verify_reads_their_log(root, monkeypatch):
    monkeypatch.setattr(record_tables, "FILES_BEFORE_COMPACTION", 2)
    warehouse = Warehouse(root)
    for n in range(3):
        COSTS.append(warehouse, [make_run(20 + n, 1, 1, 1)])
    before = predict.read_runs(warehouse)
    maintain.main(["--root", root])
    assert predict.read_runs(warehouse) == before
    (path,) = record_tables.find_table(COSTS.path(warehouse)).file_uris()
    assert not [each for each in verify.examine(root) if each.where.startswith("quality/costs")]
    with open(path.removeprefix("file://"), "r+b") as file:
        file.truncate(100)
    assert [each for each in verify.examine(root) if each.where.startswith("quality/costs")]


def test_nothing_in_it_is_about_a_listener():
    assert not COSTS.contract.personal
    texts = {column.name for column in COSTS.contract.columns if column.type == "string"}
    assert texts == {"run_id", "step"}, "an erasure would have to look into any other text"


def test_a_root_from_before_has_no_costs_and_is_whole(tmp_path, capsys):
    unpack(tmp_path)
    root = str(tmp_path / "root")
    assert show(root) == 0
    assert "nothing is recorded" in capsys.readouterr().out
    assert [each for each in verify.examine(root) if each.wrong] == []
