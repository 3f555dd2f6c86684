"""Training sets as published, of tables whose days were published again: by Spark and by the client, against a loop
over the log of publications."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

import segue
from expectations.profile import DayProfile
from jobs import build_training_set
from jobs.publishing import protocol, rewrite
from jobs.publishing.batches import Batch
from jobs.publishing.commits import Change, list_file_days, swap, to_add_actions
from jobs.publishing.rewrite import mark_erased
from jobs.publishing.state import TableState, read_state
from jobs.training.rederive import RequestedTable, select_newest
from jobs.training.request import Request
from reference import publications as definition
from reference.publications import Publication
from reference.rows import Row, midnight_after
from reference.staged import LaidJob
from reference.worlds import FEW
from schemas import CONTRACTS
from schemas.user_features import USER_FEATURE_GROUP
from segue import log, storage
from segue.errors import SegueError
from segue.publication_record import format_instant, replay

DAYS = [date(2026, 11, 2) + timedelta(days=n) for n in range(4)]
US, HOUR = timedelta(microseconds=1), timedelta(hours=1)
FEATURES, VECTORS = "user_features", "user_embeddings"
COLUMNS = {FEATURES: ["plays_count_7d"], VECTORS: ["vector", "space_id"]}
COUNT = f"{FEATURES}__plays_count_7d"
LABELS = pa.schema([("user_id", pa.string()), ("label_at", pa.timestamp("us", "UTC")), ("n", pa.int64())])

Rows = tuple[Row, ...]


def after(day: date, hours: float) -> datetime:
    """An instant after the end of a day."""
    return midnight_after(day) + hours * HOUR


def defaults(table: str) -> Row:
    return {column.name: column.default for column in CONTRACTS[table].columns if column.default is not None}


def counts(day: date, **values: int) -> Rows:
    """Of some listeners."""
    common = {**defaults(FEATURES), "ds": day, "feature_at": midnight_after(day)}
    return tuple({**common, "user_id": user, "plays_count_7d": count} for user, count in values.items())


def vectors(day: date, space: str, **values: float) -> Rows:
    common = {"ds": day, "feature_at": midnight_after(day), "version_id": "v", "space_id": space}
    common |= {"in_vector": [1.0, 0.0], "weight": 1.0, "support": 1}
    return tuple({**common, "user_id": user, "vector": [value, 0.5]} for user, value in values.items())


class Root:
    """Tables that a test publishes to; `logs` is what the oracle reads."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = str(folder / "root")
        self.logs: dict[str, list[Publication]] = defaultdict(list)
        self._monkeypatch = monkeypatch

    def publish(self, at: datetime, *days: tuple[date, Rows], table: str = FEATURES) -> None:
        """One batch of these days, available from `at` on."""
        self.logs[table] += [Publication(day, at, of_day) for day, of_day in days]
        instant = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        self._monkeypatch.setattr(protocol, "next_commit_time", lambda state: instant)
        job = LaidJob("build", self.path, say=lambda text: None)
        batch = job.batch(table, [day for day, _ in days], parameters={"at": instant})
        job.publish(batch, [row for _, of_day in days for row in of_day])

    def retract(self, at: datetime, day: date) -> None:
        """As `segue retract` does of tables that are made of plays, where no play is left of the day or after it."""
        self.logs[FEATURES].append(Publication(day, at, ()))
        self._monkeypatch.setattr(rewrite, "next_commit_time", lambda state: format_instant(at))
        job = LaidJob("retract", self.path, say=lambda text: None)
        table = job.warehouse.table(FEATURES)
        of_day = read_state(table).day_states[day]
        removed = {day: DayProfile(of_day.rows, of_day.content_hash)}
        files = tuple(path for path, of in list_file_days(table) if of == day)
        batch = rewrite.reserve(job.warehouse, Batch(CONTRACTS[FEATURES], "retract"))
        rewrite._commit(job, rewrite.Rewrite("retract", table, FEATURES, files), batch, removed)

    def release(self) -> segue.Store:
        states = {table: LaidJob("release", self.path).source(table) for table in self.logs}
        tables = {
            table: segue.TableVersion(state.version, state.rows, state.content_hash)
            for table, state in states.items()
        }
        segue.append_release(self.path, DAYS[-1], tables)
        return segue.open(self.path)

    def expected(self, labels: list[Row], table: str = FEATURES) -> list[Row]:
        return list(
            definition.join(labels, table, self.logs[table], ["user_id"], COLUMNS[table], defaults(table))
        )

    def instants(self) -> list[datetime]:
        """Of each publication, and the ends of all days."""
        published = {each.available_at for of_table in self.logs.values() for each in of_table}
        return sorted(published | {midnight_after(day) for day in DAYS})

    def files(self, version: int, day: date) -> list[Path]:
        """Those that the version of the features has of the day."""
        uri = f"{self.path}/tables/{FEATURES}"
        return [Path(uri, file.path) for file in storage.Snapshot.at(uri, version).select(day)]


def labels_around(instants: Iterable[datetime], users: Iterable[str | None]) -> list[Row]:
    moments = [at + offset for at in instants for offset in (-US, 0 * US, US)]
    keys = [(at, user) for at in moments for user in users]
    return [{"user_id": user, "label_at": at, "n": n} for n, (at, user) in enumerate(keys)]


def join_by_client(store: segue.Store, labels: list[Row], *features: str, **options) -> list[Row]:
    result = store.training_set(
        pa.Table.from_pylist(labels, LABELS),
        features or (FEATURES + ":plays_count_7d",),
        as_published=True,
        **options,
    )
    return result.drop(LABELS.names).to_pylist()


def build_by_spark(root: Root, labels: list[Row], folder: Path, *options: str) -> list[Row]:
    pq.write_table(pa.Table.from_pylist(labels, LABELS), folder / "labels.parquet")
    arguments = [
        "--root",
        root.path,
        "--labels",
        str(folder / "labels.parquet"),
        "--out",
        str(folder / "set"),
    ]
    build_training_set.main([*arguments, "--as-published", *options])
    return pq.ParquetDataset(folder / "set").read().sort_by("n").drop(LABELS.names).to_pylist()


@pytest.fixture
def root(tmp_path, monkeypatch):
    return Root(tmp_path, monkeypatch)


@pytest.fixture
def late_plays(root):
    """A listener's count of the first day grew by late plays, another one's came, a third one's went."""
    root.publish(after(DAYS[0], 2), (DAYS[0], counts(DAYS[0], u1=10, u3=30)))
    root.publish(after(DAYS[0], 9), (DAYS[0], counts(DAYS[0], u1=11, u2=20)))
    root.publish(after(DAYS[1], 2), (DAYS[1], counts(DAYS[1], u1=12, u2=21)))
    root.publish(after(DAYS[1], 3), (DAYS[0], counts(DAYS[0], u1=99)), (DAYS[1], counts(DAYS[1], u1=13)))
    return root


# --- any log

DUMPS = TableState.dumps


def dumps_of_before(state: TableState) -> dict[str, object]:
    return {name: value for name, value in DUMPS(state).items() if name != "earlier"}


_commits = st.lists(
    st.tuples(
        st.sampled_from((US, HOUR, 5 * HOUR, 24 * HOUR)),
        st.dictionaries(
            st.sampled_from(DAYS),
            st.dictionaries(st.sampled_from(("u1", "u2", "u3")), st.integers(1, 99)),
            min_size=1,
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=7,
)


@settings(FEW, max_examples=8)
@given(commits=_commits, recorded_from=st.integers(0, 7))
def test_client_equals_the_definition_of_any_log(tmp_path_factory, commits, recorded_from):
    """Days out of order, before they end, again and again, and without any row; what they had before is in the
    commits from one of them on, as where the table is older than that."""
    with pytest.MonkeyPatch.context() as patch:
        root = Root(tmp_path_factory.mktemp("log"), patch)
        at = after(DAYS[0], -24)
        for n, (wait, days) in enumerate(commits):
            at += wait
            patch.setattr(TableState, "dumps", DUMPS if n >= recorded_from else dumps_of_before)
            root.publish(at, *((day, counts(day, **of_day)) for day, of_day in days.items()))
    labels = labels_around(root.instants(), ("u1", "u3", "unknown", None))
    assert join_by_client(root.release(), labels) == root.expected(labels)


def test_both_paths_hold_what_was_there_at_each_label(late_plays, tmp_path, spark):
    """Also where a day was taken away, and where its vectors came again in another space."""
    root = late_plays
    root.publish(after(DAYS[2], 1), (DAYS[2], counts(DAYS[2], u1=14)))
    root.publish(after(DAYS[2], 2), (DAYS[2], ()))
    root.publish(after(DAYS[2], 3), (DAYS[2], counts(DAYS[2], u2=15)))
    root.publish(after(DAYS[0], 1), (DAYS[0], vectors(DAYS[0], "s1", u1=1.0, u2=2.0)), table=VECTORS)
    root.publish(after(DAYS[1], 1), (DAYS[1], vectors(DAYS[1], "s1", u1=3.0)), table=VECTORS)
    root.publish(after(DAYS[1], 5), (DAYS[1], vectors(DAYS[1], "s2", u1=4.0)), table=VECTORS)
    labels = labels_around(root.instants(), ("u1", "u2", "u3", None))
    expected = root.expected(labels)
    assert {row[COUNT] for row in expected} == {None, 0, 10, 11, 12, 13, 14, 15, 20, 21, 30}
    for row, of_label in zip(expected, root.expected(labels, VECTORS), strict=True):
        names = [f"{VECTORS}__{column}" for column in COLUMNS[VECTORS]]
        in_space = of_label[f"{VECTORS}__space_id"] == "s1"
        row |= of_label | ({} if in_space else dict.fromkeys(names))
    features = [f"{table}:{column}" for table, columns in COLUMNS.items() for column in columns]
    assert {str(row[f"{VECTORS}__vector"]) for row in expected} == {
        "None",
        "[1.0, 0.5]",
        "[2.0, 0.5]",
        "[3.0, 0.5]",
    }
    assert join_by_client(root.release(), labels, *features, space="s1") == expected
    assert build_by_spark(root, labels, tmp_path, "--features", *features, "--space", "s1") == expected


def test_replay_of_the_log_gives_what_its_commits_recorded(late_plays):
    """Of files that were joined, too: the same rows of the same instant in another file."""
    late_plays.publish(after(DAYS[2], 2), (DAYS[2], counts(DAYS[2], u1=14)), (DAYS[1], ()))
    warehouse = LaidJob("maintain", late_plays.path).warehouse
    table = warehouse.table(FEATURES)
    (path,) = (path for path, day in list_file_days(table) if day == DAYS[0])
    folder = Path(late_plays.path, "tables", FEATURES)
    shutil.copy(folder / path, folder / "joined.parquet")
    (entry,) = (
        action["add"]
        for version in range(table.version() + 1)
        for action in log.read_entry(table.table_uri, version)
        if "add" in action and action["add"]["path"] == path
    )
    adds = to_add_actions([{**entry, "path": "joined.parquet"}], None, rewrites=True)
    swap(table, Change("b-1", "compact", read_state(table), adds, [path]))
    late_plays.publish(after(DAYS[2], 3), (DAYS[0], counts(DAYS[0], u1=16)))
    record = read_state(warehouse.table(FEATURES)).earlier
    assert replay(str(folder), warehouse.table(FEATURES).version()) == record
    assert [each.version for each in record[DAYS[0]]] == [2, 4, 7]
    assert [each.version for each in record[DAYS[1]]] == [4, 5, None]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_client_gives_labels_of_before_a_retraction_the_day_that_went_with_it(
    late_plays, monkeypatch, is_recorded
):
    """A day at the end of plays that lost all of them: what was made of it is taken away, and was served until then."""
    if not is_recorded:
        late_plays.publish(after(DAYS[1], 3.5), (DAYS[1], counts(DAYS[1], u1=14)))
        monkeypatch.setattr(TableState, "dumps", dumps_of_before)
    late_plays.publish(after(DAYS[2], 2), (DAYS[2], counts(DAYS[2], u1=15)))
    monkeypatch.setattr(TableState, "dumps", DUMPS)
    at = after(DAYS[2], 7)
    late_plays.retract(at, DAYS[2])
    late_plays.publish(after(DAYS[2], 8), (DAYS[0], counts(DAYS[0], u1=16)))
    labels = labels_around(late_plays.instants(), ("u1", "u2", None))
    expected = late_plays.expected(labels)
    assert 15 in {row[COUNT] for row in expected}
    assert join_by_client(late_plays.release(), labels) == expected
    # and once it comes back
    late_plays.publish(after(DAYS[2], 9), (DAYS[2], counts(DAYS[2], u1=17)))
    labels = labels_around(late_plays.instants(), ("u1", "u2", None))
    assert join_by_client(late_plays.release(), labels) == late_plays.expected(labels)


# --- what is gone


def test_both_paths_refuse_a_label_whose_rows_maintenance_removed(late_plays, tmp_path, spark):
    """And a replay of a set that had them; labels that do not need them get theirs."""
    labels = labels_around([after(DAYS[0], 8)], ("u1",))
    store = late_plays.release()
    arguments = ("--features", f"{FEATURES}:plays_count_7d")
    assert {row[COUNT] for row in build_by_spark(late_plays, labels, tmp_path, *arguments)} == {10}
    first, second = late_plays.files(2, DAYS[0]), late_plays.files(3, DAYS[0])
    first[0].unlink()
    refused = (
        f"table {FEATURES}: some labels saw 2026-11-02 as it was published 2026-11-03 02:00:00+00:00 "
        "(up to version 2), before it was published again, and 1 of its 1 files were removed by maintenance. "
        "Hint: ask by day instead of as published, or for labels from 2026-11-03 09:00:00+00:00 on"
    )
    with pytest.raises(SegueError) as by_client:
        join_by_client(store, labels)
    replay = ["--root", late_plays.path, "--replay", str(tmp_path / "set"), "--out", str(tmp_path / "again")]
    with pytest.raises(SegueError) as by_spark:
        build_training_set.main(replay)
    assert str(by_client.value) == str(by_spark.value) == refused
    assert not (tmp_path / "again").exists()
    others = [
        *labels_around([after(DAYS[0], 10), after(DAYS[1], 0)], ("u1", None)),
        *labels_around([after(DAYS[0], 8)], (None,)),
    ]
    (tmp_path / "others").mkdir()
    expected = late_plays.expected(others)
    assert second[0].exists()
    assert join_by_client(store, others) == expected
    relabelled = [label | {"n": n} for n, label in enumerate(others)]
    assert build_by_spark(late_plays, relabelled, tmp_path / "others", *arguments) == expected


def test_client_refuses_rows_of_before_an_erasure(late_plays):
    job = LaidJob("forget", late_plays.path)
    erased_in = mark_erased(job, job.warehouse.table(FEATURES), FEATURES).version
    store, users = late_plays.release(), ("u1",)
    with pytest.raises(SegueError, match=f"version {erased_in} erased a listener, who may be in there"):
        join_by_client(store, labels_around([after(DAYS[1], 2.5)], users))
    # what was in the table at the erasure is without the listener, also once it is replaced
    late_plays.publish(after(DAYS[1], 6), (DAYS[1], counts(DAYS[1], u1=15)))
    store, later = late_plays.release(), labels_around([after(DAYS[1], 4), after(DAYS[1], 6)], users)
    assert join_by_client(store, later) == late_plays.expected(later)


def test_client_refuses_what_the_log_no_longer_has(late_plays):
    """An entry from before the record of what days had is needed to know; later ones say themselves what is lost."""
    store = late_plays.release()
    entries = sorted(Path(late_plays.path, "tables", FEATURES, "_delta_log").glob("*.json"))
    DeltaTable(f"{late_plays.path}/tables/{FEATURES}", version=4).create_checkpoint()
    for entry in entries[:4]:
        entry.unlink()
    labels = labels_around([after(DAYS[0], 8)], ("u1",))
    with pytest.raises(
        SegueError, match=r"2026-11-02 .*\(up to version 2\).* and the log does not reach back so far"
    ):
        join_by_client(store, labels)
    on_top = labels_around([after(DAYS[1], 2.5)], ("u1", "u2"))
    assert join_by_client(store, on_top) == late_plays.expected(on_top)


def test_client_refuses_what_a_log_without_record_may_have_had(late_plays, monkeypatch):
    monkeypatch.setattr(TableState, "dumps", dumps_of_before)
    late_plays.publish(after(DAYS[2], 2), (DAYS[2], counts(DAYS[2], u1=14)))
    entries = sorted(Path(late_plays.path, "tables", FEATURES, "_delta_log").glob("*.json"))
    DeltaTable(f"{late_plays.path}/tables/{FEATURES}", version=5).create_checkpoint()
    for entry in entries[:5]:
        entry.unlink()
    store = late_plays.release()
    known = labels_around([after(DAYS[2], 1), after(DAYS[2], 2)], ("u1",))
    assert join_by_client(store, known) == late_plays.expected(known)
    with pytest.raises(
        SegueError, match=r"2026-11-03 as it was published .* the log does not reach back so far"
    ):
        join_by_client(store, labels_around([after(DAYS[1], 2.5)], ("u1",)))


def test_client_refuses_what_was_replaced_longer_ago_than_a_log_lives(late_plays):
    """The record then says only that there was something."""
    late_plays.publish(after(DAYS[1], 24 * 200), (DAYS[3], counts(DAYS[3], u1=1)))
    store = late_plays.release()
    with pytest.raises(
        SegueError, match=r"2026-11-02 as it was published 2026-11-03 02:00:00\+00:00, before it was"
    ):
        join_by_client(store, labels_around([after(DAYS[0], 8)], ("u1",)))
    newest = labels_around([after(DAYS[1], 4), after(DAYS[0], 10)], ("u1",))
    assert join_by_client(store, newest) == late_plays.expected(newest)


def test_select_newest_leaves_out_labels_that_saw_what_was_replaced(late_plays):
    """Which plays that was made of, nobody knows any more."""
    rows = [{"label_at": after(day, hours)} for day, hours in ((DAYS[0], 1), (DAYS[0], 8), (DAYS[1], 4))]
    table, said = RequestedTable(USER_FEATURE_GROUP, [], at_label_time=False), []
    job = LaidJob("verify", late_plays.path, say=said.append)
    as_published = Request("labels", as_published=True)
    assert select_newest(job, as_published, table, rows) == [rows[0], rows[2]]
    assert said == [
        f"  {'verify':<24}left out, of days that were published again since: {FEATURES} in 1 rows"
    ]
    assert select_newest(job, replace(as_published, as_published=False), table, rows) == rows
    assert select_newest(job, as_published, replace(table, at_label_time=True), rows) == rows


# --- what it costs


def test_client_reads_the_log_for_labels_as_published_alone(root, monkeypatch):
    """One entry of it where no day was published twice, and no other version."""
    for day in DAYS:
        root.publish(after(day, 2), (day, counts(day, u1=day.day)))
    store, reads = root.release(), []
    read_actions = log.read_actions
    monkeypatch.setattr(log, "read_actions", lambda *given: reads.append(given) or read_actions(*given))
    labels = labels_around([after(DAYS[2], 2)], ("u1",))
    table = pa.Table.from_pylist(labels, LABELS)
    assert store.training_set(table, [FEATURES])[COUNT].to_pylist() == [4, 4, 4]
    assert not reads
    monkeypatch.setattr(storage, "find_table", None)
    assert store.training_set(table, [FEATURES], as_published=True)[COUNT].to_pylist() == [3, 4, 4]
    assert len(reads) == 1
