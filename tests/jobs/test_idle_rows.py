"""Tables without rows of idle entities: every way to read one gives what the rows would have held, by the definition of
each feature in plain Python, which knows of no rows left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from jobs import build_features, build_training_set
from jobs.idle_rows import add_stale_days, has_day_without_events, list_row_windows
from jobs.job import Job
from jobs.publishing import protocol
from jobs.publishing.state import DayState, TableState
from jobs.stale_features import StaleDays
from reference.idle_rows import select_written
from reference.published import pass_every_batch
from reference.published import publish as publish_sessions
from reference.rows import Row, assert_same, midnight_after
from reference.staged import LaidJob
from reference.three_features import declare_three_features
from reference.windows import snap_to_expected, window_features
from reference.worlds import session_play
from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup
from segue.publication_record import parse_instant
from segue.publications import Publications

WINDOW = 4
GROUP = FeatureGroup(
    "user_features",
    USER,
    "of each kind of value that idle entities have",
    (
        Feature("plays", "count", "play_id", "plays", ("2d", f"{WINDOW}d", LIFETIME)),
        Feature("completion", "mean", "completion", "share", ("2d", LIFETIME)),
        Feature("plays", "hours", "played_at", "by hour", ("3d",)),
        Feature("plays", "streak", "played_at", "days", (f"{2 * WINDOW}d",)),
        Feature("tracks", "distinct", "track_id", "tracks", ("3d",)),
        Feature("tracks", "top_k", "track_id", "ids", (LIFETIME,), k=2),
        Feature("tracks", "last", "track_id", "id", (LIFETIME,)),
        Feature("plays", "decayed", "played_at", "plays", ("1d", "7d")),
        Feature("plays", "days_since_first", "played_at", "days", (LIFETIME,)),
        Feature("plays", "days_since_last", "played_at", "days", (LIFETIME,)),
    ),
    idle_rows=False,
)
EVERY = replace(GROUP, idle_rows=True)
TABLE = GROUP.table
COLUMNS = [f.name(w) for f, w in GROUP.feature_windows]
FIRST = date(2026, 10, 1)
# Days between two plays, around the longest window, and longer than several tiles.
GAPS = (0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 17, 23)
LENGTH = 44
# No listener of this world plays on them: they are no days of the table.
SILENT = (20, 31, 32, 33)
LABELS = pa.schema([("user_id", pa.string()), ("label_at", pa.timestamp("us", "UTC"))])


def make_plays(seed: int, users: int = 6) -> list[Row]:
    """In bursts, some days after each other; at instants of a day in microseconds."""
    rng, plays = Random(seed), []
    for user in range(users):
        n = rng.choice((0, 0, 3, 11))
        while n < LENGTH:
            at = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(
                days=n, microseconds=rng.randrange(86_400_000_000)
            )
            plays += [make_play(f"u{user}", at, f"t{rng.randrange(4)}")] if n not in SILENT else []
            n += rng.choice(GAPS)
    return plays


def make_play(user: str, at: datetime, track: str) -> Row:
    return session_play(
        play_id=f"{user} {at:%d %H:%M:%S.%f} {track}",
        user_id=user,
        played_at=at,
        track_id=track,
        completion=0.25,
    )


def list_days(plays: list[Row]) -> list[date]:
    return sorted({play["ds"] for play in plays})


class Root:
    """A root with this one table, laid without Spark: by the definition of its rows."""

    def __init__(self, path: str, patch: pytest.MonkeyPatch) -> None:
        self.path, self._patch = path, patch
        self._published: dict[date, list[Row]] = {}

    def publish(self, at: datetime, plays: list[Row], group: FeatureGroup = GROUP) -> None:
        """All days of these plays, of which those with the rows that they have already keep them."""
        declare_three_features(self._patch, group)
        days = list_days(plays)
        rows = window_features(plays, group, days)
        rows = rows if group.idle_rows else select_written(rows, plays, group, days)
        by_day = {day: [row for row in rows if row["ds"] == day] for day in days}
        changed = [day for day in days if self._published.get(day) != by_day[day]]
        self._published |= by_day
        self._patch.setattr(
            protocol, "next_commit_time", lambda _: f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
        )
        job = LaidJob("build", self.path, say=lambda text: None)
        batch = job.batch(TABLE, changed, parameters={"at": str(at)})
        job.publish(batch, [row for day in changed for row in by_day[day]])

    def release(self) -> segue.Store:
        return release(self.path)


def release(path: str) -> segue.Store:
    state = LaidJob("release", path).source(TABLE)
    version = segue.TableVersion(state.version, state.rows, state.content_hash)
    segue.append_release(path, state.days[-1], {TABLE: version})
    return segue.open(path)


def expect_by_day(labels: list[Row], plays: list[Row], group: FeatureGroup = GROUP) -> list[Row]:
    """What labels get: of the newest day with plays that had ended, all that is known of the plays before its end."""
    days = list_days(plays)
    rows = {(row["user_id"], row["ds"]): row for row in window_features(plays, group, days)}
    defaults = {column.name: column.default for column in group.contract().columns}
    expected = []
    for label in labels:
        ended = [day for day in days if midnight_after(day) <= label["label_at"]]
        row = rows.get((label["user_id"], ended[-1]), defaults) if ended and label["user_id"] else {}
        values = {f"{TABLE}__{f.name(w)}": row.get(f.name(w)) for f, w in group.feature_windows}
        expected.append(
            label | {f"{TABLE}__feature_at": midnight_after(ended[-1]) if ended else None} | values
        )
    return expected


def assert_labels(expected: list[Row], actual: list[Row], plays: list[Row]) -> None:
    assert any(row[f"{TABLE}__plays_count_2d"] == 0 for row in expected), "nobody is idle"
    assert_same(expected, actual, ("user_id", "label_at"), plays, "user_id")


def join(store: segue.Store, labels: list[Row], **options: bool) -> list[Row]:
    return store.training_set(pa.Table.from_pylist(labels, LABELS), [TABLE], **options).to_pylist()


@pytest.mark.parametrize("group", [GROUP, EVERY], ids=["few", "every"])
def test_client_gives_what_the_rows_would_have_held(monkeypatch, tmp_path, group):
    plays, root = make_plays(1), Root(str(tmp_path / "root"), monkeypatch)
    root.publish(datetime(2027, 1, 1, tzinfo=UTC), plays, group)
    store, days = root.release(), list_days(plays)
    users = [*sorted({play["user_id"] for play in plays}), "nobody"]
    expected = {(row["user_id"], row["ds"]): row for row in window_features(plays, GROUP, days)}
    written = sum(batch.num_rows for batch in store.scan(TABLE, ["ds"]))
    assert (written == len(expected)) == group.idle_rows
    for day in days:
        rows = store.lookup(TABLE, users, day).to_pylist()
        assert {row.pop("available_at") for row in rows} <= {None, datetime(2027, 1, 1, tzinfo=UTC)}
        nulls = dict.fromkeys(rows[-1])
        wanted = [nulls | expected.get((user, day), {"user_id": user, "bucket": None}) for user in users]
        wanted = [{name: value for name, value in row.items() if name != "bucket"} for row in wanted]
        assert_same(wanted, rows, ("user_id",), plays, "user_id")
    labels = [{"user_id": user, "label_at": midnight_after(day)} for day in days for user in users]
    assert_labels(expect_by_day(labels, plays), join(store, labels), plays)


def test_look_up_of_an_idle_listener_is_a_row_where_nothing_is_of_all_time(monkeypatch, tmp_path):
    plays, root = make_plays(1), Root(str(tmp_path / "root"), monkeypatch)
    windows = GROUP.select([f"plays_count_{WINDOW}d"])
    root.publish(datetime(2027, 1, 1, tzinfo=UTC), plays, windows)
    store, last = root.release(), list_days(plays)[-1]
    users = sorted({play["user_id"] for play in plays})
    expected = {row["user_id"]: row for row in window_features(plays, windows, [last])}
    assert {row[f"plays_count_{WINDOW}d"] for row in expected.values()} >= {0, 1}
    rows = store.lookup(
        TABLE, [*users, "nobody"], columns=["feature_at", f"plays_count_{WINDOW}d"]
    ).to_pylist()
    wanted = [{name: expected[user][name] for name in rows[0]} for user in users]
    assert rows == [*wanted, dict.fromkeys(rows[0]) | {"user_id": "nobody"}]


def test_client_gives_what_was_known_at_each_label(monkeypatch, tmp_path):
    """As published: late plays on days inside a gap and before it, of a day that was silent, and some taken out. The
    first night is of before, with all rows, and a table that knows nothing of idle ones."""
    plays, root = make_plays(2), Root(str(tmp_path / "root"), monkeypatch)
    nights = list_nights(plays)
    for n, (at, known) in enumerate(nights):
        root.publish(at, known, GROUP if n else EVERY)
    labels = list_labels(nights)
    expected = [
        row
        for n, (at, known) in enumerate(nights)
        for row in expect_by_day(
            [
                x
                for x in labels
                if x["label_at"] >= at and (n + 1 == len(nights) or x["label_at"] < nights[n + 1][0])
            ],
            known,
        )
    ]
    store = root.release()
    assert_labels(expected, join(store, labels, as_published=True), plays)
    publications = Publications(store._snapshot(TABLE), as_published=True)
    newest = [each for n, each in enumerate(publications.all) if publications.is_newest(n)]
    assert [each.ds for each in newest] == store.days(TABLE), "only as all days that it leans on are now"


def list_nights(plays: list[Row]) -> list[tuple[datetime, list[Row]]]:
    """When all days were published, and the plays that were known then."""
    days = [FIRST + timedelta(days=n) for n in range(LENGTH)]
    early = [play for play in plays if play["ds"] < days[30]]
    u1 = max(play["played_at"] for play in early if play["user_id"] == "u1" and play["ds"] < days[20])
    late = make_play("u1", u1 + timedelta(days=WINDOW + 1), "late")
    new_day = make_play("u2", datetime(2026, 10, 1 + SILENT[0], 5, tzinfo=UTC), "late")
    first_plays = {user: min(p["played_at"] for p in plays if p["user_id"] == user) for user in ("u3", "u4")}
    without = [p for p in plays if p["played_at"] != first_plays.get(p["user_id"])]
    known = [early, plays[:-9], [*plays[:-9], late], [*plays, late, new_day], [*without, late, new_day]]
    return [
        (midnight_after(days[LENGTH - 4]) + timedelta(days=5 * n, hours=3), of) for n, of in enumerate(known)
    ]


def list_labels(nights: list[tuple[datetime, list[Row]]]) -> list[Row]:
    instants = [at + timedelta(hours=hours) for at, _ in nights for hours in (0, 30, 77)]
    users = sorted({play["user_id"] for _, known in nights for play in known})
    return [{"user_id": user, "label_at": at} for at in instants for user in [*users, "nobody"]]


def test_row_windows_reach_over_days_that_are_not_there_and_over_all_where_nobody_plays():
    first = date(1970, 1, 1)
    days = [first + timedelta(days=n) for n in (4, 5, 8, 11, 12)]
    published = TableState(1, {day: DayState(1, 1, 1, "") for day in (days[0], days[3])})
    partials = TableState(1, {day: DayState(0 if day == days[3] else 1, 1, 1, "") for day in days[:4]})
    warehouse = SimpleNamespace(state=lambda _: published)
    job = SimpleNamespace(warehouse=warehouse, source=lambda _: partials)
    # day 5 is the first; day 6 of two tiles of one; day 9 stands for 7 and 8, whose tile is eight days long
    lengths = [WINDOW + length for length in (5, 2, 9)]
    windows = list_row_windows(job, GROUP, days[:4])
    assert windows == dict(zip(days, [*(f"{n}d" for n in lengths), LIFETIME], strict=False))
    assert has_day_without_events(windows) and not has_day_without_events(
        list_row_windows(job, GROUP, days[:3])
    )
    assert list_row_windows(job, EVERY, days) is None
    stale = StaleDays({}, {}, whole=(days[2], days[3]), extended=(days[0],))
    assert add_stale_days(job, GROUP, stale, [days[1]]) == [days[0], days[1], days[3]], (
        "those that are published"
    )
    assert add_stale_days(job, EVERY, stale, [days[1]]) == [days[1]]


# --- tables that Spark made, and sets that it joined

# Of each kind of value one: what is not aggregated, as lists of items, is joined to the rows that there are.
SIMPLE = GROUP.select(
    [
        "plays_count_2d",
        f"plays_count_{WINDOW}d",
        "plays_count_lifetime",
        "plays_decayed_7d",
        "plays_days_since_last_lifetime",
    ]
)


class Nights:
    """Two nights: of most days; and of all, with a late play within a gap."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, str(folder / "root")
        plays = make_plays(3)
        days = list_days(plays)
        gap = max(play["played_at"] for play in plays if play["user_id"] == "u1" and play["ds"] < days[12])
        late = make_play("u1", gap + timedelta(days=WINDOW + 1), "late")
        assert late["ds"] in days[:24], "it opens a day again, and is of no new one"
        early, self.plays = [play for play in plays if play["ds"] <= days[24]], [*plays, late]
        later = {late["ds"], *days[25:]}
        self.nights = [
            (self._build(early, days[:25]), early),
            (
                self._build([play for play in self.plays if play["ds"] in later], sorted(later)),
                self.plays,
            ),
        ]
        self.store = release(self.root)

    def _build(self, plays: list[Row], days: list[date]) -> datetime:
        publish_sessions(LaidJob("test", self.root, "night", say=lambda text: None), plays, days)
        assert build_features.main(["build-user-features", "--root", self.root]) == 0
        return parse_instant(Job("test", self.root, "look").state(TABLE).published_at)

    def join_by_spark(self, labels: list[Row], *options: str) -> list[Row]:
        path, out = self.folder / "labels.parquet", str(self.folder / ("set" + "".join(options)))
        pq.write_table(pa.Table.from_pylist(labels, LABELS), path)
        arguments = ["--root", self.root, "--labels", str(path), "--out", out, *options]
        assert build_training_set.main([*arguments, "--features", TABLE]) == 0
        return pq.ParquetDataset(out).read().to_pylist()


@pytest.fixture(scope="module")
def nights(spark, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        pass_every_batch(patch)
        declare_three_features(patch, SIMPLE)
        patch.setattr(build_features, "record_changed_rows", lambda *_: None)
        yield Nights(tmp_path_factory.mktemp("nights"))


def test_spark_writes_the_rows_of_the_definition(nights):
    days = list_days(nights.plays)
    every = window_features(nights.plays, SIMPLE, days)
    expected = select_written(every, nights.plays, SIMPLE, days)
    assert len(expected) < 0.8 * len(every), "few rows are left out"
    actual = pa.Table.from_batches(nights.store.scan(TABLE, [*expected[0]])).to_pylist()
    key = ("user_id", "ds")
    assert_same(expected, snap_to_expected(expected, actual, key), key, nights.plays, "user_id")


def test_joins_by_spark_and_by_the_client_give_what_the_rows_would_have_held(nights):
    """By day, and as published: right after each night, and right before the second."""
    users = [*sorted({play["user_id"] for play in nights.plays}), "nobody", None]
    days = list_days(nights.plays)
    by_day = [{"user_id": user, "label_at": midnight_after(day)} for day in days for user in users]
    _assert_both(nights, by_day, expect_by_day(by_day, nights.plays, SIMPLE))
    (first, early), (second, plays) = nights.nights
    as_published = [(first, early), (second - timedelta(microseconds=1), early), (second, plays)]
    labels = [[{"user_id": user, "label_at": at} for user in users] for at, _ in as_published]
    expected = [
        expect_by_day(of_one, known, SIMPLE) for of_one, (_, known) in zip(labels, as_published, strict=True)
    ]
    _assert_both(nights, list(chain(*labels)), list(chain(*expected)), "--as-published")


def _assert_both(nights: Nights, labels: list[Row], expected: list[Row], *options: str) -> None:
    client = join(nights.store, labels, as_published=bool(options))
    spark = nights.join_by_spark(labels, *options)
    assert sorted(map(str, client)) == sorted(map(str, spark)), "they are to be equal bit by bit"
    assert_labels(expected, snap_to_expected(expected, client, ("user_id", "label_at")), nights.plays)
