"""Vectors of two spaces are never handed out together, whichever way they are asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segue
from reference import point_in_time as definition
from segue import SegueError, UsageError, training_set
from segue.spaces import find_first_days, resolve_space
from segue.storage import Snapshot

INSTANT = pa.timestamp("us", "UTC")
MICROSECOND, HOUR = timedelta(microseconds=1), timedelta(hours=1)
FIRST = date(2026, 11, 1)
DAYS = [FIRST + timedelta(days=n) for n in (0, 1, 2, 3, 6)]
# Of the listeners' vectors the second space begins a day later: on that day the tables do not fit together.
SPACES = {
    "track_embeddings": dict(zip(DAYS, ("s1", "s1", "s2", "s2", "s3"), strict=True)),
    "user_embeddings": dict(zip(DAYS, ("s1", "s1", "s1", "s2", "s3"), strict=True)),
}
ENTITY = {"track_embeddings": "track_id", "user_embeddings": "user_id", "user_features": "user_id"}
VECTORS = ("vector", "in_vector", "out_vector")
COLUMNS = {
    "track_embeddings": ("version_id", "space_id", *VECTORS, "support", "source"),
    "user_embeddings": ("version_id", "space_id", "vector"),
    "user_features": ("plays_count_7d", "completion_mean_7d", "plays_hours_30d"),
}


def ended(ds: date) -> datetime:
    return datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(days=1)


def labels(*rows):
    """Of an instant, a listener and a track each."""
    names = ("label_at", "user_id", "track_id")
    types = pa.schema([("label_at", INSTANT), ("user_id", pa.string()), ("track_id", pa.string())])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], types)


@pytest.fixture
def rows(make_embedding, make_user):
    """Of a track, a listener's vector and a listener's features, on every day; numbers tell days apart."""
    tracks, users, features = [], [], []
    for n, day in enumerate(DAYS, 1):
        space = SPACES["track_embeddings"][day]
        made = make_embedding("t1", [n, 1], [1, n], day, space)
        tracks.append(made | {"feature_at": ended(day), "vector": [n, 0.5]})  # exact as floats
        vector = {"vector": [0.5, n], "version_id": "v", "space_id": SPACES["user_embeddings"][day]}
        users.append({"user_id": "u1", "feature_at": ended(day), "ds": day, **vector})
        features.append(make_user("u1", day, plays_count_7d=n, feature_at=ended(day)))
    return {"track_embeddings": tracks, "user_embeddings": users, "user_features": features}


@pytest.fixture
def store(lake, rows):
    """Published six hours after each day's end; listeners' vectors three hours later."""
    versions = {}
    for table, made in rows.items():
        late = timedelta(hours=9 if table == "user_embeddings" else 6)
        for row in made:
            versions[table] = lake.publish(table, [row], ended(row["ds"]) + late)
            row["available_at"] = ended(row["ds"]) + late
    lake.release(DAYS[-1], **versions)
    return segue.open(lake.root)


# --- against the definition


MAX_AGES = (None, timedelta(days=2))
INSTANTS = sorted({ended(ds) + timedelta(hours=after) for ds in DAYS for after in (0, 6, 9, 47, 48)})
LABELS = st.lists(
    st.tuples(
        st.none() | st.builds(lambda at, n: at + n * MICROSECOND, st.sampled_from(INSTANTS), st.integers(-1, 1)),
        st.sampled_from(["u1", "stranger", None]),
        st.sampled_from(["t1", "stranger", None]),
    ),
    max_size=6,
)  # fmt: skip
FEATURES = st.lists(
    st.sampled_from([*COLUMNS, *(f"{table}:{name}" for table, names in COLUMNS.items() for name in names)]),
    min_size=1, max_size=3,
)  # fmt: skip


def asked(features):
    columns = {}
    for feature in features:
        table, _, column = feature.partition(":")
        columns[table] = list(
            dict.fromkeys([*columns.get(table, []), *([column] if column else COLUMNS[table])])
        )
    return columns


def expected(rows, wanted, features, as_published, max_age, space):
    """The rows to come, or what is wrong with the question; label by label, table by table."""
    columns = asked(features)
    if space is not None and not columns.keys() & SPACES.keys():
        return "no table of the features has spaces"
    measured = [t for t, names in columns.items() if t in SPACES and (space or set(VECTORS) & set(names))]
    found = [dict(label) for label in wanted.to_pylist()]
    used = set()
    for table, names in columns.items():
        days = tuple(definition.PublishedDay(row["ds"], row["available_at"]) for row in rows[table])
        held = definition.Table(table, rows[table], (ENTITY[table],), tuple(names), max_age, (), days)
        for label, row in zip(wanted.to_pylist(), found, strict=True):
            row.update(definition.added(label, held, "label_at", as_published))
            at, told = row[f"{table}__feature_at"], label[ENTITY[table]] is not None
            if (
                table not in measured
                or at is None
                or not told
                or (max_age and label["label_at"] - at > max_age)
            ):
                continue
            of_day = SPACES[table][(at - timedelta(days=1)).date()]
            used.add(of_day)
            if space is not None and of_day != space:
                row.update({f"{table}__{name}": None for name in names})
    if space is None and len(used) > 1:
        return f"labels would get vectors of {len(used)} spaces"
    if space == "s9":
        return "space 's9' is unknown in the tables of the features; known: s1, s2, s3"
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=LABELS,
    features=FEATURES,
    as_published=st.booleans(),
    max_age=st.sampled_from(MAX_AGES),
    space=st.sampled_from([None, None, "s1", "s2", "s3", "s9"]),
    block=st.sampled_from([2, 2**20]),
)
def test_it_is_as_defined(store, rows, monkeypatch, wanted, features, as_published, max_age, space, block):
    monkeypatch.setattr(training_set, "BLOCK", block)
    wanted = labels(*wanted)
    hoped = expected(rows, wanted, features, as_published, max_age, space)
    arguments = {"as_published": as_published, "max_age": max_age, "space": space}
    if isinstance(hoped, str):
        with pytest.raises(UsageError, match=hoped):
            store.training_set(wanted, features, **arguments)
    else:
        assert store.training_set(wanted, features, **arguments).to_pylist() == hoped


# --- by example


BOTH = labels((ended(DAYS[1]), "u1", "t1"), (ended(DAYS[3]), "u1", "t1"))


def test_a_mixed_training_set_is_refused_in_one_line_that_says_what_to_do(store):
    with pytest.raises(UsageError) as caught:
        store.training_set(BOTH, ["track_embeddings:vector", "user_embeddings:vector"])
    assert str(caught.value) == (
        "labels would get vectors of 2 spaces (s1: track_embeddings from 2026-11-02, user_embeddings from 2026-11-02; "
        "s2: track_embeddings from 2026-11-04, user_embeddings from 2026-11-04); vectors compare within one only. "
        "Hint: give labels of days in one space, or say which by space=… (--space …): features of days in another "
        "come out null then"
    )
    assert caught.value.exit_code == 2


def test_two_tables_on_one_day_in_two_spaces_are_refused_and_each_alone_is_not(store):
    one = labels((ended(DAYS[2]), "u1", "t1"))
    tables = ["track_embeddings:vector", "user_embeddings:vector"]
    with pytest.raises(UsageError, match=r"2 spaces \(s2: track_embeddings from 2026-11-03; s1: user_emb"):
        store.training_set(one, tables)
    for table in tables:
        assert store.training_set(one, [table])[table.replace(":", "__")].null_count == 0


def test_a_space_asked_for_leaves_the_others_days_null_and_tells_their_instant(store):
    found = store.training_set(
        BOTH, ["track_embeddings:out_vector", "user_features:plays_count_7d"], space="s2"
    )
    assert found.drop(["label_at", "user_id", "track_id"]).to_pylist() == [
        {
            "track_embeddings__feature_at": ended(DAYS[at]),
            "track_embeddings__out_vector": vector,
            "user_features__feature_at": ended(DAYS[at]),
            "user_features__plays_count_7d": at + 1,
        }
        for at, vector in ((1, None), (3, [1.0, 4.0]))
    ]


def test_labels_in_none_of_its_days_get_nulls_for_a_space_that_there_is(store):
    early = labels((ended(DAYS[0]), "u1", "t1"))
    found = store.training_set(early, ["track_embeddings:vector"], space="s3")
    assert found["track_embeddings__vector"].to_pylist() == [None]


def test_what_is_no_vector_may_come_from_days_of_several_spaces(store):
    found = store.training_set(BOTH, ["track_embeddings:support", "track_embeddings:space_id"])
    assert found["track_embeddings__space_id"].to_pylist() == ["s1", "s2"]


def test_the_spaces_of_a_day_are_read_once_and_only_those_days_that_labels_get(store, monkeypatch):
    seen = []
    batches = Snapshot.batches
    monkeypatch.setattr(
        Snapshot,
        "batches",
        lambda self, files, names: (
            seen.extend((f.partition["ds"], *names) for f in files),
            batches(self, files, names),
        )[1],
    )
    for _ in range(2):
        store.training_set(labels((ended(DAYS[1]), None, "t1")), ["track_embeddings", "user_embeddings"])
    assert seen == [(DAYS[1], "space_id")]


def test_a_scan_of_all_days_tells_spaces_apart_or_is_refused(store, rows):
    with pytest.raises(UsageError) as caught:
        store.scan("track_embeddings", ["track_id", "vector", "out_vector"])
    assert str(caught.value) == (
        "vector, out_vector of all days would be of 3 spaces (s1: track_embeddings from 2026-11-01; "
        "s2: track_embeddings from 2026-11-03; s3: track_embeddings from 2026-11-07); vectors compare within one only. "
        "Hint: give a day, or ask for space_id too"
    )
    told_apart = pa.Table.from_batches(store.scan("track_embeddings", ["vector", "space_id"]))
    assert told_apart["space_id"].to_pylist() == list(SPACES["track_embeddings"].values())
    assert pa.Table.from_batches(store.scan("track_embeddings")).num_rows == len(DAYS)
    assert pa.Table.from_batches(store.scan("track_embeddings", ["support", "ds"])).num_rows == len(DAYS)
    one = pa.Table.from_batches(store.scan("track_embeddings", ["in_vector"], DAYS[2]))
    assert one["in_vector"].to_pylist() == [rows["track_embeddings"][2]["in_vector"]]


def test_a_scan_of_days_in_one_space_needs_no_more(lake, make_embedding):
    made = [make_embedding("t1", [1, 0], day=day) for day in DAYS]
    lake.release(DAYS[-1], track_embeddings=lake.publish("track_embeddings", made))
    scanned = segue.open(lake.root).scan("track_embeddings", ["vector"])
    assert pa.Table.from_batches(scanned).num_rows == len(DAYS)


def test_a_day_of_several_spaces_is_refused_whatever_is_asked_for(lake, make_embedding):
    made = [make_embedding("t1", [1, 0], space="s1"), make_embedding("t2", [1, 0], space="s2")]
    lake.release(track_embeddings=lake.publish("track_embeddings", made))
    store = segue.open(lake.root)
    asked_for = labels((datetime(2026, 11, 21, tzinfo=UTC), None, "t1"))
    for space in (None, "s1"):
        with pytest.raises(
            SegueError, match=r"track_embeddings on 2026-11-20 are of several spaces \(s1, s2\)"
        ):
            store.training_set(asked_for, ["track_embeddings:vector"], space=space)
    with pytest.raises(SegueError, match="are of several spaces"):
        store.scan("track_embeddings", ["vector"])


# --- the rule itself


def test_first_days_are_the_oldest_of_each_table_whatever_the_order():
    tables = {
        "b": {DAYS[3]: {"s2"}, DAYS[0]: {"s1"}},
        "a": {DAYS[2]: {"s2"}, DAYS[1]: {"s1"}, DAYS[4]: {"s2"}},
    }
    assert find_first_days(tables) == {"s1": {"b": DAYS[0], "a": DAYS[1]}, "s2": {"a": DAYS[2], "b": DAYS[3]}}


def test_no_days_are_in_no_space_and_all_spaces_are_only_looked_up_where_need_be():
    def never():
        raise AssertionError("all days were read")

    assert resolve_space({}, None, never) is None
    assert resolve_space({"a": {DAYS[0]: {"s1"}}}, None, never) == "s1"
    assert resolve_space({"a": {DAYS[0]: {"s1"}, DAYS[1]: {"s2"}}}, "s2", never) == "s2"
    assert resolve_space({"a": {}}, "s2", lambda: {"s1", "s2"}) == "s2"
