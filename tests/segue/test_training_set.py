from __future__ import annotations

import json
import random
import time
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segue
from reference import point_in_time as definition
from reference.rows import midnight_after
from segue import SegueError, UsageError, lookup, training_set
from segue.buckets import bucket
from segue.instants import END

DAY, DAY_BEFORE = date(2026, 11, 20), date(2026, 11, 19)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
MICROSECOND, HOUR = timedelta(microseconds=1), timedelta(hours=1)
INSTANT = pa.timestamp("us", "UTC")
BUCKETS = 8

COUNT = pa.field("plays", pa.int64(), metadata={"segue.default": "0"})
MEAN = pa.field("mean", pa.float64())
HOURS = pa.field("hours", pa.list_(pa.float32()), metadata={"segue.default": "[0.0, 0.0]"})
# table -> entity columns, features
TABLES = {
    "user_features": (("user_id",), (COUNT, MEAN, HOURS)),
    "track_features": (("track_id",), (COUNT, pa.field("title", pa.string()))),
    "user_track_features": (("user_id", "track_id"), (MEAN, COUNT)),
    "mood_features": (("track_id", "mood", "user_id"), (COUNT,)),
}
FEATURE_NAMES = {table: [field.name for field in features] for table, (_, features) in TABLES.items()}
# Some are equal when put together: 1+23 and 12+3, 1|2+3 and 1+2|3.
KEYS = {
    "user_id": ("1", "12", "1|2", "", "ü"),
    "track_id": ("23", "3", "2|3", "", "\x00"),
    "mood": ("3", "12"),
}


def publish(root: Path, table: str, rows: list[dict[str, Any]]) -> segue.TableVersion:
    """Adds rows, which say when they were published."""
    entity, features = TABLES[table]
    fields = [
        *(pa.field(name, pa.string(), nullable=False) for name in entity),
        pa.field("feature_at", INSTANT),
        *features,
        pa.field("bucket", pa.int32(), nullable=False),
        pa.field("available_at", INSTANT),
        pa.field("ds", pa.date32(), nullable=False),
    ]
    log = DeltaTable.create(
        root / "tables" / table,
        pa.schema(fields),
        mode="ignore",
        partition_by=["ds", "available_at"],
        configuration={
            "segue.key": ",".join((*entity, "ds")),
            "segue.entity": entity[0],
            "segue.buckets": str(BUCKETS),
        },
        raise_if_key_not_exists=False,
    )
    records = [row | {"bucket": bucket(row[entity[0]], BUCKETS)} for row in rows]
    write_deltalake(log, pa.Table.from_pylist(records, schema=pa.schema(fields)), mode="append")
    return segue.TableVersion(log.version(), len(rows), f"hash-{table}-{log.version()}")


def publish_and_open(root: Path, **rows: list[dict[str, Any]]) -> segue.Store:
    segue.append_release(
        root, DAY, {table: publish(root, table, table_rows) for table, table_rows in rows.items()}
    )
    return segue.open(root)


def row(ds: date = DAY, delay: timedelta = HOUR, **columns: Any) -> dict[str, Any]:
    return {"ds": ds, "available_at": midnight_after(ds) + delay, **columns}


def labels(*rows: tuple[datetime | None, Any], type_: pa.DataType = INSTANT) -> pa.Table:
    """Of an instant and a listener each."""
    instants, users = zip(*rows, strict=True)
    return pa.table({"user_id": pa.array(users, pa.string()), "label_at": pa.array(instants, type_)})


@pytest.fixture
def store(tmp_path):
    """u1 on both days, u2 on the first."""
    plays = {("u1", DAY_BEFORE): 19, ("u1", DAY): 20, ("u2", DAY_BEFORE): 29}
    rows = [row(ds, user_id=u, plays=n, mean=n / 2, hours=[n, n]) for (u, ds), n in plays.items()]
    return publish_and_open(tmp_path, user_features=rows)


# --- against the definition


DAYS = [date(1969, 12, 30), *(date(2026, 11, day) for day in (1, 2, 5, 6, 11))]
LATE = (-HOUR, timedelta(), MICROSECOND, HOUR, timedelta(days=2), timedelta(days=9))
MAX_AGES = (None, timedelta(), 36 * HOUR, timedelta(days=4))


def generate_world(seed: int) -> World:
    """Tables with gaps in days and in keys, nulls, days published late, in parts, or after later ones."""
    rng = random.Random(seed)
    return World({table: list(generate_rows(rng, table)) for table in TABLES})


class World(dict[str, list[dict[str, Any]]]):
    """Its rows, without showing them all wherever a test fails."""

    def __repr__(self) -> str:
        return f"<rows of {', '.join(self)}>"


def generate_rows(rng: random.Random, table: str):
    entity, features = TABLES[table]
    for ds in rng.sample(DAYS, 5):
        delays = rng.choices(LATE, k=rng.randint(1, 2))
        for parts in product(*(KEYS[name] for name in entity)):
            if rng.random() < 0.6:
                values = {field.name: generate_value(rng, field.type) for field in features}
                yield row(ds, rng.choice(delays), **dict(zip(entity, parts, strict=True)), **values)


def generate_value(rng: random.Random, type_: pa.DataType) -> Any:
    if rng.random() < 0.2:
        return None
    number = rng.randint(1, 10**6)
    return [number / 2, None] if pa.types.is_list(type_) else str(number) if type_ == pa.string() else number


def define_table(table: str, rows: list[dict[str, Any]], columns: list[str], max_age: timedelta | None):
    entity, features = TABLES[table]
    published: dict[date, datetime] = {}
    for each in rows:
        published[each["ds"]] = max(each["available_at"], published.get(each["ds"], each["available_at"]))
    defaults = {f.name: json.loads(f.metadata[b"segue.default"]) for f in features if f.metadata}
    published_days = tuple(definition.PublishedDay(*each) for each in published.items())
    return definition.Table(table, rows, entity, tuple(columns), max_age, (), published_days, defaults)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Three of them, tables and rows."""
    generated_worlds = [generate_world(seed) for seed in range(3)]
    return [(publish_and_open(tmp_path_factory.mktemp("world"), **rows), rows) for rows in generated_worlds]


INSTANTS = sorted(
    {midnight_after(ds) + after for ds in DAYS for after in (*LATE, *filter(None, MAX_AGES), 12 * HOUR)}
)
LABELS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 3),
            "label_at": st.none() | st.builds(
                lambda at, off: at + off * MICROSECOND, st.sampled_from(INSTANTS), st.integers(-1, 1)
            ),
            **{name: st.sampled_from([*parts, "stranger", None]) for name, parts in KEYS.items()},
        }
    ),
    max_size=30,
)  # fmt: skip
FEATURES = st.lists(
    st.sampled_from([f"{t}:{f.name}" for t, (_, fs) in TABLES.items() for f in fs] + list(TABLES)), max_size=5
)
LABEL_TYPES = (INSTANT, pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.timestamp("us", "America/New_York"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 2),
    rows=LABELS,
    features=FEATURES,
    as_published=st.booleans(),
    max_age=st.sampled_from(MAX_AGES),
    type_=st.sampled_from(LABEL_TYPES),
    block=st.sampled_from([7, 2**20]),
    few=st.sampled_from([0, 4]),
)
def test_training_set_equals_the_definition(
    worlds, monkeypatch, number, rows, features, as_published, max_age, type_, block, few
):
    # However labels and files are cut, and whether or not buckets are looked at.
    monkeypatch.setattr(training_set, "BLOCK", block)
    monkeypatch.setattr(lookup, "PORTION", block)
    monkeypatch.setattr(lookup, "KEYS_PER_BUCKET", few)
    check(*worlds[number], rows, features, as_published, max_age, type_)


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("max_age", MAX_AGES, ids=str)
def test_training_set_of_many_labels_equals_the_definition(worlds, as_published, max_age):
    for number, (store, tables) in enumerate(worlds):
        rng = random.Random(number)
        rows = [
            {
                "id": 0,
                "label_at": at + offset * MICROSECOND,
                **{name: rng.choice(k) for name, k in KEYS.items()},
            }
            for at in INSTANTS
            for offset in (-1, 0, 1)
        ]
        check(store, tables, rows, list(TABLES), as_published, max_age)


def check(store, tables, rows, features, as_published, max_age, type_=INSTANT):
    types = {"id": pa.int64(), "label_at": type_, **dict.fromkeys(KEYS, pa.string())}
    label_table = pa.Table.from_pylist(rows, schema=pa.schema(types))
    result = store.training_set(label_table, features, as_published=as_published, max_age=max_age)
    columns = definition.requested_columns(features, FEATURE_NAMES)
    expected_rows = definition.join(
        rows,
        [define_table(table, tables[table], names, max_age) for table, names in columns.items()],
        as_published=as_published,
    )
    new_columns = [f"{table}__{name}" for table, names in columns.items() for name in ("feature_at", *names)]
    assert result.column_names == [*types, *new_columns]
    assert result.select(list(types)).equals(label_table), "the labels are not as they were"
    assert result.select(new_columns).to_pylist() == [
        {name: row[name] for name in new_columns} for row in expected_rows
    ]


def test_worlds_have_days_in_parts_and_late_days(worlds):
    instants = [
        sorted({(each["ds"], each["available_at"]) for each in rows["user_features"]}) for _, rows in worlds
    ]
    assert any(len(days) > len(dict(days)) for days in instants), "a day in parts"
    published = [list(dict(days).values()) for days in instants]
    assert any(days != sorted(days) for days in published), "a day published after a later one"


# --- by example


@pytest.mark.parametrize(
    ("at", "feature_at", "plays"),
    [
        (MIDNIGHT - timedelta(days=1) - MICROSECOND, None, None),
        (MIDNIGHT - timedelta(days=1), MIDNIGHT - timedelta(days=1), 19),
        (MIDNIGHT - MICROSECOND, MIDNIGHT - timedelta(days=1), 19),
        (MIDNIGHT, MIDNIGHT, 20),
        (MIDNIGHT + MICROSECOND, MIDNIGHT, 20),
        (datetime.max.replace(tzinfo=UTC), MIDNIGHT, 20),
        (datetime.min.replace(tzinfo=UTC), None, None),
        (None, None, None),
    ],
)
def test_training_set_uses_a_day_from_the_midnight_after_it(store, at, feature_at, plays):
    result = store.training_set(labels((at, "u1")), ["user_features:plays"])
    assert result.drop("label_at").to_pylist() == [
        {"user_id": "u1", "user_features__feature_at": feature_at, "user_features__plays": plays}
    ]


@pytest.mark.parametrize(("after", "plays"), [(-MICROSECOND, 19), (timedelta(), 20), (MICROSECOND, 20)])
def test_training_set_as_published_uses_a_day_from_its_publication(store, after, plays):
    label_table = labels((MIDNIGHT + HOUR + after, "u1"))
    assert (
        store.training_set(label_table, ["user_features:plays"], as_published=True)["user_features__plays"][
            0
        ].as_py()
        == plays
    )
    assert store.training_set(label_table, ["user_features:plays"])["user_features__plays"][0].as_py() == 20


def test_training_set_as_published_ignores_a_day_never_published(tmp_path):
    store = publish_and_open(tmp_path, user_features=[row(user_id="u1", plays=1) | {"available_at": None}])
    label_table = labels((datetime(9999, 12, 31, tzinfo=UTC), "u1"))
    assert store.training_set(label_table, ["user_features:plays"])["user_features__plays"].to_pylist() == [1]
    result = store.training_set(label_table, ["user_features:plays"], as_published=True)
    assert result["user_features__feature_at"].to_pylist() == [None]


def test_training_set_gives_the_default_where_the_day_has_no_row(store):
    result = store.training_set(labels((MIDNIGHT, "u2"), (MIDNIGHT, "stranger")), ["user_features"])
    empty_value = {"feature_at": MIDNIGHT, "plays": 0, "mean": None, "hours": [0.0, 0.0]}
    expected = {f"user_features__{name}": value for name, value in empty_value.items()}
    assert result.drop(["user_id", "label_at"]).to_pylist() == [expected, expected]


def test_training_set_keeps_stored_nulls(tmp_path):
    store = publish_and_open(tmp_path, user_features=[row(user_id="u1", plays=None)])
    result = store.training_set(labels((MIDNIGHT, "u1")), ["user_features:plays"])
    assert result["user_features__plays"].to_pylist() == [None]


def test_training_set_gives_a_null_key_a_day_but_no_defaults(store):
    result = store.training_set(labels((MIDNIGHT, None), (MIDNIGHT, "u1")), ["user_features:plays"])
    assert result["user_features__feature_at"].to_pylist() == [MIDNIGHT, MIDNIGHT]
    assert result["user_features__plays"].to_pylist() == [None, 20]


def test_training_set_nulls_what_is_older_than_max_age(store):
    limit = timedelta(days=3)
    instants = [MIDNIGHT + limit, MIDNIGHT + limit + MICROSECOND]
    label_table = labels(*((at, user) for at in instants for user in ("u1", "stranger")))
    result = store.training_set(label_table, ["user_features:plays"], max_age=limit)
    assert result["user_features__plays"].to_pylist() == [20, 0, None, None]
    assert result["user_features__feature_at"].to_pylist() == [MIDNIGHT] * 4
    unlimited = store.training_set(label_table, ["user_features:plays"], max_age=timedelta.max)
    assert unlimited["user_features__plays"].to_pylist() == [20, 0, 20, 0]


def test_training_set_compares_max_age_to_the_nanosecond(store):
    exact = int(MIDNIGHT.timestamp()) * 10**9
    instants = pa.array([exact - 1, exact, exact + 1]).cast(pa.timestamp("ns"))
    label_table = pa.table({"user_id": ["u1"] * 3, "label_at": instants})
    result = store.training_set(label_table, ["user_features:plays"], max_age=timedelta())
    assert result["user_features__plays"].to_pylist() == [None, 20, None]


def test_training_set_reads_the_last_days_of_the_calendar(tmp_path):
    last = date(9999, 12, 30)
    rows = [row(last, timedelta(), user_id="u1", plays=1)]
    rows.append({"ds": last + timedelta(days=1), "available_at": None, "user_id": "u1", "plays": 2})
    store = publish_and_open(tmp_path, user_features=rows)
    at = datetime.max.replace(tzinfo=UTC)
    result = store.training_set(labels((at, "u1")), ["user_features:plays"], max_age=timedelta(days=1))
    assert result["user_features__plays"].to_pylist() == [1], "its last day ends after every label"
    assert result["user_features__feature_at"].to_pylist() == [midnight_after(last)]


def test_training_set_separates_keys_that_are_equal_as_one_text(tmp_path):
    rows = [
        row(user_id="1", track_id="23", mean=1.0, plays=1),
        row(user_id="12", track_id="3", mean=2.0, plays=2),
    ]
    store = publish_and_open(tmp_path, user_track_features=rows)
    label_table = pa.table(
        {
            "track_id": ["3", "23", "23", "3"],
            "user_id": ["12", "1", "12", "1"],
            "label_at": pa.array([MIDNIGHT] * 4, INSTANT),
        }
    )
    result = store.training_set(label_table, ["user_track_features:plays"])
    assert result["user_track_features__plays"].to_pylist() == [2, 1, 0, 0]


# --- labels as they come


@pytest.mark.parametrize(
    "type_", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_training_set_accepts_keys_of_any_string_type(store, type_):
    users = pa.array(["u1", "u2", None]).cast(type_)
    label_table = pa.table({"user_id": users, "label_at": pa.array([MIDNIGHT - HOUR] * 3, INSTANT)})
    result = store.training_set(label_table, ["user_features:plays"])
    assert result["user_features__plays"].to_pylist() == [19, 29, None]
    assert result.select(label_table.column_names).equals(label_table)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_training_set_accepts_instants_of_any_unit_and_zone(store, unit, zone):
    instants = pa.array([MIDNIGHT - timedelta(seconds=1), MIDNIGHT, None]).cast(pa.timestamp(unit, zone))
    label_table = pa.table({"user_id": ["u1"] * 3, "at": instants})
    result = store.training_set(label_table, ["user_features:plays"], at="at")
    assert result["user_features__plays"].to_pylist() == [19, 20, None]
    assert result.schema.field("at").type == pa.timestamp(unit, zone)


def test_training_set_accepts_dictionary_and_null_instants_and_runs_of_them(store):
    for instants, plays in (
        (pc.run_end_encode(pa.array([MIDNIGHT, None], INSTANT)), [20, None]),
        (pa.array([MIDNIGHT, None], INSTANT).dictionary_encode(), [20, None]),
        (pa.nulls(2), [None, None]),
    ):
        label_table = pa.table({"user_id": ["u1", "u1"], "label_at": instants})
        assert (
            store.training_set(label_table, ["user_features:plays"])["user_features__plays"].to_pylist()
            == plays
        )


def test_training_set_accepts_instants_beyond_64_bits_of_microseconds(store):
    for unit, late in (("s", END // 1_000_000), ("ms", END // 1000), ("us", END)):
        instants = pa.array([late, -(2**63)]).cast(pa.timestamp(unit))
        label_table = pa.table({"user_id": ["u1", "u1"], "label_at": instants})
        for as_published in (True, False):
            result = store.training_set(label_table, ["user_features:plays"], as_published=as_published)
            assert result["user_features__plays"].to_pylist() == [20, None], unit


@pytest.mark.parametrize(
    ("value", "unit", "message"),
    [
        (
            1767744000000,
            "s",
            "year 57987; .* like milliseconds .* seconds, .*: 1,000 times .* 2026-01-07 00:00:00",
        ),
        (1767744000000000, "s", "like microseconds .* taken for seconds, .* the last is 2026-01-07 00:00:00"),
        (1767744000000000000, "s", "like nanoseconds that are taken for seconds: .* is 2026-01-07 00:00:00"),
        (
            1767744000000000,
            "ms",
            "year 57987; .* or microseconds for milliseconds: .* is 2026-01-07 00:00:00",
        ),
        (END + 1, "us", "year 10000; "),
        (2**63 - 1, "s", "expected none after 9999"),
    ],
)
def test_training_set_refuses_instants_after_the_calendar_as_of_another_unit(store, value, unit, message):
    instants = pa.chunked_array([pa.array([None, 0], pa.int64()), [value]]).cast(pa.timestamp(unit, "UTC"))
    label_table = pa.table({"user_id": ["u1"] * 3, "label_at": instants})
    with pytest.raises(UsageError, match=f"instants in 'label_at' .*{message}"):
        store.training_set(label_table, ["user_features:plays"])


def test_training_set_of_no_labels_has_the_same_columns(store):
    some = store.training_set(labels((MIDNIGHT, "u1")), ["user_features"])
    none = store.training_set(labels((MIDNIGHT, "u1")).slice(0, 0), ["user_features"])
    assert none.num_rows == 0
    assert none.schema == some.schema
    assert none.schema.field("user_features__feature_at").type == INSTANT
    assert none.schema.field("user_features__hours").type == pa.list_(pa.float32())


def test_training_set_of_a_table_without_rows_has_nulls(tmp_path):
    store = publish_and_open(tmp_path, user_features=[])
    for as_published in (True, False):
        result = store.training_set(
            labels((MIDNIGHT, "u1")), ["user_features:plays"], as_published=as_published
        )
        assert result.drop("label_at").to_pylist() == [
            {"user_id": "u1", "user_features__feature_at": None, "user_features__plays": None}
        ]


def test_training_set_takes_features_that_can_be_gone_through_once(store):
    rows, names = labels((MIDNIGHT, "u1")), ["user_features:plays", "user_features:mean"]
    assert store.training_set(rows, iter(names)).equals(store.training_set(rows, names))


def test_training_set_keeps_order_repeats_and_columns_of_labels(store):
    twice = labels((MIDNIGHT, "u1"), (MIDNIGHT - HOUR, "u1"), (MIDNIGHT, "u1")).replace_schema_metadata(
        {"a": "b"}
    )
    label_table = twice.append_column(
        pa.field("y", pa.int8(), nullable=False, metadata={"c": "d"}), [pa.array([1, 0, 1], pa.int8())]
    )
    result = store.training_set(label_table, ["user_features:plays"])
    assert result["user_features__plays"].to_pylist() == [20, 19, 20]
    assert result.schema.metadata == {b"a": b"b"}
    assert result.select(label_table.column_names).schema.equals(label_table.schema, check_metadata=True)


def test_training_set_returns_each_feature_once_in_order_of_request(store):
    features = ["user_features:mean", "user_features", "user_features:plays"]
    result = store.training_set(labels((MIDNIGHT, "u1")), features)
    assert result.column_names[2:] == [
        f"user_features__{name}" for name in ("feature_at", "mean", "plays", "hours")
    ]
    assert store.training_set(labels((MIDNIGHT, "u1")), []) == labels((MIDNIGHT, "u1"))


def test_training_set_adds_nullable_columns_without_metadata(store):
    schema = store.training_set(labels((MIDNIGHT, "u1")), ["user_features"]).schema
    assert all(field.nullable and not field.metadata for field in schema)


# --- what never changes an answer, and what is not read


def test_training_set_ignores_later_days(tmp_path):
    rows = [row(user_id="u1", plays=1)]
    label_table = labels((MIDNIGHT, "u1"), (MIDNIGHT + 23 * HOUR, "u1"), (MIDNIGHT - MICROSECOND, "u1"))
    before = publish_and_open(tmp_path, user_features=rows).training_set(label_table, ["user_features"])
    later = [row(DAY + timedelta(days=1), user_id="u1", plays=2)]
    assert (
        publish_and_open(tmp_path, user_features=later).training_set(label_table, ["user_features"]) == before
    )


def test_training_set_opens_only_files_that_can_hold_a_label(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users, files=8))
    lake.remove_files_without("user_features", "u11", DAY)
    store = segue.open(lake.root)
    stale = (MIDNIGHT - HOUR, "u5")
    result = store.training_set(
        labels((MIDNIGHT, "u11"), stale, (MIDNIGHT, None)), ["user_features:plays_count_7d"], max_age=HOUR
    )
    assert result["user_features__plays_count_7d"].to_pylist() == [20011, None, None]
    with pytest.raises(SegueError, match=r"has lost files.*Hint: use a newer release"):
        store.training_set(labels((MIDNIGHT, "u11"), stale), ["user_features:plays_count_7d"])


def test_training_set_returns_every_key_on_each_day(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users))
    label_table = labels(*((midnight_after(each["ds"]), each["user_id"]) for each in many_users))
    result = segue.open(lake.root).training_set(label_table, ["user_features:plays_count_7d"])
    expected = [each["plays_count_7d"] for each in many_users]
    assert result["user_features__plays_count_7d"].to_pylist() == expected


# --- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ["user_feature"]}, "table 'user_feature' is unknown.*mean 'user_features'"),
        (
            {"features": ["user_features:play"]},
            "feature 'play' is unknown in table user_features; known: plays, mean",
        ),
        ({"features": ["user_features:"]}, "feature '' is unknown"),
        ({"features": ["user_features:ds"]}, "feature 'ds' is unknown"),
        ({"features": ["user_features:user_id"]}, "feature 'user_id' is unknown"),
        ({"features": "user_features"}, "features must be a list of strings; got 'user_features'"),
        ({"features": [1]}, "features must be a list of strings"),
        ({"at": "label"}, "column 'label' is unknown in the labels.*timestamps; known.*mean 'label_at'"),
        ({"at": "user_id"}, "need one column 'user_id' of timestamps; got string"),
        (
            {"labels": {"label_at": [MIDNIGHT]}},
            "column 'user_id' is unknown in the labels, which need it as strings",
        ),
        ({"labels": {"user_id": [1], "label_at": [MIDNIGHT]}}, "one column 'user_id' of strings; got int64"),
        (
            {"labels": {"user_id": ["u1"], "label_at": [DAY]}},
            "one column 'label_at' of timestamps; got date32",
        ),
        (
            {"labels": {"user_id": ["u1"], "label_at": [MIDNIGHT], "user_features__mean": [0]}},
            "two columns would be called user_features__mean. Hint: rename",
        ),
        (
            {"labels": {"user_id": ["u1"], "label_at": [MIDNIGHT], "user_features__feature_at": [0]}},
            "two columns would be called user_features__feature_at",
        ),
        ({"labels": [("u1", MIDNIGHT)]}, "labels must be a pyarrow.Table; got list.*from_pandas"),
        (
            {"labels": {"user_id": [b"\xff"], "label_at": [MIDNIGHT]}, "cast_keys": True},
            "'user_id' of the labels cannot be read as text: .* give it as strings",
        ),
        ({"max_age": 3600}, "max_age is a datetime.timedelta.*got 3600"),
        ({"max_age": -HOUR}, "max_age is a datetime.timedelta of 0 or more"),
    ],
)
def test_training_set_refuses_wrong_arguments_in_one_line(store, change, message):
    arguments = {
        "labels": {"user_id": ["u1"], "label_at": [MIDNIGHT]},
        "features": ["user_features"],
    } | change
    if isinstance(arguments["labels"], dict):
        arguments["labels"] = pa.table(arguments["labels"])
    with pytest.raises(UsageError, match=message) as refusal:
        store.training_set(**arguments)
    assert "\n" not in str(refusal.value)


def test_training_set_refuses_two_columns_of_one_key(store):
    twice = pa.Table.from_arrays(
        [["u1"], ["u2"], pa.array([MIDNIGHT], INSTANT)], ["user_id", "user_id", "label_at"]
    )
    with pytest.raises(UsageError, match="one column 'user_id' of strings; got several of that name"):
        store.training_set(twice, ["user_features"])


def test_training_set_refuses_two_features_of_one_name(tmp_path, monkeypatch):
    number = pa.int64()
    monkeypatch.setitem(TABLES, "a", (("user_id",), (pa.field("b__n", number), pa.field("m", number))))
    monkeypatch.setitem(TABLES, "a__b", (("user_id",), (pa.field("n", number),)))
    store = publish_and_open(tmp_path, a=[row(user_id="u1", b__n=1, m=2)], a__b=[row(user_id="u1", n=3)])
    with pytest.raises(UsageError, match="two columns would be called a__b__n"):
        store.training_set(labels((MIDNIGHT, "u1")), ["a", "a__b"])
    result = store.training_set(labels((MIDNIGHT, "u1")), ["a:m", "a__b"])
    assert result.select(["a__m", "a__b__n"]).to_pylist() == [{"a__m": 2, "a__b__n": 3}]


def test_training_set_refuses_tables_without_daily_snapshots(lake):
    plays = lake.publish("plays", [{"play_id": "p1", "user_id": "u1", "ds": DAY}])
    tracks = lake.publish("tracks", [{"track_id": "t1", "title": "T", "artist_name": None}])
    lake.release(plays=plays, tracks=tracks)
    for table, key in (("plays", "play_id"), ("tracks", "track_id")):
        with pytest.raises(UsageError, match=rf"table {table} has no daily snapshots.*\(its key is {key}\)"):
            segue.open(lake.root).training_set(labels((MIDNIGHT, "u1")), [table])


def test_training_set_refuses_two_rows_of_one_key(tmp_path):
    twice = [row(user_id="1", track_id="23", plays=n) for n in (1, 2)]
    other_day = [row(DAY_BEFORE, user_id="1", track_id="23", plays=3)]
    store = publish_and_open(tmp_path, user_track_features=[*twice, *other_day])
    label_table = labels((MIDNIGHT, "1")).append_column("track_id", [["23"]])
    with pytest.raises(SegueError, match="user_track_features has 2 rows for 1 values of user_id, track_id"):
        store.training_set(label_table, ["user_track_features"])
    day_before = label_table.set_column(1, "label_at", pa.array([MIDNIGHT - HOUR], INSTANT))
    result = store.training_set(day_before, ["user_track_features:plays"])
    assert result["user_track_features__plays"].to_pylist() == [3]


# --- size


def test_training_set_of_many_labels_takes_less_than_3_seconds(tmp_path):
    users, count = [f"u{i}" for i in range(5_000)], 200_000
    days = [DAY - timedelta(days=n) for n in range(3)]
    rows = [row(ds, user_id=user, plays=10**6 * ds.day + i) for ds in days for i, user in enumerate(users)]
    store = publish_and_open(tmp_path, user_features=rows)
    rng = np.random.default_rng(1)
    user, day = rng.integers(0, len(users), count), rng.integers(0, 3, count)
    ends = np.array([midnight_after(ds).replace(tzinfo=None) for ds in days], "datetime64[us]")
    label_table = pa.table({"user_id": np.array(users)[user], "label_at": ends[day]})
    start = time.perf_counter()
    result = store.training_set(label_table, ["user_features"])
    seconds = time.perf_counter() - start
    expected = np.array([10**6 * ds.day for ds in days])[day] + user
    assert (result["user_features__plays"].to_numpy() == expected).all()
    assert seconds < 3, f"{count:,} labels took {seconds:.1f} s"
