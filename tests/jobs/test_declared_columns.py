"""Features that are declared later are computed beside the others; those taken away stay where they were published."""

from __future__ import annotations

import shutil
from datetime import timedelta

import great_expectations.expectations as gxe
import pytest
from pyspark.sql import functions as F

from expectations.gate_settings import GateSettings
from expectations.suite import Suite
from expectations.verdict import Refused
from features.windows import additions
from jobs import build_features
from jobs.job import Job
from jobs.publishing import protocol
from jobs.publishing.commits import list_file_days
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.warehouse import Warehouse
from jobs.verify import examine
from reference.published import NOON, PASSED, opening, pass_every_batch
from reference.rows import assert_same
from reference.staged import LaidJob
from reference.three_features import THREE_FEATURES, declare_three_features
from reference.windows import snap_to_expected
from reference.windows import window_features as expected_features
from schemas import CONTRACTS
from schemas.declarations import LIFETIME, Feature
from segue.storage import REMOVED, Snapshot

LENGTH = 10
DAYS = [(NOON + timedelta(days=n)).date() for n in range(LENGTH)]
GAP, LATER = 6, 8  # a day without plays, and one that a late play is of
PLAY_DAYS = [day for day in DAYS if day != DAYS[GAP]]
STEP = ("build-user-features",)
KEY = ("user_id", "ds")

TOP = Feature("tracks", "top_k", "track_id", "m", ("3d",), k=2)
FADED = Feature("plays", "decayed", "played_at", "m", ("3d",))
# Of a part that is there for longer spans, of new parts, of all time, of no part, and of a sketch.
ADDED = (
    Feature("plays", "count", "play_id", "m", ("9d",), where="not is_bot"),
    Feature("plays", "mean", "ms_played", "m", (LIFETIME, "9d")),
    Feature("artists", "distinct", "artist_id", "m", ("3d",)),
    Feature("artists", "approx_distinct", "artist_id", "m", ("3d",)),
    TOP,
    FADED,
)
# A window more of a part that was published for shorter ones.
LONGER = Feature("openings", "count", "play_id", "m", ("40d",))
GROUP = THREE_FEATURES
MORE = GROUP.extend(*ADDED, LONGER)
LESS = GROUP.extend(*[each for each in ADDED if each not in (TOP, FADED)], LONGER)


def make_plays(late=()):
    """A few plays a day by two listeners; late ones are of one of them alone."""
    rows = [
        opening(
            f"p{n}-{m}",
            NOON + timedelta(days=n, minutes=m),
            user_id=f"u{m % 2}",
            ms_played=1000 * n + m,
            track_id=f"t{n * m % 3}",
            artist_id=f"a{(n + m) % 4}",
        )
        for n in range(LENGTH)
        for m in range(4)
        if n != GAP
    ]
    return rows + [opening(f"late{n}", NOON + timedelta(days=n, hours=3), user_id="u1") for n in late]


def lay_plays(root, days, late=()):
    job = LaidJob("test", root, say=lambda text: None)
    batch = job.batch("sessions", days, parameters={"late": len(late)})
    job.publish(batch, [row for row in make_plays(late) if row["ds"] in days])


def build(root, run):
    assert build_features.main([*STEP, "--root", root, "--run-id", run]) == 0


def open_features(root):
    return Snapshot.at(f"{root}/tables/user_features", states(root)["user_features"].version)


def erase(root, user):
    """From the table of features alone."""
    job = Job("test", root, "erase", say=lambda text: None)
    table = job.warehouse.table("user_features")
    files = tuple(path for path, _ in list_file_days(table))
    assert rewrite_files(job, Rewrite("erase", table, "user_features", files, gone=F.col("user_id") == user))


def states(root):
    return {name: Warehouse(root).state(name) for name in ("user_partials", "user_features")}


def read(root):
    """As a reader by the declarations does."""
    names = [name for name in CONTRACTS["user_features"].names if name != "available_at"]
    return Job("test", root, "look").read("user_features").select(*names).toArrow().to_pylist()


def assert_as_defined(root, group, late=()):
    plays = make_plays(late)
    expected = expected_features(plays, group, PLAY_DAYS)
    assert_same(expected, snap_to_expected(expected, read(root), KEY), KEY, plays, "user_id")


@pytest.fixture(scope="module", autouse=True)
def _no_gate():
    with pytest.MonkeyPatch.context() as patch:
        pass_every_batch(patch)
        yield


@pytest.fixture(scope="module")
def root(spark, tmp_path_factory):
    """Features were declared after the days were published, and the step was killed before it ended."""
    root = str(tmp_path_factory.mktemp("added") / "root")
    with pytest.MonkeyPatch.context() as patch:
        declare_three_features(patch)
        lay_plays(root, PLAY_DAYS)
        build(root, "first")
        declare_three_features(patch, MORE)
        with pytest.MonkeyPatch.context() as killed:
            killed.setattr(build_features, "_update_features", lambda *_: None)
            build(root, "killed")
        build(root, "second")
        yield root


@pytest.fixture
def copy(root, tmp_path):
    return str(shutil.copytree(root, tmp_path / "root"))


def test_features_declared_later_have_the_content_of_a_group_made_at_once(spark, root, tmp_path):
    assert_as_defined(root, MORE)
    once = str(tmp_path / "once")
    lay_plays(once, PLAY_DAYS)
    build(once, "once")
    for table, state in states(root).items():
        assert state.content_hash == states(once)[table].content_hash, table


def test_addition_looks_at_new_columns_and_holds_the_others_to_their_hash(spark, copy, monkeypatch):
    suites, added = [], Feature("long", "count", "play_id", "m", ("3d",), where="position = 1")
    declare_three_features(monkeypatch, MORE.extend(added))
    monkeypatch.setattr(protocol, "audit_batch", lambda rows, suite, *_: suites.append(suite) or PASSED)
    expectations = (
        gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ("plays_count_7d", "long_count_3d")
    )
    suite = Suite("user_features", tuple(expectations))
    monkeypatch.setattr(GateSettings, "suite_of", lambda *_: suite)
    before = open_features(copy)

    def replace_features(published, *args):
        rows = additions.replace_features(published, *args)
        return rows.withColumn("plays_count_7d", F.expr("plays_count_7d + if(user_id = 'u1', 1, 0)"))

    with monkeypatch.context() as spoiled:
        spoiled.setattr(build_features, "replace_features", replace_features)
        with pytest.raises(
            Refused, match="columns as published, by their hash; observed 9 of 9 days differ, first"
        ):
            build(copy, "spoiled")
    assert open_features(copy).files == before.files
    build(copy, "added")
    assert [[e.column for e in each.expectations] for each in suites] == [
        [],
        ["long_count_3d"],
        ["long_count_3d"],
    ]
    assert_as_defined(copy, MORE.extend(added))


def test_features_taken_away_make_nothing_stale_and_stay_where_they_were(copy, monkeypatch, capsys):
    declare_three_features(monkeypatch, LESS)
    before = states(copy)
    build(copy, "less")
    assert capsys.readouterr().out.count("unchanged") == 2
    assert states(copy) == before
    stored = Snapshot.at(f"{copy}/tables/user_features", before["user_features"].version)
    assert any(stored.read(stored.files, [TOP.name("3d")])[TOP.name("3d")].to_pylist())


def test_features_taken_away_are_null_on_days_published_since_and_come_back(
    spark, copy, tmp_path, monkeypatch, capsys
):
    declare_three_features(monkeypatch, LESS)
    lay_plays(copy, [DAYS[LATER]], late=[LATER])
    build(copy, "less")
    assert_as_defined(copy, LESS, [LATER])
    snapshot = open_features(copy)
    assert {*snapshot.list_marked(REMOVED)} == {TOP.name("3d"), FADED.name("3d")}
    assert TOP.name("3d") not in snapshot.names(None)
    rows = snapshot.read(snapshot.files, ["ds", TOP.name("3d"), FADED.name("3d")]).to_pylist()
    for row in rows:
        assert (row[TOP.name("3d")] is None) == (row[FADED.name("3d")] is None) == (row["ds"] >= DAYS[LATER])
    # days of two declarations, each with hashes of its own columns
    # without the rows that were laid, whose hashes are of another kind
    erased = str(shutil.copytree(copy, tmp_path / "erased", ignore=shutil.ignore_patterns("sessions")))
    erase(erased, "u0")
    assert not [each for each in examine(erased, hashes=True) if each.wrong and "holds" in each.what]

    # declared again, in a night in which late plays came
    declare_three_features(monkeypatch, MORE)
    lay_plays(copy, [DAYS[-1]], late=[LATER, LENGTH - 1])
    # and as where rows are many
    monkeypatch.setattr(build_features, "FEW_ROWS", -1)
    capsys.readouterr()
    build(copy, "again")
    names = f"{TOP.name('3d')}, {FADED.name('3d')}"
    # of the days before, all hold them; the last is made as a whole
    assert f"user_features: {names} beside what 1 days held" in capsys.readouterr().out
    assert_as_defined(copy, MORE, [LATER, LENGTH - 1])
    assert not open_features(copy).list_marked(REMOVED)
