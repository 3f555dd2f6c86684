"""Training sets as published, of tables whose days were published again: by Spark and by the client, against a loop
over the log of publications."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segue
from jobs import build_training_set
from jobs.publishing import protocol
from jobs.publishing.state import TableState
from reference import publications as definition
from reference.publications import Publication
from reference.rows import Row, midnight_after
from reference.staged import LaidJob
from reference.worlds import FEW
from schemas import CONTRACTS

FIRST = date(2026, 11, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]
US, HOUR = timedelta(microseconds=1), timedelta(hours=1)
TABLE, COLUMN = "user_features", "plays_count_7d"
DEFAULTS = {column.name: column.default for column in CONTRACTS[TABLE].columns if column.default is not None}
LABELS = pa.schema([("user_id", pa.string()), ("label_at", pa.timestamp("us", "UTC")), ("n", pa.int64())])


def after(day: date, hours: float) -> datetime:
    """An instant after the end of a day."""
    return midnight_after(day) + hours * HOUR


def rows(day: date, **counts: int) -> tuple[Row, ...]:
    """Of some listeners."""
    return tuple(
        {**DEFAULTS, "user_id": user, "ds": day, "feature_at": midnight_after(day), COLUMN: count}
        for user, count in counts.items()
    )


class Root:
    """A root to which each test publishes; `log` is what the oracle reads."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = str(folder / "root")
        self.log: list[Publication] = []
        self._monkeypatch = monkeypatch

    def publish(self, at: datetime, *days: tuple[date, tuple[Row, ...]]) -> None:
        """One batch of these days, available from `at` on."""
        self.log += [Publication(day, at, of_day) for day, of_day in days]
        instant = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        self._monkeypatch.setattr(protocol, "next_commit_time", lambda state: instant)
        job = LaidJob("build-user-features", self.path)
        batch = job.batch(TABLE, [day for day, _ in days], parameters={"at": instant})
        job.publish(batch, [row for _, of_day in days for row in of_day])

    def release(self) -> segue.Store:
        job = LaidJob("release-tables", self.path)
        state = job.source(TABLE)
        version = segue.TableVersion(state.version, state.rows, state.content_hash)
        segue.append_release(self.path, max(state.days), {TABLE: version})
        return segue.open(self.path)

    def expected(self, labels: Iterable[Row]) -> list[Row]:
        return list(definition.join(labels, TABLE, self.log, ["user_id"], [COLUMN], DEFAULTS))

    def labels_around(self, *instants: datetime, users: Iterable[str | None]) -> list[Row]:
        moments = [at + offset for at in instants for offset in (-US, 0 * US, US)]
        return [
            {"user_id": user, "label_at": at, "n": n}
            for n, (at, user) in enumerate((at, user) for at in moments for user in users)
        ]


def join_by_client(store: segue.Store, labels: list[Row]) -> list[Row]:
    result = store.training_set(
        pa.Table.from_pylist(labels, LABELS), [f"{TABLE}:{COLUMN}"], as_published=True
    )
    return result.drop(LABELS.names).to_pylist()


def join_by_spark(root: str, labels: list[Row], folder: Path) -> list[Row]:
    pq.write_table(pa.Table.from_pylist(labels, LABELS), folder / "labels.parquet")
    arguments = ["--root", root, "--labels", str(folder / "labels.parquet"), "--out", str(folder / "set")]
    build_training_set.main([*arguments, "--features", f"{TABLE}:{COLUMN}", "--as-published"])
    return pq.ParquetDataset(folder / "set").read().sort_by("n").drop(LABELS.names).to_pylist()


@pytest.fixture
def root(tmp_path, monkeypatch):
    return Root(tmp_path, monkeypatch)


@pytest.fixture
def late_plays(root):
    """A listener's count of the first day grew by late plays, another one's came, a third one's went."""
    root.publish(after(DAYS[0], 2), (DAYS[0], rows(DAYS[0], u1=10, u3=30)))
    root.publish(after(DAYS[0], 9), (DAYS[0], rows(DAYS[0], u1=11, u2=20)))
    root.publish(after(DAYS[1], 2), (DAYS[1], rows(DAYS[1], u1=12, u2=21)))
    root.publish(after(DAYS[1], 3), (DAYS[0], rows(DAYS[0], u1=99)), (DAYS[1], rows(DAYS[1], u1=13)))
    return root


# --- any log

DUMPS = TableState.dumps


def dumps_of_before(state: TableState) -> dict[str, object]:
    return {name: value for name, value in DUMPS(state).items() if name != "earlier"}


_user_rows = st.dictionaries(st.sampled_from(("u1", "u2", "u3")), st.integers(1, 99))
_commits = st.lists(
    st.tuples(
        st.sampled_from((US, HOUR, 5 * HOUR, 24 * HOUR)),
        st.dictionaries(st.sampled_from(DAYS), _user_rows, min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=7,
)


@settings(FEW, max_examples=40)
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
            root.publish(at, *((day, rows(day, **counts)) for day, counts in days.items()))
    instants = {publication.available_at for publication in root.log} | {midnight_after(day) for day in DAYS}
    labels = root.labels_around(*sorted(instants), users=("u1", "u3", "unknown", None))
    assert join_by_client(root.release(), labels) == root.expected(labels)


# --- by example


def test_training_set_as_published_holds_what_was_there_at_each_label(late_plays, tmp_path, spark):
    instants = {publication.available_at for publication in late_plays.log}
    labels = late_plays.labels_around(*sorted(instants), after(DAYS[3], 0), users=("u1", "u2", "u3", None))
    expected = late_plays.expected(labels)
    assert {row[f"{TABLE}__{COLUMN}"] for row in expected} == {None, 0, 10, 11, 12, 13, 20, 21, 30}
    assert join_by_client(late_plays.release(), labels) == expected
    assert join_by_spark(late_plays.path, labels, tmp_path) == expected
