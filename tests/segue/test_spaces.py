"""Vectors of two spaces are never handed out together, whichever way they are asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segue
from reference import point_in_time as definition
from reference.rows import midnight_after
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
        embedding = make_embedding("t1", [n, 1], [1, n], day, space)
        tracks.append(embedding | {"feature_at": midnight_after(day), "vector": [n, 0.5]})  # exact as floats
        vector = {"vector": [0.5, n], "version_id": "v", "space_id": SPACES["user_embeddings"][day]}
        users.append({"user_id": "u1", "feature_at": midnight_after(day), "ds": day, **vector})
        features.append(make_user("u1", day, plays_count_7d=n, feature_at=midnight_after(day)))
    return {"track_embeddings": tracks, "user_embeddings": users, "user_features": features}


@pytest.fixture
def store(lake, rows):
    """Published six hours after each day's end; listeners' vectors three hours later."""
    versions = {}
    for table, table_rows in rows.items():
        delay = timedelta(hours=9 if table == "user_embeddings" else 6)
        for row in table_rows:
            versions[table] = lake.publish(table, [row], midnight_after(row["ds"]) + delay)
            row["available_at"] = midnight_after(row["ds"]) + delay
    lake.release(DAYS[-1], **versions)
    return segue.open(lake.root)


# --- against the definition


MAX_AGES = (None, timedelta(days=2))
INSTANTS = sorted({midnight_after(ds) + timedelta(hours=after) for ds in DAYS for after in (0, 6, 9, 47, 48)})
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


def training_set_by_definition(rows, label_table, features, as_published, max_age, space):
    """The rows to come, or what is wrong with the question; label by label, table by table."""
    columns = definition.requested_columns(features, COLUMNS)
    if space is not None and not columns.keys() & SPACES.keys():
        return "no table of the features has spaces"
    vector_tables = [
        t for t, names in columns.items() if t in SPACES and (space or set(VECTORS) & set(names))
    ]
    rows_out = [dict(label) for label in label_table.to_pylist()]
    used_spaces = set()
    for table, names in columns.items():
        days = tuple(definition.PublishedDay(row["ds"], row["available_at"]) for row in rows[table])
        definition_table = definition.Table(
            table, rows[table], (ENTITY[table],), tuple(names), max_age, (), days
        )
        for label, row in zip(label_table.to_pylist(), rows_out, strict=True):
            row.update(definition.feature_columns(label, definition_table, "label_at", as_published))
            at, has_key = row[f"{table}__feature_at"], label[ENTITY[table]] is not None
            if (
                table not in vector_tables
                or at is None
                or not has_key
                or (max_age and label["label_at"] - at > max_age)
            ):
                continue
            space_of_day = SPACES[table][(at - timedelta(days=1)).date()]
            used_spaces.add(space_of_day)
            if space is not None and space_of_day != space:
                row.update({f"{table}__{name}": None for name in names})
    if space is None and len(used_spaces) > 1:
        return f"labels would get vectors of {len(used_spaces)} spaces"
    if space == "s9":
        return "space 's9' is unknown in the tables of the features; known: s1, s2, s3"
    return rows_out


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    label_rows=LABELS,
    features=FEATURES,
    as_published=st.booleans(),
    max_age=st.sampled_from(MAX_AGES),
    space=st.sampled_from([None, None, "s1", "s2", "s3", "s9"]),
    block=st.sampled_from([2, 2**20]),
)
def test_training_set_equals_the_definition(
    store, rows, monkeypatch, label_rows, features, as_published, max_age, space, block
):
    monkeypatch.setattr(training_set, "BLOCK", block)
    label_table = labels(*label_rows)
    expected = training_set_by_definition(rows, label_table, features, as_published, max_age, space)
    arguments = {"as_published": as_published, "max_age": max_age, "space": space}
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            store.training_set(label_table, features, **arguments)
    else:
        assert store.training_set(label_table, features, **arguments).to_pylist() == expected


# --- by example


BOTH = labels((midnight_after(DAYS[1]), "u1", "t1"), (midnight_after(DAYS[3]), "u1", "t1"))


def test_training_set_of_two_spaces_is_refused_with_a_hint(store):
    with pytest.raises(UsageError) as refusal:
        store.training_set(BOTH, ["track_embeddings:vector", "user_embeddings:vector"])
    assert str(refusal.value) == (
        "labels would get vectors of 2 spaces (s1: track_embeddings from 2026-11-02, user_embeddings from 2026-11-02; "
        "s2: track_embeddings from 2026-11-04, user_embeddings from 2026-11-04); vectors compare within one only. "
        "Hint: give labels of days in one space, or say which by space=… (--space …): features of days in another "
        "come out null then"
    )
    assert refusal.value.exit_code == 2


def test_training_set_refuses_two_tables_in_two_spaces_on_one_day(store):
    label_table = labels((midnight_after(DAYS[2]), "u1", "t1"))
    tables = ["track_embeddings:vector", "user_embeddings:vector"]
    with pytest.raises(UsageError, match=r"2 spaces \(s2: track_embeddings from 2026-11-03; s1: user_emb"):
        store.training_set(label_table, tables)
    for table in tables:
        assert store.training_set(label_table, [table])[table.replace(":", "__")].null_count == 0


def test_training_set_in_one_space_has_nulls_on_days_of_another(store):
    result = store.training_set(
        BOTH, ["track_embeddings:out_vector", "user_features:plays_count_7d"], space="s2"
    )
    assert result.drop(["label_at", "user_id", "track_id"]).to_pylist() == [
        {
            "track_embeddings__feature_at": midnight_after(DAYS[at]),
            "track_embeddings__out_vector": vector,
            "user_features__feature_at": midnight_after(DAYS[at]),
            "user_features__plays_count_7d": at + 1,
        }
        for at, vector in ((1, None), (3, [1.0, 4.0]))
    ]


def test_training_set_has_nulls_for_a_space_without_labelled_days(store):
    early = labels((midnight_after(DAYS[0]), "u1", "t1"))
    result = store.training_set(early, ["track_embeddings:vector"], space="s3")
    assert result["track_embeddings__vector"].to_pylist() == [None]


def test_training_set_without_vectors_accepts_several_spaces(store):
    result = store.training_set(BOTH, ["track_embeddings:support", "track_embeddings:space_id"])
    assert result["track_embeddings__space_id"].to_pylist() == ["s1", "s2"]


def test_training_set_reads_spaces_once_and_of_labelled_days_only(store, monkeypatch):
    reads = []
    batches = Snapshot.batches
    monkeypatch.setattr(
        Snapshot,
        "batches",
        lambda self, files, names: (
            reads.extend((f.partition["ds"], *names) for f in files),
            batches(self, files, names),
        )[1],
    )
    for _ in range(2):
        store.training_set(
            labels((midnight_after(DAYS[1]), None, "t1")), ["track_embeddings", "user_embeddings"]
        )
    assert reads == [(DAYS[1], "space_id")]


def test_scan_of_several_spaces_needs_the_column_space_id(store, rows):
    with pytest.raises(UsageError) as refusal:
        store.scan("track_embeddings", ["track_id", "vector", "out_vector"])
    assert str(refusal.value) == (
        "vector, out_vector of all days would be of 3 spaces (s1: track_embeddings from 2026-11-01; "
        "s2: track_embeddings from 2026-11-03; s3: track_embeddings from 2026-11-07); vectors compare within one only. "
        "Hint: give a day, or ask for space_id too"
    )
    rows_with_space = pa.Table.from_batches(store.scan("track_embeddings", ["vector", "space_id"]))
    assert rows_with_space["space_id"].to_pylist() == list(SPACES["track_embeddings"].values())
    assert pa.Table.from_batches(store.scan("track_embeddings")).num_rows == len(DAYS)
    assert pa.Table.from_batches(store.scan("track_embeddings", ["support", "ds"])).num_rows == len(DAYS)
    day_rows = pa.Table.from_batches(store.scan("track_embeddings", ["in_vector"], DAYS[2]))
    assert day_rows["in_vector"].to_pylist() == [rows["track_embeddings"][2]["in_vector"]]


def test_scan_of_one_space_needs_no_space_id(lake, make_embedding):
    embeddings = [make_embedding("t1", [1, 0], day=day) for day in DAYS]
    lake.release(DAYS[-1], track_embeddings=lake.publish("track_embeddings", embeddings))
    batches = segue.open(lake.root).scan("track_embeddings", ["vector"])
    assert pa.Table.from_batches(batches).num_rows == len(DAYS)


def test_training_set_and_scan_refuse_a_day_of_several_spaces(lake, make_embedding):
    embeddings = [make_embedding("t1", [1, 0], space="s1"), make_embedding("t2", [1, 0], space="s2")]
    lake.release(track_embeddings=lake.publish("track_embeddings", embeddings))
    store = segue.open(lake.root)
    label_table = labels((datetime(2026, 11, 21, tzinfo=UTC), None, "t1"))
    for space in (None, "s1"):
        with pytest.raises(
            SegueError, match=r"track_embeddings on 2026-11-20 are of several spaces \(s1, s2\)"
        ):
            store.training_set(label_table, ["track_embeddings:vector"], space=space)
    with pytest.raises(SegueError, match="are of several spaces"):
        store.scan("track_embeddings", ["vector"])


# --- the rule itself


def test_find_first_days_returns_the_oldest_day_of_each_space_and_table():
    tables = {
        "b": [(DAYS[3], {"s2"}), (DAYS[0], {"s1"}), (DAYS[0], {"s2"})],
        "a": [(DAYS[2], {"s2"}), (DAYS[1], {"s1"}), (DAYS[4], {"s2"})],
    }
    assert find_first_days(tables) == {"s1": {"b": DAYS[0], "a": DAYS[1]}, "s2": {"b": DAYS[0], "a": DAYS[2]}}


def test_resolve_space_reads_all_spaces_only_for_an_absent_one():
    def never():
        raise AssertionError("all days were read")

    assert resolve_space({}, None, never) is None
    assert resolve_space({"a": [(DAYS[0], {"s1"})]}, None, never) == "s1"
    assert resolve_space({"a": [(DAYS[0], {"s1"}), (DAYS[1], {"s2"})]}, "s2", never) == "s2"
    assert resolve_space({"a": []}, "s2", lambda: {"s1", "s2"}) == "s2"
