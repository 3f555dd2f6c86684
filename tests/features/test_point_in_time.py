"""`features.joins.point_in_time` against its definition in plain Python, and against bugs that others have."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from random import Random

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from features.joins import hot_keys, instants, reduction
from features.joins import point_in_time as engine
from features.joins.point_in_time import FeatureTable, PointInTimeError, point_in_time_join
from reference.point_in_time import PublishedDay, Table, join
from reference.worlds import DAY, FEW, MIDNIGHT, US, World

MAX_AGE = 2 * DAY
AROUND = (-US, timedelta(0), US)
INSTANT = pa.timestamp("us", "UTC")
KEYS = {"user_id": pa.int64(), "track_id": pa.string()}
# columns of labels that a careless engine would take for its own
ODD = {
    "a.b": pa.int32(),
    "ds": pa.string(),
    "feature_at": pa.string(),
    "bracket": pa.int32(),
    "r0": pa.int32(),
}
LABELS = pa.schema(KEYS | {"label_at": INSTANT} | ODD)
AS_OF = pa.schema(
    KEYS
    | {"feature_at": INSTANT, "available_at": INSTANT, "version": pa.int32(), "seq": pa.int32()}
    | {"f": pa.float64(), "tags": pa.map_(pa.string(), pa.int32())}
)
DAILY = pa.schema(
    KEYS | {"ds": pa.date32(), "available_at": INSTANT, "f": pa.float64(), "g.h": pa.list_(pa.int32())}
)

# --- worlds: few keys, and all that happens close to a few instants

# joined as text, (1, "23") is (12, "3"), and (1, "|2") is a neighbour of (1, "2")
_user = st.sampled_from((1, 1, 1, 12, 12, 2, None))
_track = st.sampled_from(("23", "23", "3", "|2", "", None))
_offset = st.sampled_from((*AROUND, timedelta(hours=5), timedelta(hours=30)))
_instant = st.builds(lambda days, off: MIDNIGHT + days * DAY + off, st.integers(0, 6), _offset)
_delay = st.sampled_from((*AROUND, DAY - US, DAY, 3 * DAY, None))
_value = st.sampled_from((None, 0.0, -1.5, 2.5))


def _row(values, **more):
    user, track, *_ = values
    return {"user_id": user, "track_id": track, **more}


def _label(values):
    user, track, at, n = values
    odd = {"a.b": n, "ds": f"label {n}", "feature_at": None, "bracket": n, "r0": n}
    return {"user_id": user, "track_id": track, "label_at": at, **odd}


def _event(values):
    user, track, at, delay, version, value = values
    available = None if at is None or delay is None else at + delay
    row = {
        "user_id": user,
        "track_id": track,
        "feature_at": at,
        "available_at": available,
        "version": version,
    }
    return row | {"f": value, "tags": None if version is None else {"v": version}}


_labels = st.lists(
    st.tuples(_user, _track, st.one_of(_instant, _instant, _instant, st.none()), st.integers(0, 2)).map(
        _label
    ),
    min_size=60,
    max_size=90,
)
_version = st.sampled_from((None, 0, 1))
_events = st.lists(
    st.tuples(_user, _track, st.one_of(*[_instant] * 9, st.none()), _delay, _version, _value).map(_event),
    min_size=40,
    max_size=70,
).map(lambda rows: World(row | {"seq": n} for n, row in enumerate(rows)))
_day = st.integers(-1, 6).map(lambda n: (MIDNIGHT + n * DAY).date())
# days that were published again or taken away among them
_published_days = st.lists(
    st.tuples(_day, _delay.map(lambda delay: delay or DAY), st.sampled_from((True, True, True, False))),
    unique_by=lambda values: values[:2],
    max_size=9,
).map(
    lambda days: tuple(
        PublishedDay(ds, MIDNIGHT + (ds - MIDNIGHT.date() + DAY) + delay, has_rows)
        for ds, delay, has_rows in days
    )
)


def _daily_row(values):
    user, track, ds, value, *available_at = values
    return {
        "user_id": user,
        "track_id": track,
        "ds": ds,
        "available_at": available_at[0] if available_at else MIDNIGHT,
        "f": value,
        "g.h": None if value is None else [1, 2],
    }


def _daily(days, *keys):
    """Rows of these publications, each key once; and of days that were never published."""
    published = [(day.ds, day.available_at) for day in days if day.has_rows]
    instants = st.sampled_from([*published, ((MIDNIGHT - 2 * DAY).date(), MIDNIGHT)])
    values = st.tuples(_user, _track, instants, _value)
    rows = st.lists(values.map(lambda v: _daily_row((*v[:2], v[2][0], v[3], v[2][1]))), max_size=60)
    unique = (*keys, "ds", "available_at")
    return rows.map(lambda rows: World({tuple(row[name] for name in unique): row for row in rows}.values()))


@st.composite
def joins(draw):
    """Labels, and tables of three entities: as of an instant and by day, with and without limits."""
    both, ties = ("user_id", "track_id"), ("version", "seq")
    days_of_three, days_of_one = draw(_published_days), draw(_published_days)
    days = {"f": -9.0, "g.h": [0]}
    tables = [
        Table("plain", draw(_events), ("user_id",), ("f", "tags", "available_at"), ties=ties),
        Table("fresh", draw(_events), ("user_id",), ("f", "seq"), MAX_AGE, ("version", "seq")),
        Table("pair", draw(_events), both, ("seq", "f"), ties=ties),
        Table(
            "mixed",
            draw(_daily(days_of_three, "user_id")),
            ("user_id",),
            ("f",),
            MAX_AGE,
            (),
            days_of_three,
            {"f": -9.0},
        ),
        Table(
            "daily",
            draw(_daily(days_of_three, "track_id")),
            ("track_id",),
            ("f", "g.h"),
            None,
            (),
            days_of_three,
            days,
        ),
        Table(
            "again",
            draw(_daily(days_of_three, "track_id")),
            ("track_id",),
            ("f",),
            MAX_AGE,
            (),
            days_of_three,
        ),
        Table(
            "other",
            draw(_daily(days_of_one, "track_id")),
            ("track_id",),
            ("f",),
            DAY,
            (),
            days_of_one,
            {"f": 1.0},
        ),
    ]
    labels = draw(_labels)
    assume(len({tuple(row.values()) for row in labels}) > len(labels) / 2)
    return World(labels), tables


# --- both sides, and what to look at when they differ


def frame(spark, rows, schema):
    """Through Arrow, which no Python worker has to unpack."""
    records = [row | {"tags": list(row["tags"].items())} if row.get("tags") else row for row in rows]
    names = [field.name for field in schema]
    return spark.createDataFrame(
        pa.Table.from_pylist([{n: row[n] for n in names} for row in records], schema)
    )


def feature_table(spark, definition):
    schema = AS_OF if definition.published_days is None else DAILY
    days = definition.published_days and tuple(
        engine.PublishedDay(s.ds, s.available_at, s.has_rows) for s in definition.published_days
    )
    rest = (
        definition.keys,
        definition.columns,
        definition.max_age,
        definition.ties,
        definition.published_days if days is None else days,
        definition.defaults,
    )
    return FeatureTable(definition.name, frame(spark, definition.rows, schema), *rest)


def compute(spark, labels, tables, as_published=False):
    label_frame = labels if hasattr(labels, "columns") else frame(spark, labels, LABELS)
    out = point_in_time_join(
        label_frame, [feature_table(spark, definition) for definition in tables], as_published=as_published
    )
    return [
        {name: _value_of(name, value) for name, value in row.items()} for row in out.toArrow().to_pylist()
    ]


def _value_of(name, value):
    return dict(value) if name.endswith("tags") and value is not None else value


def assert_as_defined(spark, labels, tables, as_published=False):
    assert_same(
        join(labels, tables, as_published=as_published),
        compute(spark, labels, tables, as_published),
        tables,
    )


def assert_same(expected, actual, tables):
    """As multisets of rows: labels have no id, and may be there twice."""
    expected_counts, actual_counts = Counter(map(_format_row, expected)), Counter(map(_format_row, actual))
    if expected_counts == actual_counts:
        return
    (label,) = [row for row in expected if (expected_counts - actual_counts)[_format_row(row)]][:1] or [None]
    lines = [
        f"{len(expected)} rows expected, {len(actual)} got; expected only:",
        *list(expected_counts - actual_counts)[:2],
    ]
    lines += ["got only:", *list(actual_counts - expected_counts)[:4]]
    for definition in tables if label else ():
        lines.append(f"rows of {definition.name} with the key of the first:")
        lines += [
            f"  {_format_row(row)}"
            for row in definition.rows
            if all(row[k] == label[k] for k in definition.keys)
        ][:20]
    raise AssertionError("\n".join(lines))


def _format_row(row):
    values = {
        name: value.isoformat() if isinstance(value, date) else repr(value) for name, value in row.items()
    }
    return " ".join(f"{name}={value}" for name, value in values.items())


@pytest.fixture
def every_key_hot(monkeypatch):
    """Brackets for every key with rows; the list collects what was found."""
    results, find_hot_keys = [], hot_keys.find_hot_keys

    def record_hot_keys(*arguments):
        results.append(find_hot_keys(*arguments))
        return results[-1]

    monkeypatch.setattr(hot_keys, "SMALL", 0)
    monkeypatch.setattr(hot_keys, "HOT_ROWS", 1)
    monkeypatch.setattr(hot_keys, "SAMPLE", 1.0)
    monkeypatch.setattr(hot_keys, "find_hot_keys", record_hot_keys)
    return results


@pytest.fixture
def most_broadcast(spark):
    """Sets how many bytes are broadcast, until the test ends."""
    name = "spark.sql.autoBroadcastJoinThreshold"
    before = spark.conf.get(name)
    yield lambda size: spark.conf.set(name, size)
    spark.conf.set(name, before)


@pytest.fixture
def no_broadcasts(most_broadcast):
    """Labels count as many."""
    most_broadcast("-1")


@pytest.fixture
def deep_trees_and_equal_hashes(monkeypatch):
    monkeypatch.setattr(instants, "FAN_OUT", 4)
    monkeypatch.setattr(reduction, "hash_key", lambda *columns: F.pmod(F.xxhash64(*columns), F.lit(3)))


# --- any world


@pytest.mark.product_settings
@pytest.mark.parametrize("as_published", [False, True], ids=["described", "published"])
@settings(FEW, max_examples=2)
@given(world=joins())
def test_point_in_time_join_equals_the_definition(spark, as_published, world):
    assert_as_defined(spark, *world, as_published)


@pytest.mark.parametrize("as_published", [False, True], ids=["described", "published"])
@settings(FEW, max_examples=1)
@given(world=joins())
def test_point_in_time_join_does_not_depend_on_which_keys_are_hot(
    spark, no_broadcasts, every_key_hot, as_published, world
):
    assert_as_defined(spark, *world, as_published)


@pytest.mark.parametrize("as_published", [False, True], ids=["described", "published"])
@settings(FEW, max_examples=1)
@given(world=joins())
def test_point_in_time_join_does_not_depend_on_hashes_and_on_labels_of_a_key(
    spark, deep_trees_and_equal_hashes, as_published, world
):
    assert_as_defined(spark, *world, as_published)


@settings(FEW, max_examples=1)
@given(world=joins())
def test_point_in_time_join_does_not_depend_on_order_partitions_batches_and_later_rows(spark, world):
    labels, tables = world
    rows_at_once = compute(spark, labels, tables)
    later = max(row["label_at"] for row in labels if row["label_at"]) + US
    tables_with_later_rows = [
        replace(
            t,
            rows=[
                *t.rows[::-1],
                *({**row, "feature_at": later} for row in t.rows if t.published_days is None),
            ],
        )
        for t in tables
    ]
    batches = [compute(spark, labels[n::2], tables_with_later_rows) for n in (1, 0)]
    assert_same(rows_at_once, [row for batch in batches for row in batch], tables_with_later_rows)
    shuffled = frame(spark, labels[::-1], LABELS).repartition(5, "bracket")
    assert_same(rows_at_once, compute(spark, shuffled, tables_with_later_rows), tables_with_later_rows)


@pytest.mark.parametrize("as_published", [False, True], ids=["described", "published"])
def test_point_in_time_join_cuts_a_key_with_half_of_all_rows(
    spark, no_broadcasts, every_key_hot, as_published
):
    random = Random(7)

    def draw_key(n, user=None):
        return (
            random.randrange(9) if user is None and n % 2 else 99,
            str(n % 3),
            MIDNIGHT + random.random() * 30 * DAY,
        )

    rows = [
        event(at, user, track, at + random.choice((1, 9)) * DAY, 0, n, n / 7)
        for n in range(400)
        for user, track, at in [draw_key(n)]
    ]
    days = tuple(PublishedDay(MIDNIGHT.date() + n * DAY, MIDNIGHT + (n + 1.3) * DAY) for n in range(0, 30, 2))
    daily = [_daily_row((user, "", s.ds, user / 7)) for s in days for user in (1, 2, 99)]
    labels = [label(at, user, track) for n in range(400) for user, track, at in [draw_key(n)]]
    tables = [
        Table("one", rows, ("user_id",), ("f", "seq"), 3 * DAY),
        Table("two", rows[::2], ("user_id",), ("seq",)),
        Table("day", daily, ("user_id",), ("f",), published_days=days),
    ]
    assert_as_defined(spark, labels, tables, as_published)
    assert_as_defined(spark, labels, tables[2:], as_published)
    for hot_key_set in every_key_hot:
        hot_rows = {row["k0"]: row for row in hot_key_set.frame.toArrow().to_pylist()}
        assert hot_rows[99]["brackets"] > 1, f"the labels of 99 are not spread: {hot_rows}"
    cuts = {row["k0"]: row["cuts"] for row in every_key_hot[0].frame.toArrow().to_pylist()}
    assert len(cuts[99]) > 50, f"800 rows over 30 days are to be cut where their time changes: {cuts[99]}"


# --- cost


def list_nodes(plan):
    plan = plan.executedPlan() if plan.nodeName() == "AdaptiveSparkPlan" else plan
    children = plan.children()
    return [plan, *[node for n in range(children.size()) for node in list_nodes(children.apply(n))]]


def has_label_columns(node):
    """Whether rows with the labels' columns, by which name the engine may know them, come out of this node."""
    return "l6:int" in node.schema().catalogString()


# with a thousand bytes the labels are broadcast here, and no table
@pytest.mark.parametrize(
    ("kinds", "size"),
    [("as of", "-1"), ("daily", "-1"), ("both", "-1"), ("as of", "1000"), ("both", "1000")],
)
def test_point_in_time_join_shuffles_labels_once_for_tables_of_the_same_keys(
    spark, most_broadcast, kinds, size
):
    most_broadcast(size)
    labels = [label(MIDNIGHT + n * DAY, n % 3) for n in range(9)]
    days = [
        tuple(PublishedDay((MIDNIGHT + n * DAY).date(), MIDNIGHT) for n in range(0, 9, step))
        for step in (1, 2, 3)
    ]
    daily = [_daily_row((1, "", day.ds, 1.0)) for day in days[0]]
    tables = [
        Table(f"as of {n}", [event(MIDNIGHT)], ("user_id",), ("f",)) for n in range(3) if kinds != "daily"
    ]
    tables += [
        Table(f"day {n}", daily, ("user_id",), ("f",), published_days=days[n])
        for n in range(3)
        if kinds != "as of"
    ]
    out = point_in_time_join(
        frame(spark, labels, LABELS), [feature_table(spark, definition) for definition in tables]
    )
    plan = out._jdf.queryExecution().executedPlan()
    label_exchanges = [
        node for node in list_nodes(plan) if node.nodeName() == "Exchange" and has_label_columns(node)
    ]
    assert len(label_exchanges) == 1, f"labels are shuffled {len(label_exchanges)} times:\n{plan.toString()}"
    carried = any(node.nodeName() == "Window" for node in list_nodes(plan))
    assert carried == (kinds != "daily" and size == "-1"), "few labels are joined by equality"


# --- edges


def event(at, user=1, track="23", available=None, version=None, seq=0, f=1.0):
    return _event((user, track, at, None, version, f)) | {"available_at": available or at, "seq": seq}


def label(at, user=1, track="23", n=0):
    return _label((user, track, at, n))


def test_point_in_time_join_includes_the_instant_itself_and_the_greatest_age(spark):
    t = MIDNIGHT
    rows = [event(t + off, user=n) for n, off in enumerate(AROUND)]
    old = [event(t - MAX_AGE + off, user=n) for n, off in enumerate(AROUND)]
    tables = [
        Table("edge", rows, ("user_id",), ("f",)),
        Table("age", old, ("user_id",), ("f",), MAX_AGE),
    ]
    actual = {row["user_id"]: row for row in compute(spark, [label(t, n) for n in range(3)], tables)}
    assert [actual[n]["edge__f"] for n in range(3)] == [1.0, 1.0, None]
    assert [actual[n]["age__f"] for n in range(3)] == [None, 1.0, 1.0]
    assert [actual[n]["age__feature_at"] for n in range(3)] == [t - MAX_AGE + off for off in AROUND]


def test_point_in_time_join_as_published_leaves_out_what_was_not_available(spark):
    t = MIDNIGHT
    rows = [event(t - DAY, n, available=t + off, f=2.0) for n, off in enumerate(AROUND)]
    rows += [event(t - 2 * DAY, n) for n in range(3)]
    definition = Table("late", rows, ("user_id",), ("f",))
    for as_published, values in ((True, [2.0, 2.0, 1.0]), (False, [2.0, 2.0, 2.0])):
        actual = {
            row["user_id"]: row
            for row in compute(spark, [label(t, n) for n in range(3)], [definition], as_published)
        }
        assert [actual[n]["late__f"] for n in range(3)] == values


def test_point_in_time_join_as_published_prefers_a_newer_row_to_a_late_one(spark):
    rows = [event(MIDNIGHT - DAY, available=MIDNIGHT + DAY, f=1.0), event(MIDNIGHT, f=2.0)]
    (actual,) = compute(
        spark, [label(MIDNIGHT + 2 * DAY)], [Table("late", rows, ("user_id",), ("f",))], as_published=True
    )
    assert (actual["late__f"], actual["late__feature_at"]) == (2.0, MIDNIGHT)


def test_point_in_time_join_of_rows_as_new_takes_the_later_published_then_the_greatest(spark):
    t = MIDNIGHT
    rows = [
        event(t, 1, available=t + DAY, version=0, f=1.0),
        event(t, 1, available=t, version=1, f=2.0),
        event(t, 2, version=None, f=3.0),
        event(t, 2, version=0, f=4.0),
        event(t, 2, version=0, f=4.0),
    ]
    definition = Table("tied", rows, ("user_id",), ("f",), ties=("version",))
    actual = {
        row["user_id"]: row["tied__f"]
        for row in compute(spark, [label(t + 2 * DAY, 1), label(t, 2)], [definition])
    }
    assert actual == {1: 1.0, 2: 4.0}


def test_point_in_time_join_gives_the_default_where_the_day_has_no_row(spark):
    days = [MIDNIGHT.date() + n * DAY for n in (0, 1, 4)]
    daily = [_daily_row((1, None, days[0], 5.0))]
    published = tuple(PublishedDay(ds, MIDNIGHT + 9 * DAY) for ds in days)
    definition = Table("day", daily, ("user_id",), ("f",), published_days=published, defaults={"f": 0.0})
    instants = [(n, MIDNIGHT + n * DAY + off) for n in (1, 2, 5) for off in (-US, timedelta(0))]
    actual = {row["label_at"]: row for row in compute(spark, [label(at) for _, at in instants], [definition])}
    assert [actual[at]["day__f"] for _, at in instants] == [None, 5.0, 5.0, 0.0, 0.0, 0.0]
    feature_instants = [actual[at]["day__feature_at"] for _, at in instants]
    assert feature_instants == [None, *[MIDNIGHT + n * DAY for n in (1, 1, 2, 2, 5)]]


@pytest.mark.parametrize("empty_input", ["labels", "rows", "published_days", "all"])
def test_point_in_time_join_of_empty_inputs_equals_the_definition(spark, empty_input):
    day = PublishedDay(MIDNIGHT.date(), MIDNIGHT)
    labels = [] if empty_input in ("labels", "all") else [label(MIDNIGHT + DAY), label(MIDNIGHT + DAY)]
    rows = [] if empty_input in ("rows", "all") else [event(MIDNIGHT)]
    daily = [_daily_row((1, "23", day.ds, 1.0)) for _ in rows]
    days = () if empty_input in ("published_days", "all") else (day,)
    assert_as_defined(
        spark,
        labels,
        [
            Table("a", rows, ("user_id",), ("f",)),
            Table("b", daily, ("track_id",), ("f",), published_days=days, defaults={"f": 3.0}),
        ],
    )


def test_point_in_time_join_accepts_labels_drawn_from_the_table_itself(spark):
    rows = frame(spark, [event(MIDNIGHT + n * DAY, seq=n) for n in range(3)], AS_OF)
    labels = rows.select("user_id", F.col("feature_at").alias("label_at"))
    days = tuple(engine.PublishedDay((MIDNIGHT + n * DAY).date(), MIDNIGHT) for n in range(3))
    daily = rows.select("user_id", F.to_date("feature_at").alias("ds"), "seq")
    tables = [
        FeatureTable("a", rows, ("user_id",), ("seq",)),
        FeatureTable("b", daily, ("user_id",), ("seq",), published_days=days),
    ]
    both = point_in_time_join(labels, tables).toArrow().to_pylist()
    alone = point_in_time_join(labels, tables[1:]).toArrow().to_pylist()
    assert sorted((row["a__seq"], row["b__seq"]) for row in both if row["b__seq"] is not None) == [
        (1, 0),
        (2, 1),
    ]
    assert Counter(row["b__seq"] for row in alone) == Counter([None, 0, 1])


# --- bugs that others have


def test_point_in_time_join_separates_composite_keys_that_are_equal_as_text(spark):
    rows = [
        event(MIDNIGHT, 1, "23", f=1.0),
        event(MIDNIGHT, 12, "3", f=2.0),
        event(MIDNIGHT, 1, "2|3", f=3.0),
    ]
    labels = [label(MIDNIGHT, user, track) for user, track in ((1, "23"), (12, "3"), (1, "2|3"), (1, "2"))]
    actual = compute(spark, labels, [Table("pair", rows, ("user_id", "track_id"), ("f",))])
    value_by_key = {(row["user_id"], row["track_id"]): row["pair__f"] for row in actual}
    assert value_by_key == {(1, "23"): 1.0, (12, "3"): 2.0, (1, "2|3"): 3.0, (1, "2"): None}


def test_point_in_time_join_of_duplicate_feature_rows_keeps_one_row_per_label(spark):
    """Feast joins back by entity and time: two rows with both give two rows per label."""
    rows = [event(MIDNIGHT, seq=n) for n in (0, 0, 1)]
    definition = Table("twice", rows, ("user_id",), ("f", "seq"), ties=("seq",))
    actual = compute(spark, [label(MIDNIGHT + DAY)] * 2, [definition])
    assert [row["twice__seq"] for row in actual] == [1, 1], "one row per label, each with the greatest seq"


def test_point_in_time_join_applies_the_max_age_and_values_of_each_table(spark):
    """Feast gives two windows of one view the length of the first."""
    rows = [event(MIDNIGHT - 3 * DAY, f=3.0)]
    tables = [
        Table(name, [row | {"f": f} for row in rows], ("user_id",), ("f",), days and days * DAY)
        for name, days, f in (("short", 2, 1.0), ("long", 4, 2.0), ("ever", None, 3.0))
    ]
    (actual,) = compute(spark, [label(MIDNIGHT)], tables)
    assert [actual[f"{name}__f"] for name in ("short", "long", "ever")] == [None, 2.0, 3.0]


def test_point_in_time_join_takes_all_values_from_one_row(spark):
    """Tempo takes the last value of each column, whichever row it is in."""
    rows = [event(MIDNIGHT - DAY, f=1.0, seq=1), event(MIDNIGHT, f=None, seq=2)]
    (actual,) = compute(spark, [label(MIDNIGHT)], [Table("one", rows, ("user_id",), ("f", "seq"))])
    assert (actual["one__f"], actual["one__seq"]) == (None, 2)


# --- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x", "tables": []}, "tables: got none, expected one or more"),
        ({"at": "no.such"}, "labels: no column 'no.such', got ["),
        ({"at": "track_id"}, "labels: column 'track_id' is string, expected timestamp"),
        ({"keys": ("a.b",)}, "table 'a': no columns ['a.b'], got ["),
        ({"keys": ("seq",)}, "labels: no column 'seq', got ["),
        ({"keys": ("feature_at",)}, "key 'feature_at': string in labels, timestamp in table 'a'"),
        ({"keys": ()}, "table 'a': keys are empty"),
        ({"columns": ("f", "gone"), "ties": ("lost",)}, "table 'a': no columns ['gone', 'lost'], got ["),
        ({"columns": ("feature_at",)}, "output columns ['a__feature_at'] would be there twice"),
        ({"defaults": {"f": 1.0}}, "table 'a': got defaults, expected none without published_days"),
        ({"published_days": ()}, "table 'a': no columns ['ds'], got ["),
    ],
)
def test_point_in_time_join_refuses_what_does_not_fit_before_any_job(spark, change, message):
    rows = frame(spark, [], AS_OF)
    arguments = {"name": "a", "rows": rows, "keys": ("user_id",), "columns": ("f",)} | change
    tables = arguments.pop("tables", None)
    at = arguments.pop("at", "label_at")
    with pytest.raises(PointInTimeError) as refusal:
        point_in_time_join(
            frame(spark, [], LABELS), [FeatureTable(**arguments)] if tables is None else tables, at
        )
    assert message in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_point_in_time_join_refuses_names_that_collide(spark):
    feature_table = FeatureTable("a", frame(spark, [], AS_OF), ("user_id",), ("f",))
    labels = frame(spark, [], LABELS)
    for label_frame, tables in (
        (labels, [feature_table, feature_table]),
        (labels.withColumnRenamed("ds", "A__f"), [feature_table]),
    ):
        with pytest.raises(PointInTimeError, match="would be there twice, expected different names"):
            point_in_time_join(label_frame, tables)
