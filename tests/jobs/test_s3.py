"""On object stores too, commits exclude one another; what cannot be made exclusive is refused at start.

This file is also the program that the tests run in processes of their own (see `__main__`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import Schema, write_deltalake

import segue
from expectations.profile import DayProfile, Profile
from expectations.verdict import Verdict
from features.synthetic.world import World
from jobs import jars
from jobs.errors import JobError, WrongUsage
from jobs.publishing import protocol, stores
from jobs.publishing.batches import Batch, folder, reserve
from jobs.publishing.commits import Change, list_file_days, swap
from jobs.publishing.state import TableState, digest, parse_commit_metadata
from jobs.publishing.warehouse import Warehouse
from jobs.session import s3_settings
from reference.golden import unpack
from reference.three_features import declare_three_features
from reference.worlds import heard
from schemas.sessions import SESSIONS
from segue.releases import TableVersion, append_release, list_releases, rollback

TOP = Path(__file__).parents[2]
BUCKET = "segue"
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
PUBLISHERS, COMMITS = 4, 12
FETCH_S = 180
FIRST, SECOND = World().first_day, World().first_day + timedelta(days=1)
MADE_LATER = ("build-sessions", "build-user-features")
LEFT_OUT = (
    "build-track-features", "build-artist-features", "build-pair-partials", "train-track-embeddings",
    "build-user-embeddings", "build-similar-tracks", "build-candidates", "build-semantic-ids",
)  # fmt: skip


# --- what is refused before anything is written


@pytest.mark.parametrize("root", ["hdfs://host/data", "dbfs://data", "file:///data", "http://host/data"])
def test_a_root_where_nobody_knows_how_to_be_exclusive_is_refused(root):
    with pytest.raises(WrongUsage, match=r"not safe.*give a local path"):
        stores.check_root(root)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_S3_ALLOW_UNSAFE_RENAME", "true"),
        ("aws_s3_allow_unsafe_rename", "on"),
        ("AWS_S3_LOCKING_PROVIDER", "dynamodb"),
    ],
)
@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_variable_that_makes_commits_unsafe_is_refused(monkeypatch, scheme, name, value):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_probe", lambda *_: pytest.fail("the store was written to"))
    with pytest.raises(WrongUsage, match=f"{name} is set"):
        stores.check_root(f"{scheme}://{BUCKET}/{name}")


def test_a_variable_that_says_no_is_let_through(monkeypatch):
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "false")
    monkeypatch.setattr(stores, "_probe", lambda *_: None)
    monkeypatch.setattr(stores, "s3_is_installed", lambda: True)
    assert stores.check_root(f"s3a://{BUCKET}/says-no") == f"s3a://{BUCKET}/says-no"


def test_jars_that_are_missing_are_missed_at_start(monkeypatch):
    monkeypatch.setattr(stores, "_probe", lambda *_: None)
    monkeypatch.setattr(stores, "s3_is_installed", lambda: False)
    with pytest.raises(JobError, match="segue install-jars --s3"):
        stores.check_root(f"s3a://{BUCKET}/without-jars")


# --- the jars and the settings


@pytest.fixture
def given_jars(tmp_path, monkeypatch):
    """A folder of jars given by hand, and an environment without any."""
    given, into = tmp_path / "given", tmp_path / "into"
    for each in (given, into):
        each.mkdir()
    for coordinate in (*jars.DELTA, *jars.S3):
        _, name, version = coordinate.split(":")
        (given / f"{name}-{version}.jar").write_text(name)
    monkeypatch.setenv("SEGUE_JARS", str(given))
    monkeypatch.setattr(jars, "spark_jars", lambda: into)
    return given


def test_the_jars_for_s3_come_only_when_asked_for(given_jars):
    jars.install()
    assert jars.delta_is_installed() and not jars.s3_is_installed()
    jars.install(s3=True)
    assert jars.s3_is_installed()


def test_a_jar_is_put_there_whole_or_not_at_all(given_jars, monkeypatch):
    def cut_off(source, target):
        Path(target).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jars.shutil, "copy", cut_off)
    with pytest.raises(JobError, match="No space left"):
        jars.install(s3=True)
    assert list(jars.spark_jars().iterdir()) == []


def test_a_jar_that_was_not_given_is_named(given_jars):
    next(given_jars.glob("bundle-*")).unlink()
    with pytest.raises(JobError, match=r"no bundle-[\d.]+jar"):
        jars.install(s3=True)


def test_the_session_reads_the_variables_that_the_others_read():
    given = {"AWS_ENDPOINT_URL": "http://localhost:9000", "AWS_DEFAULT_REGION": "eu-west-1"}
    asked = {name.removeprefix("spark.hadoop.fs."): value for name, value in s3_settings(given).items()}
    assert asked == {
        "s3a.endpoint": "http://localhost:9000",
        "s3a.endpoint.region": "eu-west-1",
        "s3a.path.style.access": "true",
        "s3a.connection.ssl.enabled": "false",
        "s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    }
    assert set(s3_settings({})) == {"spark.hadoop.fs.s3.impl"}, "Amazon's own needs no endpoint"


# --- a store on this machine


class Store:
    """A store in a process of its own, as delta-rs waits for answers without letting go of Python's lock."""

    def __init__(self) -> None:
        self._process = start("store")
        self.url = self._process.stdout.readline().strip()
        self.ask(f"/{BUCKET}", "PUT")

    def ask(self, path: str, method: str = "GET") -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as answer:
            return answer.read()

    def begin(self, ignores_conditions: bool = False) -> None:
        """Counts anew. Where conditions are ignored, it does what some other stores do."""
        self.ask(f"/-/begin/{int(ignores_conditions)}")

    def refused(self, part: str = "") -> int:
        """How many conditional puts found their object there, among paths that hold `part`."""
        return sum(n for path, n in json.loads(self.ask("/-/refused")).items() if part in path)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def whole_store() -> Iterator[Store]:
    store = Store()
    variables = {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield store
    store.close()


@pytest.fixture
def store(whole_store, monkeypatch):
    monkeypatch.setattr(stores, "s3_is_installed", lambda: True)
    whole_store.begin()
    yield whole_store
    whole_store.begin()


@pytest.mark.s3
def test_a_store_that_honours_conditions_is_taken_and_left_as_it_was(store):
    root = f"s3a://{BUCKET}/honours"
    assert stores.check_root(root) == root
    assert store.refused(), "the store was not asked to refuse anything"
    files, inner = segue.storage.filesystem(root)
    assert files.get_file_info(pa.fs.FileSelector(inner, recursive=True, allow_not_found=True)) == []


@pytest.mark.s3
def test_a_store_that_ignores_conditions_is_refused(store):
    store.begin(ignores_conditions=True)
    with pytest.raises(JobError, match=r"two commits of one version.*If-None-Match"):
        stores.check_root(f"s3a://{BUCKET}/ignores")


@pytest.mark.s3
@pytest.mark.parametrize(
    ("root", "variable", "says"),
    [
        ("s3a://no-such-bucket/root", None, "bucket does not exist. Check the bucket"),
        (
            f"s3a://{BUCKET}/plain-http",
            "AWS_ALLOW_HTTP",
            "scheme is not allowed. Check .*AWS_ALLOW_HTTP=true",
        ),
    ],
)
def test_a_root_that_cannot_be_written_to_is_refused_in_one_line(store, monkeypatch, root, variable, says):
    if variable:
        monkeypatch.delenv(variable)
    with pytest.raises(JobError, match=says) as refused:
        stores.check_root(root)
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)


# --- many publishers


def lost(root: str, reported: list[str]) -> list[str]:
    """Batches that were reported as published and are not in the table's history."""
    return sorted(set(reported) - set(published(root)))


def published(root: str) -> list[str]:
    notes = [parse_commit_metadata(commit) for commit in Warehouse(root).table("sessions").history()]
    return [note["batch"] for note in notes if note.get("kind") == "publish"]


def swap_at_once(root: str, names: list[str]) -> list[str]:
    """Who is told that its commit was done, of those that saw one version and commit at one moment."""
    tables, line = [Warehouse(root).table("sessions") for _ in names], threading.Barrier(len(names))

    def done(name, table):
        line.wait()
        try:
            return bool(swap(table, Change(name, "publish", TableState(0))))
        except protocol.CommitConflict:
            return False

    with ThreadPoolExecutor(len(names)) as at_once:
        return [name for name, told in zip(names, at_once.map(done, names, tables), strict=True) if told]


@pytest.mark.s3
@pytest.mark.parametrize("ignores_conditions", [True, False])
def test_of_commits_at_once_some_are_lost_only_where_conditions_are_ignored(store, ignores_conditions):
    root = f"s3a://{BUCKET}/at-once-{ignores_conditions}"
    Warehouse(root).create(SESSIONS)
    store.begin(ignores_conditions)
    told = [name for n in range(8) for name in swap_at_once(root, [f"b{n}-{i}" for i in range(3)])]
    if ignores_conditions:
        assert lost(root, told), "a lost commit would not be seen"
    else:
        assert store.refused("_delta_log"), "nobody lost a swap in the store: this shows nothing"
        assert (len(told), lost(root, told)) == (8, [])


@pytest.fixture(scope="module")
def crowd(whole_store):
    """Four processes published to one table at once, each to a day of its own and to one of all."""
    root = f"s3a://{BUCKET}/crowd"
    whole_store.begin()
    Warehouse(root).create(SESSIONS)
    return root, run_publishers(root), whole_store.refused("/tables/sessions/_delta_log/")


def run_publishers(root: str) -> list[dict]:
    started = [start("publish", root, str(n), stdin=subprocess.PIPE) for n in range(PUBLISHERS)]
    try:
        for each in started:
            assert each.stdout.readline() == "staged\n"
        said = []
        # all begin each commit together: on two cores they would otherwise take turns, and few would lose
        for _ in range(COMMITS):
            for each in started:
                each.stdin.write("go\n")
                each.stdin.flush()
            said += [each.stdout.readline() for each in started]
        said += [each.communicate(timeout=300)[0] for each in started]
        assert [each.returncode for each in started] == [0] * PUBLISHERS
    finally:
        for each in started:
            each.kill()
            each.wait()
    return [json.loads(line) for text in said for line in text.splitlines()]


def start(*arguments: str, **options) -> subprocess.Popen:
    path = os.pathsep.join([str(TOP), str(TOP / "tests")])
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        # a short run is over before the second compiler has paid for itself
        env={**os.environ, "PYTHONPATH": path, "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"},
        text=True,
        stdout=subprocess.PIPE,
        **options,
    )


@pytest.mark.s3
def test_no_commit_of_a_crowd_is_lost_and_none_is_there_twice(crowd):
    root, reported, fired = crowd
    assert fired >= PUBLISHERS, f"{fired} commits were refused: too few to show anything"
    done = [each["batch"] for each in reported]
    assert len(set(done)) == PUBLISHERS * COMMITS
    assert lost(root, done) == []
    assert sorted(published(root)) == sorted(done), "a batch is in the history twice"


@pytest.mark.s3
def test_the_state_that_a_crowd_leaves_is_what_the_log_names(crowd):
    root, reported, _ = crowd
    table, state = Warehouse(root).table("sessions"), Warehouse(root).state("sessions")
    newest = {each["day"]: each for each in sorted(reported, key=lambda each: each["version"])}
    assert len(newest) == PUBLISHERS + 1
    actions = pa.table(table.get_add_actions(flatten=True))
    rows = dict(
        zip(map(str, actions["partition.ds"].to_pylist()), actions["num_records"].to_pylist(), strict=True)
    )
    assert rows == {day: each["rows"] for day, each in newest.items()}
    assert {str(day): part.rows for day, part in state.day_states.items()} == rows
    named = {str(day): path.split("/")[0] for path, day in list_file_days(table)}
    assert named == {day: f"batch-{each['batch']}" for day, each in newest.items()}
    assert {str(day): part.fingerprint for day, part in state.day_states.items()} == {
        day: each["batch"].rpartition("-")[0] for day, each in newest.items()
    }


@pytest.mark.s3
def test_every_release_of_a_crowd_is_listed_and_its_rows_are_there(crowd):
    root, reported, _ = crowd
    released = {each["release"]: each for each in reported if each["release"]}
    assert len(released) == PUBLISHERS, "two publishers got one release"
    assert {release.release_id for release in list_releases(root)} == set(released)
    for name, each in released.items():
        state = Warehouse(root).table("sessions", each["version"])
        held = pc.sum(pa.table(state.get_add_actions(flatten=True))["num_records"]).as_py()
        assert sum(batch.num_rows for batch in segue.open(root, name).scan("sessions")) == held


# --- the whole flow


@pytest.fixture(scope="module")
def flow(whole_store, tmp_path_factory):
    """A day of a small world released, then another."""
    get_jars(tmp_path_factory.mktemp("fetched"))
    at, root = tmp_path_factory.mktemp("flow"), f"s3a://{BUCKET}/flow"
    run = start("flow", root, str(at), cwd=at, stderr=subprocess.PIPE)
    try:
        out, err = run.communicate(timeout=400)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, f"{out[-3000:]}\n{err[-3000:]}"
    days = json.loads((at / "landing" / "truth.json").read_text())["days"]
    return root, [days[str(day)]["plays"] for day in (FIRST, SECOND)], out


def get_jars(scratch: Path) -> None:
    if jars.s3_is_installed():
        return
    command = [sys.executable, "-m", "segue.command", "install-jars", "--s3"]
    environment = {**os.environ, "PYTHONPATH": str(TOP), "TMPDIR": str(scratch)}
    try:
        got = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the jars for S3 are not in this environment, nor here after {FETCH_S} s")
    if got.returncode:
        pytest.skip(f"the jars for S3 are not in this environment, and cannot be had: {got.stderr.strip()}")


@pytest.mark.s3
def test_what_the_flow_releases_on_s3_is_read_from_there(flow):
    root, plays, _ = flow
    store = segue.open(root)
    made = {"plays", "rejected_plays", "tracks", "sessions", "user_partials", "user_features"}
    assert set(store.tables) == made
    assert pa.Table.from_batches(store.scan("plays")).num_rows == sum(plays)
    heard_by = Counter(user for batch in store.scan("sessions") for user in batch["user_id"].to_pylist())
    assert heard_by.total() == sum(plays)
    day = store.days("user_features")[-1]
    users = [user for batch in store.scan("user_features", day=day) for user in batch["user_id"].to_pylist()]
    assert users and set(users) <= set(heard_by)
    assert store.lookup("user_features", [*users, "nobody"])["ds"].to_pylist() == [day] * len(users) + [None]


@pytest.mark.s3
def test_the_flow_again_adds_nothing(flow):
    again = flow[2].rpartition("--- flow\n")[2]
    assert "holds these very versions already" in again, again
    assert " published" not in again.replace("is published already", "") and " version " not in again, again


@pytest.mark.s3
def test_a_rollback_on_s3_serves_the_older_day_and_moves_nothing(flow):
    root, plays, _ = flow
    newest, older = list_releases(root)[:2]
    made = rollback(root, older.release_id)
    store = segue.open(root)
    assert (store.release, made.rollback_of) == (made.release_id, newest.release_id)
    assert store.tables == older.tables
    assert pa.Table.from_batches(store.scan("plays")).num_rows == plays[0]
    assert sum(b.num_rows for b in segue.open(root, newest.release_id).scan("plays")) == sum(plays)


# --- the programs


def run_publisher(root: str, number: int) -> None:
    """Stages all its batches, then waits for the word before each commit, and says so after it."""
    warehouse = Warehouse(root)
    staged = [stage(warehouse, number, n) for n in range(COMMITS)]
    print("staged", flush=True)
    for n, each in enumerate(staged):
        sys.stdin.readline()
        state = protocol.commit(warehouse, each, {"run": f"publisher-{number}"})
        say_published(root, each, state, released=n == COMMITS - 1)
        if n % 10 == 9 - number:  # one at a time, as maintenance does, with the others committing meanwhile
            warehouse.table("sessions").create_checkpoint()


def say_published(root: str, staged: protocol.StagedBatch, state: TableState, released: bool) -> None:
    held = TableVersion(state.version, state.rows, state.content_hash)
    release = append_release(root, max(state.days), {"sessions": held}).release_id if released else None
    said = {
        "batch": staged.batch.id,
        "version": state.version,
        "rows": staged.profile.rows,
        "release": release,
    }
    print(json.dumps({**said, "day": str(staged.batch.days[0])}), flush=True)


def stage(warehouse: Warehouse, number: int, n: int) -> protocol.StagedBatch:
    """As Spark would, without Spark: every other batch is for a day that all publishers replace."""
    when = NOON + timedelta(days=number if n % 2 else PUBLISHERS)
    rows = [
        {**heard(play_id=f"{number}-{n}-{i}", played_at=when, session_started_at=when), "available_at": None}
        for i in range(1 + n % 3)
    ]
    fingerprint = digest(number, n)
    batch = reserve(warehouse, Batch(SESSIONS, fingerprint, (when.date(),)))
    schema = pa.schema(Schema.from_json(SESSIONS.struct().json()).to_arrow())
    path = folder(warehouse, batch)
    write_deltalake(path, pa.Table.from_pylist(rows, schema=schema), mode="append")
    seen: dict[date | None, DayProfile] = {when.date(): DayProfile(len(rows), int(fingerprint, 16))}
    return protocol.StagedBatch(batch, path, Profile(len(rows), 0, seen), Verdict(()))


def run_flows(root: str, at: Path) -> None:
    """Two days of files on the store, without most features and without steps that do nothing new on S3."""
    from jobs.flow import run_flow

    unpack(at)
    landing = f"s3a://{BUCKET}/landing"
    files, inner = segue.storage.filesystem(landing)
    pa.fs.copy_files(str(at / "landing"), inner, destination_filesystem=files)
    source = ["--root", root, "--source", f"{at}/landing/source.toml", "--catalogue", f"{landing}/tracks"]
    with pytest.MonkeyPatch.context() as patch:
        declare_three_features(patch)
        for day, skip in ((FIRST, (*LEFT_OUT, *MADE_LATER)), (SECOND, LEFT_OUT), (SECOND, LEFT_OUT)):
            print("--- flow", flush=True)
            run_flow([*source, "--input", f"{landing}/plays/delivered={day}", "--skip", *skip])


# Where commits are to meet, the store takes its time, so that others look before the object is there.
DAWDLE_S = 0.5


class Atomic:
    """moto, made atomic: by itself it looks whether an object is there, and writes it a little later."""

    def __init__(self, moto) -> None:
        self._moto, self._one_at_a_time = moto, threading.Lock()
        self._begin(False)

    def _begin(self, ignores_conditions: bool) -> None:
        self._ignores_conditions, self._refused = ignores_conditions, Counter()

    def __call__(self, request, start_response):
        path = request["PATH_INFO"]
        if path.startswith("/-/"):
            return self._asked(path, start_response)
        if request["REQUEST_METHOD"] != "PUT" or "HTTP_IF_NONE_MATCH" not in request:
            return self._moto(request, start_response)
        if self._ignores_conditions:
            del request["HTTP_IF_NONE_MATCH"]
        if "/at-once-" in path:
            time.sleep(DAWDLE_S)

        def start(status, *rest):
            self._refused[path] += status.startswith("412")
            return start_response(status, *rest)

        with self._one_at_a_time:
            return list(self._moto(request, start))

    def _asked(self, path, start_response):
        if path.startswith("/-/begin/"):
            self._begin(path.endswith("1"))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._refused).encode()]


def run_store() -> None:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class Silent(MotoRequestHandler):
        def log(self, *_):
            pass

    moto = Atomic(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, moto, threaded=True, request_handler=Silent)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "store":
        run_store()
    elif sys.argv[1] == "publish":
        run_publisher(sys.argv[2], int(sys.argv[3]))
    else:
        run_flows(sys.argv[2], Path(sys.argv[3]))
