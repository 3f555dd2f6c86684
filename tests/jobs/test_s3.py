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
from jobs import jars
from jobs.errors import JobError, WrongUsage
from jobs.file_identity import identify_contents
from jobs.input_files import InputFile, list_files
from jobs.page_files import write_page, write_pages
from jobs.publishing import protocol, stores
from jobs.publishing.batches import Batch, folder, reserve
from jobs.publishing.commits import Change, list_file_days, swap
from jobs.publishing.state import TableState, digest
from jobs.publishing.warehouse import Warehouse
from jobs.session import s3_settings
from jobs.sources import Source
from reference.golden import unpack
from reference.plays import session_play
from schemas.sessions import SESSIONS
from segue.errors import SegueError
from segue.log import parse_commit_metadata
from segue.releases import TableVersion, append_release, list_releases, rollback

TOP = Path(__file__).parents[2]
BUCKET = "segue"
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
PUBLISHERS, COMMITS = 4, 4  # as many commits as publishers: each makes a checkpoint once
ROUNDS = 4
FETCH_S = 180
COPIED_TABLES = ("plays", "rejected_plays", "tracks")
SKIPPED_STEPS = (
    "build-track-features", "build-artist-features", "build-pair-partials", "train-track-embeddings",
    "build-user-embeddings", "build-similar-tracks", "build-candidates", "build-semantic-ids",
)  # fmt: skip


# --- what is refused before anything is written


@pytest.mark.parametrize("name", ["a%20b", "a#b", "a?b", "a\\b", "a[1]", "{a}", "a*"])
def test_check_root_refuses_a_local_path_that_would_be_read_as_another(tmp_path, name):
    """delta-rs would publish to `a%20b` and read `a b`, or find no log and take the last commit for a damaged one."""
    with pytest.raises(WrongUsage, match="take for something else than a name"):
        stores.check_root(f"{tmp_path}/{name}/root")
    for kept in ("a b", "ü", "100%", "a%zz"):
        assert stores.check_root(f"{tmp_path}/{kept}") == f"{tmp_path}/{kept}"


@pytest.mark.parametrize("name", ["prod#2", "my data", "é", "a%20b", "100%", "q?z", "star[1]", "a&b"])
@pytest.mark.parametrize("scheme", ["s3a", "gs"])
def test_check_root_refuses_a_uri_that_is_not_read_alike_and_touches_nothing(monkeypatch, scheme, name):
    """The probe of `prod#2` was removed as `prod`, with all that was in it."""
    monkeypatch.setattr(stores, "_probe", lambda *_: pytest.fail("the store was written to"))
    with pytest.raises(WrongUsage, match="not all that read and write there take for a part of a name"):
        stores.check_root(f"{scheme}://{BUCKET}/{name}/root")


@pytest.mark.parametrize("root", ["hdfs://host/data", "dbfs://data", "file:///data", "http://host/data"])
def test_check_root_refuses_a_scheme_without_exclusive_commits(root):
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
def test_check_root_refuses_a_variable_that_makes_commits_unsafe(monkeypatch, scheme, name, value):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_probe", lambda *_: pytest.fail("the store was written to"))
    with pytest.raises(WrongUsage, match=f"{name} is set"):
        stores.check_root(f"{scheme}://{BUCKET}/{name}")


def test_check_root_accepts_an_unsafe_variable_that_is_off(monkeypatch):
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "false")
    monkeypatch.setattr(stores, "_probe", lambda *_: None)
    monkeypatch.setattr(stores, "s3_is_installed", lambda: True)
    assert stores.check_root(f"s3a://{BUCKET}/says-no") == f"s3a://{BUCKET}/says-no"


def test_check_root_refuses_to_start_without_the_jars(monkeypatch):
    monkeypatch.setattr(stores, "_probe", lambda *_: None)
    monkeypatch.setattr(stores, "s3_is_installed", lambda: False)
    with pytest.raises(JobError, match="segue install-jars --s3"):
        stores.check_root(f"s3a://{BUCKET}/without-jars")


# --- the jars and the settings


@pytest.fixture
def jar_folder(tmp_path, monkeypatch):
    """A folder of jars given by hand, and an environment without any."""
    source, target = tmp_path / "given", tmp_path / "into"
    for each in (source, target):
        each.mkdir()
    for coordinate in (*jars.DELTA, *jars.S3):
        _, name, version = coordinate.split(":")
        (source / f"{name}-{version}.jar").write_text(name)
    monkeypatch.setenv("SEGUE_JARS", str(source))
    monkeypatch.setattr(jars, "spark_jars", lambda: target)
    return source


def test_install_adds_the_jars_for_s3_only_on_request(jar_folder):
    jars.install()
    assert jars.delta_is_installed() and not jars.s3_is_installed()
    jars.install(s3=True)
    assert jars.s3_is_installed()


def test_install_leaves_no_half_of_a_jar(jar_folder, monkeypatch):
    def cut_off(source, target):
        Path(target).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jars.shutil, "copy", cut_off)
    with pytest.raises(JobError, match="No space left"):
        jars.install(s3=True)
    assert list(jars.spark_jars().iterdir()) == []


def test_install_names_a_jar_that_is_missing(jar_folder):
    next(jar_folder.glob("bundle-*")).unlink()
    with pytest.raises(JobError, match=r"no bundle-[\d.]+jar"):
        jars.install(s3=True)


def test_s3_settings_follow_the_variables_that_delta_rs_reads():
    variables = {"AWS_ENDPOINT_URL": "http://localhost:9000", "AWS_DEFAULT_REGION": "eu-west-1"}
    settings = {
        name.removeprefix("spark.hadoop.fs."): value for name, value in s3_settings(variables).items()
    }
    assert settings == {
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
        self.request(f"/{BUCKET}", "PUT")

    def request(self, path: str, method: str = "GET") -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as answer:
            return answer.read()

    def begin(self, ignores_conditions: bool = False) -> None:
        """Counts anew. Where conditions are ignored, it does what some other stores do."""
        self.request(f"/-/begin/{int(ignores_conditions)}")

    def count_refusals(self, part: str = "") -> int:
        """How many conditional puts found their object there, among paths that hold `part`."""
        return sum(n for path, n in json.loads(self.request("/-/refused")).items() if part in path)

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
def test_check_root_accepts_a_store_that_honours_conditions_and_leaves_nothing(store):
    root = f"s3a://{BUCKET}/honours"
    assert stores.check_root(root) == root
    assert store.count_refusals(), "the store was not asked to refuse anything"
    files, inner = segue.storage.filesystem(root)
    assert files.get_file_info(pa.fs.FileSelector(inner, recursive=True, allow_not_found=True)) == []


@pytest.mark.s3
def test_input_files_are_listed_and_known_by_their_content_without_a_session(store):
    files, inner = segue.storage.filesystem(f"s3a://{BUCKET}/landing")
    contents = {
        "a.csv": b"1",
        "day=1/b c%20d.csv": b"22",
        "_tmp/c.csv": b"3",
        "day=1/.d": b"4",
        "empty.csv": b"",
    }
    for name, content in contents.items():
        with files.open_output_stream(f"{inner}/{name}") as stream:
            stream.write(content)
    before = datetime.now(UTC)
    for prefix in ("landing", "landing/"):
        listed = list_files([f"s3a://{BUCKET}/{prefix}"], lambda: pytest.fail("a session was opened"))
        paths = [f"s3a://{BUCKET}/landing/{name}" for name in ("a.csv", "day=1/b c%20d.csv")]
        assert [(each.path, each.bytes) for each in listed] == list(zip(paths, (1, 2), strict=True))
    assert all(abs(each.modified / 1000 - before.timestamp()) < 60 for each in listed)
    assert list_files([listed[0].path], lambda: pytest.fail("a session was opened")) == listed[:1]
    source = Source(name="test")
    moved = InputFile(f"s3a://{BUCKET}/landing/_tmp/c.csv", 1, 0)
    assert len(set(identify_contents(source, "plays", [*listed, moved]))) == 3
    with pytest.raises(JobError, match="nothing-here"):
        list_files([f"s3a://{BUCKET}/nothing-here"], lambda: pytest.fail("a session was opened"))


@pytest.mark.s3
def test_check_root_refuses_a_store_that_ignores_conditions(store):
    store.begin(ignores_conditions=True)
    with pytest.raises(JobError, match=r"two commits of one version.*If-None-Match"):
        stores.check_root(f"s3a://{BUCKET}/ignores")


@pytest.mark.s3
@pytest.mark.parametrize(
    ("root", "variable", "message"),
    [
        ("s3a://no-such-bucket/root", None, "bucket does not exist. Check the bucket"),
        (
            f"s3a://{BUCKET}/plain-http",
            "AWS_ALLOW_HTTP",
            "scheme is not allowed. Check .*AWS_ALLOW_HTTP=true",
        ),
    ],
)
def test_check_root_refuses_a_root_that_cannot_be_written_to_in_one_line(
    store, monkeypatch, root, variable, message
):
    if variable:
        monkeypatch.delenv(variable)
    with pytest.raises(JobError, match=message) as refusal:
        stores.check_root(root)
    assert "\n" not in str(refusal.value) and "\x1b" not in str(refusal.value)


@pytest.mark.s3
def test_a_probe_that_is_interrupted_leaves_nothing(store, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(stores, "_commits_exclude_each_other", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stores.check_root(f"s3a://{BUCKET}/interrupted")
    files, inner = segue.storage.filesystem(f"s3a://{BUCKET}/interrupted")
    left = files.get_file_info(pa.fs.FileSelector(inner, recursive=True, allow_not_found=True))
    assert not left, "files of the probe stayed in the root"


@pytest.mark.s3
def test_a_bucket_that_is_not_there_is_named_to_readers(store):
    root = "s3a://no-such-bucket/root"
    with pytest.raises(
        SegueError, match=r"bucket does not exist\. Check the bucket, AWS_ENDPOINT_URL"
    ) as refusal:
        list_releases(root)
    assert "\n" not in str(refusal.value) and "\x1b" not in str(refusal.value)
    with pytest.raises(JobError, match=r"there is no bucket 'no-such-bucket'\. Check the bucket"):
        Warehouse(root).list_tables()
    assert Warehouse(f"s3a://{BUCKET}/nothing-yet").list_tables() == []


@pytest.mark.s3
def test_pages_on_a_store_are_shown_by_browsers(store):
    """Of files without a type a store says that they are no text, and browsers save them."""
    write_pages(f"s3a://{BUCKET}/site", [("index.html", "ä")])
    write_page(f"s3a://{BUCKET}/report.html", "ä")
    for name in ("site/index.html", "report.html"):
        with urllib.request.urlopen(f"{store.url}/{BUCKET}/{name}") as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8", name
            assert answer.read().decode() == "ä"


# --- files of others


@pytest.mark.s3
@pytest.mark.parametrize("name", ["plain.json", "my exports/é [1] {a} 100% #2 ?=&+.json"])
def test_read_file_head_reads_a_key_of_any_name(store, name, tmp_path):
    """As Spark lists it: with nothing quoted."""
    # here alone, as in run_flows
    from jobs.file_heads import read_file_head
    from jobs.file_starts import read_starts
    from jobs.recognise_source import recognise
    from jobs.sources import load_source
    from reference.adapter_files import EXAMPLES

    files, inner = segue.storage.filesystem(f"s3a://{BUCKET}")
    with files.open_output_stream(f"{inner}/exports/{name}") as stream:
        stream.write(EXAMPLES[0].write(tmp_path).read_bytes())
    head = read_file_head(f"s3a://{BUCKET}/exports/{name}")
    assert recognise(head) == EXAMPLES[0].source
    (start,) = read_starts(load_source(EXAMPLES[0].source), [f"s3a://{BUCKET}/exports/{name}"])
    assert not start.has_line_objects


# --- many publishers


def find_lost(root: str, reported: list[str]) -> list[str]:
    """Batches that were reported as published and are not in the table's history."""
    return sorted(set(reported) - set(list_published(root)))


def list_published(root: str) -> list[str]:
    notes = [parse_commit_metadata(commit) for commit in Warehouse(root).table("sessions").history()]
    return [note["batch"] for note in notes if note.get("kind") == "publish"]


def swap_at_once(root: str, names: list[str]) -> list[str]:
    """Who is told that its commit was done, of those that saw one version and commit at one moment."""
    tables, line = [Warehouse(root).table("sessions") for _ in names], threading.Barrier(len(names))

    def commit(name, table):
        line.wait()
        try:
            return bool(swap(table, Change(name, "publish", TableState(0))))
        except protocol.CommitConflict:
            return False

    with ThreadPoolExecutor(len(names)) as pool:
        return [
            name for name, succeeded in zip(names, pool.map(commit, names, tables), strict=True) if succeeded
        ]


@pytest.mark.s3
@pytest.mark.parametrize("ignores_conditions", [True, False])
def test_swap_at_once_loses_commits_only_where_conditions_are_ignored(store, ignores_conditions):
    root = f"s3a://{BUCKET}/at-once-{ignores_conditions}"
    Warehouse(root).create(SESSIONS)
    store.begin(ignores_conditions)
    winners = [name for n in range(ROUNDS) for name in swap_at_once(root, [f"b{n}-{i}" for i in range(3)])]
    if ignores_conditions:
        assert find_lost(root, winners), "a lost commit would not be seen"
    else:
        assert store.count_refusals("_delta_log"), "nobody lost a swap in the store: this shows nothing"
        assert (len(winners), find_lost(root, winners)) == (ROUNDS, [])


@pytest.fixture(scope="module")
def crowd(whole_store):
    """Four processes published to one table at once, each to a day of its own and to one of all."""
    root = f"s3a://{BUCKET}/crowd"
    whole_store.begin()
    Warehouse(root).create(SESSIONS)
    return root, run_publishers(root), whole_store.count_refusals("/tables/sessions/_delta_log/")


def run_publishers(root: str) -> list[dict]:
    publishers = [start("publish", root, str(n), stdin=subprocess.PIPE) for n in range(PUBLISHERS)]
    try:
        for each in publishers:
            assert each.stdout.readline() == "staged\n"
        lines = []
        # all begin each commit together: on two cores they would otherwise take turns, and few would lose
        for _ in range(COMMITS):
            for each in publishers:
                each.stdin.write("go\n")
                each.stdin.flush()
            lines += [each.stdout.readline() for each in publishers]
        lines += [each.communicate(timeout=300)[0] for each in publishers]
        assert [each.returncode for each in publishers] == [0] * PUBLISHERS
    finally:
        for each in publishers:
            each.kill()
            each.wait()
    return [json.loads(line) for text in lines for line in text.splitlines()]


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
def test_commit_by_a_crowd_loses_no_batch_and_repeats_none(crowd):
    root, reported, refusals = crowd
    assert refusals >= PUBLISHERS, f"{refusals} commits were refused: too few to show anything"
    batches = [each["batch"] for each in reported]
    assert len(set(batches)) == PUBLISHERS * COMMITS
    assert find_lost(root, batches) == []
    assert sorted(list_published(root)) == sorted(batches), "a batch is in the history twice"


@pytest.mark.s3
def test_commit_by_a_crowd_leaves_the_state_that_the_log_names(crowd):
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
    folders = {str(day): path.split("/")[0] for path, day in list_file_days(table)}
    assert folders == {day: f"batch-{each['batch']}" for day, each in newest.items()}
    assert {str(day): part.fingerprint for day, part in state.day_states.items()} == {
        day: each["batch"].rpartition("-")[0] for day, each in newest.items()
    }


@pytest.mark.s3
def test_append_release_by_a_crowd_lists_every_release_with_its_rows(crowd):
    root, reported, _ = crowd
    releases = {each["release"]: each for each in reported if each["release"]}
    assert len(releases) == PUBLISHERS, "two publishers got one release"
    assert {release.release_id for release in list_releases(root)} == set(releases)
    for name, each in releases.items():
        state = Warehouse(root).table("sessions", each["version"])
        row_count = pc.sum(pa.table(state.get_add_actions(flatten=True))["num_records"]).as_py()
        assert sum(batch.num_rows for batch in segue.open(root, name).scan("sessions")) == row_count


# --- the whole flow


@pytest.fixture(scope="module")
def flow(whole_store, tmp_path_factory):
    """The golden root's plays and catalogue, released, then a day more."""
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
    *before, added = (days[day]["plays"] for day in sorted(days))
    return root, [sum(before), added], out


def get_jars(scratch: Path) -> None:
    if jars.s3_is_installed():
        return
    command = [sys.executable, "-m", "segue.command", "install-jars", "--s3"]
    environment = {**os.environ, "PYTHONPATH": str(TOP), "TMPDIR": str(scratch)}
    try:
        process = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the jars for S3 are not in this environment, nor here after {FETCH_S} s")
    if process.returncode:
        pytest.skip(
            f"the jars for S3 are not in this environment, and cannot be had: {process.stderr.strip()}"
        )


@pytest.mark.s3
def test_flow_on_s3_releases_tables_that_can_be_read(flow):
    root, plays, _ = flow
    store = segue.open(root)
    expected = {"plays", "rejected_plays", "tracks", "sessions", "user_partials", "user_features"}
    assert set(store.tables) == expected
    assert pa.Table.from_batches(store.scan("plays")).num_rows == sum(plays)
    plays_by_user = Counter(user for batch in store.scan("sessions") for user in batch["user_id"].to_pylist())
    assert plays_by_user.total() == sum(plays)
    day = store.days("user_features")[-1]
    users = [user for batch in store.scan("user_features", day=day) for user in batch["user_id"].to_pylist()]
    assert users and set(users) <= set(plays_by_user)
    assert store.lookup("user_features", [*users, "nobody"])["ds"].to_pylist() == [day] * len(users) + [None]


@pytest.mark.s3
def test_flow_on_s3_again_adds_nothing(flow):
    output = flow[2].rpartition("--- flow\n")[2]
    assert "holds these very versions already" in output, output
    assert " published" not in output.replace("is published already", "") and " version " not in output, (
        output
    )


@pytest.mark.s3
def test_rollback_on_s3_serves_the_older_day_and_moves_nothing(flow):
    root, plays, _ = flow
    newest, older = list_releases(root)[:2]
    new_release = rollback(root, older.release_id)
    store = segue.open(root)
    assert (store.release, new_release.rollback_of) == (new_release.release_id, newest.release_id)
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
        say_published(root, each, state, is_last=n == COMMITS - 1)
        # one at a time, as maintenance does, with the others committing meanwhile; and each load of the table reads
        # every commit since the last one
        if n % PUBLISHERS == number:
            warehouse.table("sessions").create_checkpoint()


def say_published(root: str, staged: protocol.StagedBatch, state: TableState, is_last: bool) -> None:
    table_version = TableVersion(state.version, state.rows, state.content_hash)
    release = (
        append_release(root, max(state.days), {"sessions": table_version}).release_id if is_last else None
    )
    report = {
        "batch": staged.batch.id,
        "version": state.version,
        "rows": staged.profile.rows,
        "release": release,
    }
    print(json.dumps({**report, "day": str(staged.batch.days[0])}), flush=True)


def stage(warehouse: Warehouse, number: int, n: int) -> protocol.StagedBatch:
    """As Spark would, without Spark: every other batch is for a day that all publishers replace."""
    when = NOON + timedelta(days=number if n % 2 else PUBLISHERS)
    rows = [
        {
            **session_play(play_id=f"{number}-{n}-{i}", played_at=when, session_started_at=when),
            "available_at": None,
        }
        for i in range(1 + n % 3)
    ]
    fingerprint = digest(number, n)
    batch = reserve(warehouse, Batch(SESSIONS, fingerprint, (when.date(),)))
    schema = pa.schema(Schema.from_json(SESSIONS.struct().json()).to_arrow())
    path = folder(warehouse, batch)
    write_deltalake(path, pa.Table.from_pylist(rows, schema=schema), mode="append")
    days: dict[date | None, DayProfile] = {when.date(): DayProfile(len(rows), int(fingerprint, 16))}
    return protocol.StagedBatch(batch, path, Profile(len(rows), 0, days), Verdict(()))


def run_flows(root: str, at: Path) -> None:
    """A day's files on the store, then nothing new; without most features, and steps that do nothing new on S3."""
    # here alone: a publisher and the store would spend seconds on importing Great Expectations
    from jobs.flow import run_flow
    from reference.three_features import declare_three_features

    unpack(at)
    landing = f"s3a://{BUCKET}/landing"
    files, inner = segue.storage.filesystem(landing)
    pa.fs.copy_files(str(at / "landing"), inner, destination_filesystem=files)
    release = list_releases(str(at / "root"))[0]
    for name in COPIED_TABLES:
        pa.fs.copy_files(
            str(at / "root" / "tables" / name),
            segue.storage.filesystem(f"{root}/tables/{name}")[1],
            destination_filesystem=files,
        )
    append_release(root, release.day, {name: release.tables[name] for name in COPIED_TABLES})
    source = ["--root", root, "--source", f"{at}/landing/source.toml", "--catalogue", f"{landing}/tracks"]
    newest = max(each.name for each in (at / "landing" / "plays").iterdir())
    with pytest.MonkeyPatch.context() as patch:
        declare_three_features(patch)
        for _ in range(2):
            print("--- flow", flush=True)
            run_flow([*source, "--input", f"{landing}/plays/{newest}", "--skip", *SKIPPED_STEPS])


# Where commits are to meet, the store takes its time, so that others look before the object is there.
DAWDLE_S = 0.2


class AtomicStore:
    """moto, made atomic: by itself it looks whether an object is there, and writes it a little later."""

    def __init__(self, moto) -> None:
        self._moto, self._one_at_a_time = moto, threading.Lock()
        self._begin(False)

    def _begin(self, ignores_conditions: bool) -> None:
        self._ignores_conditions, self._refused = ignores_conditions, Counter()

    def __call__(self, request, start_response):
        path = request["PATH_INFO"]
        if path.startswith("/-/"):
            return self._answer(path, start_response)
        if request["REQUEST_METHOD"] != "PUT" or "HTTP_IF_NONE_MATCH" not in request:
            return self._moto(request, start_response)
        if self._ignores_conditions:
            del request["HTTP_IF_NONE_MATCH"]
        if "_delta_log" in path and ("/at-once-" in path or "/crowd/" in path):
            time.sleep(DAWDLE_S)

        def start(status, *rest):
            self._refused[path] += status.startswith("412")
            return start_response(status, *rest)

        with self._one_at_a_time:
            return list(self._moto(request, start))

    def _answer(self, path, start_response):
        if path.startswith("/-/begin/"):
            self._begin(path.endswith("1"))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._refused).encode()]


def run_store() -> None:
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class SilentHandler(MotoRequestHandler):
        def log(self, *_):
            pass

    # one service: moto's own dispatcher lists the folder of all its services at each request, for 99 % of its time
    moto = AtomicStore(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, moto, threaded=True, request_handler=SilentHandler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "store":
        run_store()
    elif sys.argv[1] == "publish":
        run_publisher(sys.argv[2], int(sys.argv[3]))
    else:
        run_flows(sys.argv[2], Path(sys.argv[3]))
