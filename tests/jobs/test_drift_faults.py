"""Faults of a night each raise their own alert and no other; quiet months raise none. Without Spark."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.verdict import Result
from jobs.catalogue.inventory import Inventory
from jobs.health.alerts import settle_alerts, update_alerts
from jobs.health.drift import describe_verdicts
from jobs.health.drift_settings import DriftSettings
from jobs.health.examine import examine
from jobs.health.indicators import WRONG
from jobs.health.judgement import judge_table
from jobs.health.root import Root
from jobs.publishing.records import append_results
from jobs.publishing.warehouse import Warehouse
from reference.batches import batch
from reference.laid_days import DayHistories, lay_days, lay_table, list_histories
from reference.listening_days import TABLES, ListeningDays
from reference.published import lay
from schemas import CONTRACTS
from segue.releases import TableVersion, append_release

# Of 120 days the last one is spoiled, and a day follows it.
LAST = 119
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PROMISES = {"plays": 12 * HOUR, "releases": 36 * HOUR}


@pytest.fixture(scope="module")
def quiet():
    return DayHistories(ListeningDays())


def test_quiet_months_with_weeks_and_growth_raise_no_alarm(quiet):
    """The last 30 of 120 days; `benchmarks/drift_alarms.py` has more tables, and real histories."""
    alarms = []
    for n in range(LAST - 29, LAST + 1):
        for table in ("plays", "user_features", "candidates"):
            alarms += [
                (n, table, each.what) for each in judge_table(quiet.read(table, n), DriftSettings()).news
            ]
    assert len(alarms) <= 1, alarms


# --- faults of the plays of a day: what is made of them has them too


def keep(arrays, rows):
    return {name: each[rows] for name, each in arrays.items()}


def lose_the_afternoon(arrays, random):
    return keep(arrays, arrays["minute"] < 15 * 60)


def send_seconds(arrays, random):
    return arrays | {"ms_played": (arrays["ms_played"] / 1000).round()}


def shift_the_zone(arrays, random):
    return arrays | {"minute": (arrays["minute"] + 10 * 60) % (24 * 60)}


def lose_the_times(arrays, random):
    return arrays | {"minute": arrays["minute"] * 0}


def add_a_value(arrays, random):
    return arrays | {"more_sources": (random.random(len(arrays["user"])) < 0.15).astype(int)}


def send_twice(arrays, random):
    return {name: np.concatenate([each, each]) for name, each in arrays.items()}


def lose_a_source(arrays, random):
    return keep(arrays, arrays["source"] != 0)


def lose_a_small_source(arrays, random):
    return keep(arrays, arrays["source"] != 2)


def lose_durations(arrays, random):
    return arrays | {
        "ms_played": np.where(random.random(len(arrays["user"])) < 0.5, np.nan, arrays["ms_played"])
    }


def lose_skips(arrays, random):
    return arrays | {"skipped": arrays["skipped"] & False}


def add_a_bot(arrays, random):
    count = len(arrays["user"])
    bot = {name: each[random.integers(0, count, int(0.7 * count))] for name, each in arrays.items()}
    return {name: np.concatenate([each, bot[name]]) for name, each in arrays.items()} | {
        "user": np.concatenate([arrays["user"], np.zeros(len(bot["user"]), int)])
    }


PLAY_FAULTS = {
    lose_the_afternoon: "volume plays",
    send_seconds: "drift plays",
    shift_the_zone: "drift plays",
    lose_the_times: "drift plays",
    add_a_value: "drift plays",
    send_twice: "volume plays",
    lose_a_source: "volume plays",
    lose_a_small_source: "drift plays",
    lose_durations: "nulls plays",
    lose_skips: "drift plays",
    add_a_bot: "volume plays",
}

# --- faults of one table


def change(column, values):
    """`values` of the numbers of a column, and random ones of 0 to 1."""

    def apply(rows):
        chance = np.random.default_rng(7).random(len(rows))
        array = pa.array(values(rows[column].to_numpy(), chance))
        return rows.set_column(rows.column_names.index(column), column, array)

    return apply


def lose_rows(rows):
    return rows.slice(0, len(rows) // 2)


def lose_listeners(rows):
    """A join that finds half of them."""
    numbers = pc.cast(pc.utf8_slice_codeunits(rows["user_id"], 1), pa.int64())
    return rows.filter(pc.equal(pc.bit_wise_and(numbers, 1), 0))


TABLE_FAULTS = {
    "a join that lost listeners": ("sessions", lose_listeners, "volume sessions"),
    "completion in percent": ("sessions", change("completion", lambda v, u: 100 * v), "drift sessions"),
    "all are bots": ("sessions", change("is_bot", lambda v, u: u < 0.4), "drift sessions"),
    "a feature three times": (
        "user_features",
        change("ms_played_sum_7d", lambda v, u: 3 * v),
        "drift user_features",
    ),
    "a feature of zeros": (
        "user_features",
        change("plays_count_7d", lambda v, u: 0 * v),
        "drift user_features",
    ),
    "a feature of NaN": (
        "user_features",
        change("skips_rate_7d", lambda v, u: np.where(u < 0.4, np.nan, v)),
        "nulls user_features",
    ),
    "half of the rows": ("user_features", lose_rows, "volume user_features"),
    "few candidates": ("candidates", change("track_ids", lambda v, u: np.minimum(v, 10)), "drift candidates"),
    "long vectors": ("track_embeddings", change("norm", lambda v, u: 10 * v), "drift track_embeddings"),
    "few tracks that were learned": (
        "track_embeddings",
        change("source", lambda v, u: np.where(u < 0.5, "none", v)),
        "drift track_embeddings",
    ),
    "a codebook of one code": (
        "semantic_codebooks",
        change("tracks", lambda v, u: np.where(np.arange(32) % 16, 0, 400)),
        "drift semantic_codebooks",
    ),
}

# --- on a root


@pytest.fixture(scope="module")
def base(quiet, tmp_path_factory):
    """A root of quiet days, its newest release, and 28 trainings."""
    root = tmp_path_factory.mktemp("days") / "root"
    warehouse = Warehouse(str(root))
    histories = list_histories(quiet, LAST)
    release(root, lay_days(warehouse, histories), histories[0].day)
    lay_trainings(warehouse, quiet.world.day(LAST), 0.15, 0.7)
    return root


def release(root, versions, day, **changes):
    entries = {table: TableVersion(version, 1, f"{version:016x}") for table, version in versions.items()}
    entries |= {table: replace(entries[table], **each) for table, each in changes.items()}
    return append_release(root, day, entries)


def lay_trainings(warehouse, last, hits, overlap, count=28):
    random, rows = np.random.default_rng(5), []
    for n in range(count):
        metrics = [
            {"name": name, "of": "this", "segment": "gate", "value": value * random.normal(1, 0.03)}
            for name, value in (("next.hr@10", hits), ("overlap@10", overlap))
        ]
        about = {"version_id": f"v{last}-{n}", "start": "warm", "metrics": metrics}
        rows += [row | {"ds": last - n * DAY} for row in batch(CONTRACTS["embedding_versions"], 1, **about)]
    lay(warehouse, "embedding_versions", rows)


@pytest.fixture
def root(base, tmp_path):
    def copy(source, target):
        return os.link(source, target) if source.endswith(".parquet") else shutil.copyfile(source, target)

    return shutil.copytree(base, tmp_path / "root", copy_function=copy)


def measure(root, last=LAST, **changes):
    """At five in the morning, an hour after the release, if nothing else is said."""
    day = ListeningDays().day(last) + DAY
    now = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
    inventory = Inventory(str(root), now=now)
    released_at = changes.pop("released_at", now - HOUR)
    inventory.releases = [replace(each, released_at=released_at) for each in inventory.releases[:1]]
    return examine(Root(inventory, PROMISES, **changes))


def list_wrong(indicators):
    return [each.key for each in indicators if each.status == WRONG]


def lay_fault(root, quiet, world, last=LAST):
    """The tables that differ from those of quiet days, published once more; what health then says is wrong."""
    days, warehouse = quiet.with_fault(world), Warehouse(str(root))
    changed = [
        days.read(table, last) for table in TABLES if days.profile(table, last) != quiet.profile(table, last)
    ]
    versions = {table: warehouse.table(table).version() for table in TABLES}
    release(root, versions | lay_days(warehouse, changed, 2), world.day(last))
    return measure(root, last)


def test_a_quiet_day_raises_nothing(root):
    indicators = measure(root)
    assert list_wrong(indicators) == []
    assert [each.what for each in indicators if each.key == "drift tables"] == [
        "7 of 7 tables have profiles of days to be compared with"
    ]


def judge_fault(quiet, tmp_path, plays_change=None, **changes):
    """What is wrong with the last day of all tables, by what health would read of them."""
    days = quiet.with_fault(quiet.world.with_fault(LAST, plays_change, **changes))
    histories = list_histories(days, LAST)
    verdicts = {each.table: judge_table(each, DriftSettings()) for each in histories}
    root = Root(Inventory(str(tmp_path)))
    return list_wrong(describe_verdicts(root, {each.table: each.day for each in histories}, verdicts))


@pytest.mark.parametrize("fault", PLAY_FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_plays_is_one_alert(quiet, tmp_path, fault):
    assert judge_fault(quiet, tmp_path, fault) == [PLAY_FAULTS[fault]]


@pytest.mark.parametrize("name", TABLE_FAULTS)
def test_a_fault_of_a_table_is_one_alert(quiet, tmp_path, name):
    table, apply, expected = TABLE_FAULTS[name]
    assert judge_fault(quiet, tmp_path, **{table: apply}) == [expected]


def test_a_day_once_more_is_one_alert(quiet, tmp_path):
    rows = quiet.world.table("user_features", LAST - 1)
    day = pa.array([quiet.world.day(LAST)] * len(rows))
    again = rows.set_column(rows.column_names.index("ds"), "ds", day)
    assert judge_fault(quiet, tmp_path, user_features=lambda rows: again) == ["frozen user_features"]


@pytest.mark.parametrize(("hits", "overlap"), [(0.05, 0.7), (0.15, 0.2)])
def test_a_training_that_is_worse_than_its_month_is_one_alert(root, quiet, hits, overlap):
    lay_trainings(Warehouse(str(root)), quiet.world.day(LAST) + DAY, hits, overlap, 1)
    assert list_wrong(measure(root)) == ["drift track_embeddings"]


def refuse(root, day):
    about = {"run_id": "run-9", "attempt_id": "a9", "table_name": "user_features", "batch_id": "b-9"}
    about |= {"first_ds": day, "last_ds": day, "rows": 7, "outcome": "refused"}
    append_results(
        Warehouse(str(root)), about, [Result("expect_x", "x", "critical", False, "seen", "wanted")]
    )


def send_late(root, day):
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = batch(CONTRACTS["late_plays"], 400, played_at=moment - 20 * DAY, arrived_at=moment, ds=day)
    lay(Warehouse(str(root)), "late_plays", rows)


def tear(root, day):
    log = sorted((root / "tables" / "user_features" / "_delta_log").glob("*.json"))[-1]
    log.write_text(log.read_text()[:50])


def find_versions(root):
    return {table: Warehouse(str(root)).table(table).version() for table in TABLES}


def deliver_half(root, day):
    """One of several sources has said nothing yet of the afternoon."""
    noon = datetime(day.year, day.month, day.day, 11, tzinfo=UTC)
    warehouse = Warehouse(str(root))
    rows = {each: state.rows for each, state in warehouse.state("plays").day_states.items()}
    version = lay_table(warehouse, "plays", rows | {day: rows[day] // 2}, through=noon)
    release(root, find_versions(root) | {"plays": version}, day, plays={"complete_through": noon})


def carry(root, day):
    release(root, find_versions(root), day, user_features={"lag_days": 5})


ROOT_FAULTS = {
    refuse: "refused user_features",
    send_late: "late late_plays",
    tear: "unreadable user_features",
    deliver_half: "stale plays",
    carry: "lag user_features",
}


@pytest.mark.parametrize("fault", ROOT_FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_the_night_is_one_alert(root, quiet, fault):
    fault(root, quiet.world.day(LAST))
    assert list_wrong(measure(root)) == [ROOT_FAULTS[fault]]


def test_a_release_that_is_stuck_is_one_alert(root, quiet):
    released_at = datetime.combine(quiet.world.day(LAST) - DAY, datetime.min.time(), UTC)
    assert list_wrong(measure(root, released_at=released_at)) == ["stale releases"]


def test_a_day_of_which_rows_were_retracted_is_not_compared_by_what_it_had(root, quiet):
    """Its profile counts the plays that were taken out, beside those that were sent again."""
    world = quiet.world.with_fault(LAST, send_seconds)
    assert lay_fault(root, quiet, world) and list_wrong(measure(root)) == ["drift plays"]
    warehouse = Warehouse(str(root))
    rows = {day: each.rows for day, each in warehouse.state("plays").day_states.items()}
    day = world.day(LAST)
    for share, expected in ((0.95, ["drift plays"]), (0.8, [])):
        version = lay_table(warehouse, "plays", rows | {day: round(share * rows[day])})
        release(root, find_versions(root) | {"plays": version}, day)
        # what is made of plays is of the same fault, and has an alert of its own once plays have none
        assert [key for key in list_wrong(measure(root)) if "plays" in key] == expected


# --- what becomes of an alert


@pytest.mark.parametrize("fault", [send_twice, lose_durations])
def test_an_alert_is_sent_once_and_is_over_with_the_next_good_day(root, quiet, fault):
    world = quiet.world.with_fault(LAST, fault)
    now = datetime(2026, 7, 1, 5, tzinfo=UTC)
    alerts = update_alerts([], lay_fault(root, quiet, world), now)
    assert [each.key for each in alerts if each.is_due] == [PLAY_FAULTS[fault]]
    alerts = update_alerts(settle_alerts(alerts), measure(root), now + HOUR)
    assert not any(each.is_due for each in alerts)
    days, warehouse = quiet.with_fault(world), Warehouse(str(root))
    versions = lay_days(warehouse, list_histories(days, LAST + 1), 3)
    release(root, versions, world.day(LAST + 1))
    alerts = update_alerts(alerts, measure(root, LAST + 1), now + DAY)
    assert [(each.key, each.ended is not None) for each in alerts] == [(PLAY_FAULTS[fault], True)]


@pytest.mark.parametrize("weeks", [1, 4])
def test_a_good_day_is_not_wrong_because_it_is_compared_with_a_bad_one(quiet, weeks):
    days = quiet.with_fault(quiet.world.with_fault(LAST - 7 * weeks, send_seconds))
    verdict = judge_table(days.read("plays", LAST), DriftSettings())
    assert not verdict.news
