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
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segue
from reference import point_in_time as definition
from segue import SegueError, UsageError, lookup, training_set
from segue.buckets import bucket

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
    made = [row | {"bucket": bucket(row[entity[0]], BUCKETS)} for row in rows]
    write_deltalake(log, pa.Table.from_pylist(made, schema=pa.schema(fields)), mode="append")
    return segue.TableVersion(log.version(), len(rows), f"hash-{table}-{log.version()}")


def opened(root: Path, **rows: list[dict[str, Any]]) -> segue.Store:
    segue.append_release(root, DAY, {table: publish(root, table, made) for table, made in rows.items()})
    return segue.open(root)


def ended(ds: date) -> datetime:
    return datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(days=1)


def row(ds: date = DAY, late: timedelta = HOUR, **columns: Any) -> dict[str, Any]:
    return {"ds": ds, "available_at": ended(ds) + late, **columns}


def labels(*rows: tuple[datetime | None, Any], type_: pa.DataType = INSTANT) -> pa.Table:
    """Of an instant and a listener each."""
    instants, users = zip(*rows, strict=True)
    return pa.table({"user_id": pa.array(users, pa.string()), "label_at": pa.array(instants, type_)})


@pytest.fixture
def store(tmp_path):
    """u1 on both days, u2 on the first."""
    plays = {("u1", DAY_BEFORE): 19, ("u1", DAY): 20, ("u2", DAY_BEFORE): 29}
    rows = [row(ds, user_id=u, plays=n, mean=n / 2, hours=[n, n]) for (u, ds), n in plays.items()]
    return opened(tmp_path, user_features=rows)


# --- against the definition


DAYS = [date(1969, 12, 30), *(date(2026, 11, day) for day in (1, 2, 5, 6, 11))]
LATE = (-HOUR, timedelta(), MICROSECOND, HOUR, timedelta(days=2), timedelta(days=9))
MAX_AGES = (None, timedelta(), 36 * HOUR, timedelta(days=4))


def world(seed: int) -> World:
    """Tables with gaps in days and in keys, nulls, days published late, in parts, or after later ones."""
    chance = random.Random(seed)
    return World({table: list(some_rows(chance, table)) for table in TABLES})


class World(dict[str, list[dict[str, Any]]]):
    """Its rows, without showing them all wherever a test fails."""

    def __repr__(self) -> str:
        return f"<rows of {', '.join(self)}>"


def some_rows(chance: random.Random, table: str):
    entity, features = TABLES[table]
    for ds in chance.sample(DAYS, 5):
        late = chance.choices(LATE, k=chance.randint(1, 2))
        for parts in product(*(KEYS[name] for name in entity)):
            if chance.random() < 0.6:
                values = {field.name: some_value(chance, field.type) for field in features}
                yield row(ds, chance.choice(late), **dict(zip(entity, parts, strict=True)), **values)


def some_value(chance: random.Random, type_: pa.DataType) -> Any:
    if chance.random() < 0.2:
        return None
    number = chance.randint(1, 10**6)
    return [number / 2, None] if pa.types.is_list(type_) else str(number) if type_ == pa.string() else number


def defined(table: str, rows: list[dict[str, Any]], columns: list[str], max_age: timedelta | None):
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
    made = [world(seed) for seed in range(3)]
    return [(opened(tmp_path_factory.mktemp("world"), **rows), rows) for rows in made]


INSTANTS = sorted({ended(ds) + after for ds in DAYS for after in (*LATE, *filter(None, MAX_AGES), 12 * HOUR)})
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


def asked(features: list[str]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for feature in features:
        table, _, column = feature.partition(":")
        wanted = [column] if column else [field.name for field in TABLES[table][1]]
        columns[table] = list(dict.fromkeys([*columns.get(table, []), *wanted]))
    return columns


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
def test_it_is_as_defined(
    worlds, monkeypatch, number, rows, features, as_published, max_age, type_, block, few
):
    # However labels and files are cut, and whether or not buckets are looked at.
    monkeypatch.setattr(training_set, "BLOCK", block)
    monkeypatch.setattr(lookup, "PORTION", block)
    monkeypatch.setattr(lookup, "KEYS_PER_BUCKET", few)
    check(*worlds[number], rows, features, as_published, max_age, type_)


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("max_age", MAX_AGES, ids=str)
def test_many_labels_are_as_defined(worlds, as_published, max_age):
    for number, (store, tables) in enumerate(worlds):
        chance = random.Random(number)
        rows = [
            {
                "id": 0,
                "label_at": at + offset * MICROSECOND,
                **{name: chance.choice(k) for name, k in KEYS.items()},
            }
            for at in INSTANTS
            for offset in (-1, 0, 1)
        ]
        check(store, tables, rows, list(TABLES), as_published, max_age)


def check(store, tables, rows, features, as_published, max_age, type_=INSTANT):
    types = {"id": pa.int64(), "label_at": type_, **dict.fromkeys(KEYS, pa.string())}
    asked_for = pa.Table.from_pylist(rows, schema=pa.schema(types))
    found = store.training_set(asked_for, features, as_published=as_published, max_age=max_age)
    columns = asked(features)
    joined = definition.joined(
        rows,
        [defined(table, tables[table], names, max_age) for table, names in columns.items()],
        as_published=as_published,
    )
    added = [f"{table}__{name}" for table, names in columns.items() for name in ("feature_at", *names)]
    assert found.column_names == [*types, *added]
    assert found.select(list(types)).equals(asked_for), "the labels are not as they were"
    assert found.select(added).to_pylist() == [{name: row[name] for name in added} for row in joined]


def test_some_world_has_what_the_property_is_about(worlds):
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
def test_a_day_counts_from_the_midnight_after_it(store, at, feature_at, plays):
    found = store.training_set(labels((at, "u1")), ["user_features:plays"])
    assert found.drop("label_at").to_pylist() == [
        {"user_id": "u1", "user_features__feature_at": feature_at, "user_features__plays": plays}
    ]


@pytest.mark.parametrize(("after", "plays"), [(-MICROSECOND, 19), (timedelta(), 20), (MICROSECOND, 20)])
def test_as_published_waits_for_the_publication(store, after, plays):
    asked_for = labels((MIDNIGHT + HOUR + after, "u1"))
    assert (
        store.training_set(asked_for, ["user_features:plays"], as_published=True)["user_features__plays"][
            0
        ].as_py()
        == plays
    )
    assert store.training_set(asked_for, ["user_features:plays"])["user_features__plays"][0].as_py() == 20


def test_a_day_that_was_never_published_is_not_there_as_published(tmp_path):
    store = opened(tmp_path, user_features=[row(user_id="u1", plays=1) | {"available_at": None}])
    asked_for = labels((datetime(9999, 12, 31, tzinfo=UTC), "u1"))
    assert store.training_set(asked_for, ["user_features:plays"])["user_features__plays"].to_pylist() == [1]
    found = store.training_set(asked_for, ["user_features:plays"], as_published=True)
    assert found["user_features__feature_at"].to_pylist() == [None]


def test_who_has_no_row_on_the_day_gets_no_older_one_but_the_default(store):
    found = store.training_set(labels((MIDNIGHT, "u2"), (MIDNIGHT, "stranger")), ["user_features"])
    empty_value = {"feature_at": MIDNIGHT, "plays": 0, "mean": None, "hours": [0.0, 0.0]}
    expected = {f"user_features__{name}": value for name, value in empty_value.items()}
    assert found.drop(["user_id", "label_at"]).to_pylist() == [expected, expected]


def test_a_null_that_is_written_stays_one(tmp_path):
    store = opened(tmp_path, user_features=[row(user_id="u1", plays=None)])
    found = store.training_set(labels((MIDNIGHT, "u1")), ["user_features:plays"])
    assert found["user_features__plays"].to_pylist() == [None]


def test_a_null_key_has_a_day_but_no_defaults(store):
    found = store.training_set(labels((MIDNIGHT, None), (MIDNIGHT, "u1")), ["user_features:plays"])
    assert found["user_features__feature_at"].to_pylist() == [MIDNIGHT, MIDNIGHT]
    assert found["user_features__plays"].to_pylist() == [None, 20]


def test_what_is_too_old_is_null_for_known_and_unknown_keys(store):
    limit = timedelta(days=3)
    instants = [MIDNIGHT + limit, MIDNIGHT + limit + MICROSECOND]
    asked_for = labels(*((at, user) for at in instants for user in ("u1", "stranger")))
    found = store.training_set(asked_for, ["user_features:plays"], max_age=limit)
    assert found["user_features__plays"].to_pylist() == [20, 0, None, None]
    assert found["user_features__feature_at"].to_pylist() == [MIDNIGHT] * 4
    kept = store.training_set(asked_for, ["user_features:plays"], max_age=timedelta.max)
    assert kept["user_features__plays"].to_pylist() == [20, 0, 20, 0]


def test_a_nanosecond_more_than_max_age_is_more(store):
    exact = int(MIDNIGHT.timestamp()) * 10**9
    instants = pa.array([exact - 1, exact, exact + 1]).cast(pa.timestamp("ns"))
    asked_for = pa.table({"user_id": ["u1"] * 3, "label_at": instants})
    found = store.training_set(asked_for, ["user_features:plays"], max_age=timedelta())
    assert found["user_features__plays"].to_pylist() == [None, 20, None]


def test_the_last_days_of_the_calendar(tmp_path):
    last = date(9999, 12, 30)
    rows = [row(last, timedelta(), user_id="u1", plays=1)]
    rows.append({"ds": last + timedelta(days=1), "available_at": None, "user_id": "u1", "plays": 2})
    store = opened(tmp_path, user_features=rows)
    at = datetime.max.replace(tzinfo=UTC)
    found = store.training_set(labels((at, "u1")), ["user_features:plays"], max_age=timedelta(days=1))
    assert found["user_features__plays"].to_pylist() == [1], "its last day ends after every label"
    assert found["user_features__feature_at"].to_pylist() == [ended(last)]


def test_keys_that_are_equal_as_one_text_are_two(tmp_path):
    rows = [
        row(user_id="1", track_id="23", mean=1.0, plays=1),
        row(user_id="12", track_id="3", mean=2.0, plays=2),
    ]
    store = opened(tmp_path, user_track_features=rows)
    asked_for = pa.table(
        {
            "track_id": ["3", "23", "23", "3"],
            "user_id": ["12", "1", "12", "1"],
            "label_at": pa.array([MIDNIGHT] * 4, INSTANT),
        }
    )
    found = store.training_set(asked_for, ["user_track_features:plays"])
    assert found["user_track_features__plays"].to_pylist() == [2, 1, 0, 0]


# --- labels as they come


@pytest.mark.parametrize(
    "type_", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_keys_may_be_strings_of_any_kind(store, type_):
    users = pa.array(["u1", "u2", None]).cast(type_)
    asked_for = pa.table({"user_id": users, "label_at": pa.array([MIDNIGHT - HOUR] * 3, INSTANT)})
    found = store.training_set(asked_for, ["user_features:plays"])
    assert found["user_features__plays"].to_pylist() == [19, 29, None]
    assert found.select(asked_for.column_names).equals(asked_for)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_instants_may_be_of_any_unit_and_zone(store, unit, zone):
    instants = pa.array([MIDNIGHT - timedelta(seconds=1), MIDNIGHT, None]).cast(pa.timestamp(unit, zone))
    asked_for = pa.table({"user_id": ["u1"] * 3, "at": instants})
    found = store.training_set(asked_for, ["user_features:plays"], at="at")
    assert found["user_features__plays"].to_pylist() == [19, 20, None]
    assert found.schema.field("at").type == pa.timestamp(unit, zone)


def test_instants_may_be_few_or_none_at_all(store):
    for instants, plays in (
        (pa.array([MIDNIGHT, None], INSTANT).dictionary_encode(), [20, None]),
        (pa.nulls(2), [None, None]),
    ):
        asked_for = pa.table({"user_id": ["u1", "u1"], "label_at": instants})
        assert (
            store.training_set(asked_for, ["user_features:plays"])["user_features__plays"].to_pylist()
            == plays
        )


def test_instants_beyond_64_bits_of_microseconds_are_just_late_or_early(store):
    for unit in ("s", "ms", "us"):
        instants = pa.array([2**63 - 1, -(2**63)]).cast(pa.timestamp(unit))
        asked_for = pa.table({"user_id": ["u1", "u1"], "label_at": instants})
        for as_published in (True, False):
            found = store.training_set(asked_for, ["user_features:plays"], as_published=as_published)
            assert found["user_features__plays"].to_pylist() == [20, None], unit


def test_no_labels_give_no_rows_of_the_same_columns(store):
    some = store.training_set(labels((MIDNIGHT, "u1")), ["user_features"])
    none = store.training_set(labels((MIDNIGHT, "u1")).slice(0, 0), ["user_features"])
    assert none.num_rows == 0
    assert none.schema == some.schema
    assert none.schema.field("user_features__feature_at").type == INSTANT
    assert none.schema.field("user_features__hours").type == pa.list_(pa.float32())


def test_a_table_without_rows_has_no_day(tmp_path):
    store = opened(tmp_path, user_features=[])
    for as_published in (True, False):
        found = store.training_set(
            labels((MIDNIGHT, "u1")), ["user_features:plays"], as_published=as_published
        )
        assert found.drop("label_at").to_pylist() == [
            {"user_id": "u1", "user_features__feature_at": None, "user_features__plays": None}
        ]


def test_labels_keep_order_repeats_and_whatever_else_they_have(store):
    twice = labels((MIDNIGHT, "u1"), (MIDNIGHT - HOUR, "u1"), (MIDNIGHT, "u1")).replace_schema_metadata(
        {"a": "b"}
    )
    asked_for = twice.append_column(
        pa.field("y", pa.int8(), nullable=False, metadata={"c": "d"}), [pa.array([1, 0, 1], pa.int8())]
    )
    found = store.training_set(asked_for, ["user_features:plays"])
    assert found["user_features__plays"].to_pylist() == [20, 19, 20]
    assert found.schema.metadata == {b"a": b"b"}
    assert found.select(asked_for.column_names).schema.equals(asked_for.schema, check_metadata=True)


def test_features_come_once_in_the_order_first_asked(store):
    features = ["user_features:mean", "user_features", "user_features:plays"]
    found = store.training_set(labels((MIDNIGHT, "u1")), features)
    assert found.column_names[2:] == [
        f"user_features__{name}" for name in ("feature_at", "mean", "plays", "hours")
    ]
    assert store.training_set(labels((MIDNIGHT, "u1")), []) == labels((MIDNIGHT, "u1"))


def test_added_columns_may_be_null_and_carry_no_words_of_the_table(store):
    added = store.training_set(labels((MIDNIGHT, "u1")), ["user_features"]).schema
    assert all(field.nullable and not field.metadata for field in added)


# --- what never changes an answer, and what is not read


def test_later_days_change_nothing(tmp_path):
    rows = [row(user_id="u1", plays=1)]
    asked_for = labels((MIDNIGHT, "u1"), (MIDNIGHT + 23 * HOUR, "u1"), (MIDNIGHT - MICROSECOND, "u1"))
    before = opened(tmp_path, user_features=rows).training_set(asked_for, ["user_features"])
    later = [row(DAY + timedelta(days=1), user_id="u1", plays=2)]
    assert opened(tmp_path, user_features=later).training_set(asked_for, ["user_features"]) == before


def test_only_files_that_can_hold_a_label_are_opened(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users, files=8))
    target = segue.open(lake.root).lookup("user_features", ["u11"], columns=["bucket"])["bucket"][0].as_py()
    removed = 0
    for file in lake.path("user_features").rglob("*.parquet"):
        buckets = pa.parquet.read_table(file, columns=["bucket"], partitioning=None)["bucket"].to_pylist()
        if f"ds={DAY}" not in str(file) or not min(buckets) <= target <= max(buckets):
            file.unlink()
            removed += 1
    assert removed >= 14, "the fixture should leave one or two of 16 files"
    store = segue.open(lake.root)
    stale = (MIDNIGHT - HOUR, "u5")
    found = store.training_set(
        labels((MIDNIGHT, "u11"), stale, (MIDNIGHT, None)), ["user_features:plays_count_7d"], max_age=HOUR
    )
    assert found["user_features__plays_count_7d"].to_pylist() == [20011, None, None]
    with pytest.raises(SegueError, match=r"has lost files.*Hint: use a newer release"):
        store.training_set(labels((MIDNIGHT, "u11"), stale), ["user_features:plays_count_7d"])


def test_every_listener_is_found_on_both_days(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users))
    asked_for = labels(*((ended(each["ds"]), each["user_id"]) for each in many_users))
    found = segue.open(lake.root).training_set(asked_for, ["user_features:plays_count_7d"])
    expected = [each["plays_count_7d"] for each in many_users]
    assert found["user_features__plays_count_7d"].to_pylist() == expected


# --- errors


@pytest.mark.parametrize(
    ("change", "said"),
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
        ({"max_age": 3600}, "max_age is a datetime.timedelta.*got 3600"),
        ({"max_age": -HOUR}, "max_age is a datetime.timedelta of 0 or more"),
    ],
)
def test_wrong_questions_get_one_clear_line(store, change, said):
    asked_for = {
        "labels": {"user_id": ["u1"], "label_at": [MIDNIGHT]},
        "features": ["user_features"],
    } | change
    if isinstance(asked_for["labels"], dict):
        asked_for["labels"] = pa.table(asked_for["labels"])
    with pytest.raises(UsageError, match=said) as caught:
        store.training_set(**asked_for)
    assert "\n" not in str(caught.value)


def test_a_key_column_must_be_one(store):
    twice = pa.Table.from_arrays(
        [["u1"], ["u2"], pa.array([MIDNIGHT], INSTANT)], ["user_id", "user_id", "label_at"]
    )
    with pytest.raises(UsageError, match="one column 'user_id' of strings; got several of that name"):
        store.training_set(twice, ["user_features"])


def test_two_features_of_one_name_are_refused(tmp_path, monkeypatch):
    number = pa.int64()
    monkeypatch.setitem(TABLES, "a", (("user_id",), (pa.field("b__n", number), pa.field("m", number))))
    monkeypatch.setitem(TABLES, "a__b", (("user_id",), (pa.field("n", number),)))
    store = opened(tmp_path, a=[row(user_id="u1", b__n=1, m=2)], a__b=[row(user_id="u1", n=3)])
    with pytest.raises(UsageError, match="two columns would be called a__b__n"):
        store.training_set(labels((MIDNIGHT, "u1")), ["a", "a__b"])
    found = store.training_set(labels((MIDNIGHT, "u1")), ["a:m", "a__b"])
    assert found.select(["a__m", "a__b__n"]).to_pylist() == [{"a__m": 2, "a__b__n": 3}]


def test_tables_that_are_no_daily_snapshots_are_refused(lake):
    plays = lake.publish("plays", [{"play_id": "p1", "user_id": "u1", "ds": DAY}])
    tracks = lake.publish("tracks", [{"track_id": "t1", "title": "T", "artist_name": None}])
    lake.release(plays=plays, tracks=tracks)
    for table, key in (("plays", "play_id"), ("tracks", "track_id")):
        with pytest.raises(UsageError, match=rf"table {table} has no daily snapshots.*\(its key is {key}\)"):
            segue.open(lake.root).training_set(labels((MIDNIGHT, "u1")), [table])


def test_two_rows_of_one_key_are_an_error_not_a_choice(tmp_path):
    twice = [row(user_id="1", track_id="23", plays=n) for n in (1, 2)]
    other_day = [row(DAY_BEFORE, user_id="1", track_id="23", plays=3)]
    store = opened(tmp_path, user_track_features=[*twice, *other_day])
    asked_for = labels((MIDNIGHT, "1")).append_column("track_id", [["23"]])
    with pytest.raises(SegueError, match="user_track_features has 2 rows for 1 values of user_id, track_id"):
        store.training_set(asked_for, ["user_track_features"])
    day_before = asked_for.set_column(1, "label_at", pa.array([MIDNIGHT - HOUR], INSTANT))
    found = store.training_set(day_before, ["user_track_features:plays"])
    assert found["user_track_features__plays"].to_pylist() == [3]


# --- size


def test_many_labels_take_no_loop_over_them(tmp_path):
    users, count = [f"u{i}" for i in range(5_000)], 200_000
    days = [DAY - timedelta(days=n) for n in range(3)]
    rows = [row(ds, user_id=user, plays=10**6 * ds.day + i) for ds in days for i, user in enumerate(users)]
    store = opened(tmp_path, user_features=rows)
    chance = np.random.default_rng(1)
    user, day = chance.integers(0, len(users), count), chance.integers(0, 3, count)
    ends = np.array([ended(ds).replace(tzinfo=None) for ds in days], "datetime64[us]")
    asked_for = pa.table({"user_id": np.array(users)[user], "label_at": ends[day]})
    started = time.perf_counter()
    found = store.training_set(asked_for, ["user_features"])
    took = time.perf_counter() - started
    expected = np.array([10**6 * ds.day for ds in days])[day] + user
    assert (found["user_features__plays"].to_numpy() == expected).all()
    assert took < 3, f"{count:,} labels took {took:.1f} s"
