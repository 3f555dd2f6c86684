"""Training sets of the made-up world, against plain Python and against the client without Spark."""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import segue
from jobs import build_training_set, verify
from jobs.errors import JobError, WrongUsage
from jobs.training import requests
from jobs.training.manifest import load
from jobs.training.request import Request
from reference import outcomes
from reference.flows import DAYS, FIRST, LAST
from reference.point_in_time import PublishedDay, Table, join
from reference.rows import assert_same, same
from reference.windows import by_entity, value
from schemas import CONTRACTS, FEATURE_GROUPS
from schemas.declarations import Feature
from segue.releases import open_release

DAILY = {
    "user_features": ("plays_count_7d", "artists_top_k_30d", "completion_mean_1d", "tracks_distinct_7d"),
    "track_features": ("plays_count_30d", "plays_hours_30d"),
    "track_embeddings": ("in_vector", "space_id"),
}
EXACT = {
    "user_track_features": ("plays_count_7d", "completion_mean_lifetime", "plays_decayed_7d"),
    "artist_features": (
        "plays_count_1d",
        "skips_rate_7d",
        "plays_trend_7d",
        "plays_days_since_first_lifetime",
    ),
}
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("label_at", pa.timestamp("us", "UTC")),
        ("track_id", pa.string()),
        ("artist_id", pa.string()),
        ("clicked", pa.int64()),
        ("n", pa.int64()),
        # to Spark, a field of `item`
        ("item.price", pa.float64()),
    ]
)
US = timedelta(microseconds=1)


def make_labels(plays):
    """Around plays of an early and of the newest day, around midnights, for strangers and for nobody; some twice."""
    rng = random.Random(7)
    sample = [*plays[:40], *plays[-10:]]
    instants = [play["played_at"] + offset for play in sample for offset in (-US, timedelta(0), US)]
    at_plays = len(instants)
    midnight = datetime.combine(FIRST + timedelta(days=3), time(), UTC)
    instants += [midnight + offset for offset in (-US, timedelta(0), US)] * 5
    rows = []
    for n, at in enumerate(instants):
        play = sample[n // 3] if n < at_plays else rng.choice(plays)
        rows.append({name: play[name] for name in ("user_id", "track_id", "artist_id")} | {"label_at": at})
    rows += [
        rows[0],
        rows[3] | {"user_id": "nobody"},
        rows[4] | {"user_id": None},
        rows[5] | {"artist_id": None},
    ]
    last = max(play["played_at"] for play in plays)
    return [
        row | {"clicked": n % 2, "n": n, "item.price": n / 2}
        for n, row in enumerate(rows)
        if row["label_at"] <= last
    ]


def list_references(columns_by_table):
    return [f"{table}:{column}" for table, columns in columns_by_table.items() for column in columns]


@pytest.fixture(scope="module")
def training_set(night, tmp_path_factory):
    """One training set with features of every kind."""
    folder = tmp_path_factory.mktemp("training")
    plays = sorted(night.released("sessions"), key=lambda row: (row["played_at"], row["play_id"]))
    labels = make_labels(plays[len(plays) // 4 :])
    pq.write_table(pa.Table.from_pylist(labels, SCHEMA), folder / "labels.parquet")
    arguments = ["--labels", str(folder / "labels.parquet"), "--out", str(folder / "set")]
    features = [
        "--features",
        *list_references(DAILY),
        "user_track_features",
        "--at-label-time",
        *list_references(EXACT)[3:],
    ]
    assert build_training_set.main(["--root", night.root, *arguments, *features]) == 0
    return folder, labels, plays


@pytest.fixture(scope="module")
def daily_set(night, training_set, tmp_path_factory):
    """The same labels with two daily features: what a replay compares and refuses is the same for any."""
    folder = tmp_path_factory.mktemp("daily")
    arguments = ["--root", night.root, "--labels", "labels.parquet", "--out", str(folder / "set")]
    features = ["user_features:plays_count_7d", "track_features:plays_count_30d"]
    with contextlib.chdir(training_set[0]):  # replays are run from another folder
        assert build_training_set.main([*arguments, "--features", *features]) == 0
    return folder, *training_set[1:]


def read_rows(path):
    return pq.ParquetDataset(path).read().to_pylist()


def make_table(night, name, columns):
    rows = night.released(name)
    available = {ds: max(r["available_at"] for r in rows if r["ds"] == ds) for ds in {r["ds"] for r in rows}}
    contract = CONTRACTS[name]
    return Table(
        name,
        rows,
        tuple(key for key in contract.key if key != "ds"),
        columns,
        published_days=tuple(PublishedDay(ds, at) for ds, at in sorted(available.items())),
        defaults={c: d for c in columns if (d := contract.column(c).default) is not None},
    )


def compute_exact_values(label, plays, name, columns):
    """Each value from all plays of the label's keys, as of its own instant."""
    group = next(group for group in FEATURE_GROUPS if group.table == name)
    keys = tuple(label[key] for key in group.keys)
    entity_plays = by_entity((p for p in plays if tuple(p[k] for k in group.keys) == keys), group).get(
        keys, []
    )
    for feature in group.features:
        for window in feature.windows:
            if feature.name(window) in columns:
                result = value(entity_plays, feature, window, label["label_at"])
                result = feature.empty_value if result is None else result
                yield f"{name}__{feature.name(window)}", None if None in keys else result


def test_build_training_set_joins_daily_features_as_of_each_label(night, training_set):
    folder, labels, plays = training_set
    expected = join(labels, [make_table(night, name, columns) for name, columns in DAILY.items()])
    actual = read_rows(folder / "set")
    names = list(expected[0])
    assert_same(expected, [{name: row[name] for name in names} for row in actual], ("n",), plays, "user_id")


def test_build_training_set_at_label_time_ends_windows_at_the_label(training_set):
    folder, labels, plays = training_set
    rows_by_n = {row["n"]: row for row in read_rows(folder / "set")}
    comparisons = 0
    for label in labels:
        for name, columns in EXACT.items():
            for column, expected in compute_exact_values(label, plays, name, columns):
                actual = rows_by_n[label["n"]][column]
                assert same(expected, actual), (
                    f"label {label}: {column} expected {expected!r}, got {actual!r}"
                )
                comparisons += expected not in (None, 0, 0.0)
    assert comparisons > 100, "nearly all expected values are nothing: this shows little"


# The last day is delivered up to here, so labels of the day before it ripen in its morning or do not.
THROUGH = datetime.combine(LAST, time(9, 30), UTC)
OUTCOMES = {
    "user_track_features": (
        "plays_count_1d",
        "plays_count_2d",
        "completion_mean_2d",
        "plays_days_since_last_2d",
    ),
    # of which a trend waits twice as long
    "artist_features": ("skips_rate_1d", "listeners_distinct_1d", "plays_trend_1d"),
}


@pytest.fixture(scope="module")
def outcomes_set(night, tmp_path_factory):
    """A sample of the plays with what came of them, by a release whose last day is provisional."""
    folder = tmp_path_factory.mktemp("outcomes")
    release = open_release(night.root)
    tables = {name: replace(entry, complete_through=THROUGH) for name, entry in release.tables.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_training_set, "open_release", lambda *_: replace(release, tables=tables))
        labels = ["--root", night.root, "--labels", "plays", "--sample", "0.4", "--provisional"]
        features = ["--features", "user_track_features:plays_count_7d"]
        request = [*features, "--outcomes", *list_references(OUTCOMES)]
        assert build_training_set.main([*labels, *request, "--out", str(folder / "set")]) == 0
        ripe = ["--ripe-only", "--outcomes", "user_track_features:plays_count_2d"]
        assert build_training_set.main([*labels, *ripe, "--out", str(folder / "ripe")]) == 0
        with pytest.raises(JobError, match=r"none of .* is ripe; events are complete through 2026"):
            ripe[-1] = "user_track_features:plays_count_7d"
            build_training_set.main([*labels, *ripe, "--out", str(folder / "none")])
    return folder


def define_outcomes(label, plays):
    """Values and statuses of a play, which is a label of its own instant, from all plays of its keys."""
    begin, end = (datetime.combine(day, time(), UTC) for day in (FIRST, LAST + timedelta(days=1)))
    for name, columns in OUTCOMES.items():
        group = next(group for group in FEATURE_GROUPS if group.table == name)
        keys = tuple(label[key] for key in group.keys)
        of_keys = by_entity((p for p in plays if tuple(p[k] for k in group.keys) == keys), group)
        for column in columns:
            what, _, horizon = column.rpartition("_")
            feature = next(f for f in group.features if f"{f.what}_{f.op}" == what)
            reach = "2d" if feature.op == "trend" else horizon
            status = outcomes.status(label["played_at"], reach, begin, end, THROUGH)
            value_then = outcomes.outcome(
                of_keys.get(keys, []), feature, horizon, label["played_at"], label["play_id"]
            )
            known = status == "ripe" and None not in keys
            yield f"{name}__{what}_next_{horizon}", value_then if known else None
            yield f"{name}__status_next_{reach}", status


def test_outcomes_are_of_the_time_after_each_play_and_null_before_that_is_over(night, outcomes_set):
    plays = night.released("sessions")
    rows = read_rows(outcomes_set / "set")
    by_id = {play["play_id"]: play for play in plays}
    assert 0.3 < len(rows) / len(plays) < 0.5 and {row["play_id"] for row in rows} <= by_id.keys()
    values = 0
    for row in rows:
        for column, expected in define_outcomes(row, plays):
            assert same(expected, row[column]), f"{row}: {column} expected {expected!r}"
            values += bool(expected) and "status" not in column
        ((_, before),) = compute_exact_values(
            row | {"label_at": row["played_at"]}, plays, "user_track_features", ("plays_count_7d",)
        )
        assert row["user_track_features__plays_count_7d"] == before
    assert values > 100, "nearly nobody came back, so this shows little"
    manifest = load(str(outcomes_set / "set"))
    assert manifest.label_rows == manifest.rows == len(rows)
    for column, of_status in manifest.ripeness.items():
        assert Counter(row[column] for row in rows) == +Counter(of_status)
        assert sum(of_status.values()) == len(rows) and of_status["ripe"] and of_status["unripe"]


def test_ripe_only_leaves_out_labels_of_which_an_outcome_is_not_known(outcomes_set):
    rows, status = read_rows(outcomes_set / "set"), "user_track_features__status_next_2d"
    whole, manifest = (load(str(outcomes_set / name)) for name in ("set", "ripe"))
    ripe = [{name: row[name] for name in manifest.columns} for row in rows if row[status] == "ripe"]
    assert_same(ripe, read_rows(outcomes_set / "ripe"), ("play_id",), rows, "user_id")
    assert manifest.ripeness == {status: whole.ripeness[status]}
    assert (manifest.rows, manifest.label_rows) == (len(ripe), len(rows))


SESSIONS = [
    "--labels",
    "sessions",
    "--groups",
    "session_id",
    "--sample",
    "0.5",
    "--provisional",
    "--ripe-only",
]
SPLITS = ["--split-by", "user_id", "--shares", "0.6", "0.4", "--split-salt", "s"]


@pytest.fixture(scope="module")
def requests_set(night, tmp_path_factory):
    """A sample of the sessions, whole, with what came of each play, by a release whose last day is provisional."""
    folder = tmp_path_factory.mktemp("requests")
    release = open_release(night.root)
    tables = {name: replace(entry, complete_through=THROUGH) for name, entry in release.tables.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_training_set, "open_release", lambda *_: replace(release, tables=tables))
        patch.setattr(requests, "ROWS_A_FILE", 40)
        columns = ["--features", "track_features:plays_count_30d"]
        columns += ["--outcomes", "user_track_features:plays_count_2d"]
        arguments = [
            "--root",
            night.root,
            *SESSIONS,
            *SPLITS,
            *columns,
            "--split-at",
            f"{LAST - timedelta(days=3)}",
        ]
        assert build_training_set.main([*arguments, "--out", str(folder / "set")]) == 0
    return folder / "set"


def test_requests_are_whole_in_files_row_groups_splits_and_among_ripe_labels(night, requests_set):
    files = sorted(requests_set.glob("*.parquet"))
    groups = [
        pq.ParquetFile(path)
        .read_row_group(n, columns=["session_id", "position", "split", "played_at"])
        .to_pylist()
        for path in files
        for n in range(pq.ParquetFile(path).num_row_groups)
    ]
    assert len(files) > 3
    places = [(row["session_id"], n) for n, rows in enumerate(groups) for row in rows]
    assert len(set(places)) == len({session for session, _ in places}), "a session is cut"
    for rows in groups:
        sessions = list(dict.fromkeys(row["session_id"] for row in rows))
        begin = {s: min(row["played_at"] for row in rows if row["session_id"] == s) for s in sessions}
        ordered = sorted(rows, key=lambda row: (begin[row["session_id"]], row["session_id"], row["position"]))
        assert rows == ordered
    assert len({(row["session_id"], row["split"]) for rows in groups for row in rows}) == len(set(places))
    # whole: as long as they were, and those that are left out are left out as a whole
    of_night = Counter(play["session_id"] for play in night.released("sessions"))
    kept = Counter(session for session, _ in places)
    assert all(of_night[session] == count for session, count in kept.items())
    counts = load(str(requests_set)).requests
    assert counts["kept"] == len(kept) and counts["left_out"] > 0
    assert 0.35 < (counts["kept"] + counts["left_out"]) / len(of_night) < 0.65


def test_requests_are_replayed_and_read_as_they_are_split(night, requests_set, tmp_path):
    with pytest.raises(WrongUsage, match="is written as --format parquet"):
        replay(night, requests_set, tmp_path, "--format", "delta")
    assert replay(night, requests_set, tmp_path) == 0
    label = "user_track_features__plays_count_next_2d"
    one, again = (segue.read_ranking_set(path, [label]) for path in (requests_set, tmp_path / "again"))
    assert one.rows.equals(again.rows) and one.sizes.tolist() == again.sizes.tolist()
    assert one.features == ("track_features__plays_count_30d",) and one.sizes.sum() == len(one.x) == len(
        one.y()
    )
    assert len(one.sizes) == load(str(requests_set)).requests["kept"] and not one.left_out
    # the hash and the rule of both halves
    at = datetime.combine(LAST - timedelta(days=3), time(), UTC)
    by_client = one.split([at], [0.6, 0.4], "s")
    for name, part in one.split().items():
        assert part.rows.equals(by_client[name].rows) and len(part.sizes) > 3, name
    with pytest.raises(segue.UsageError, match="no training set of requests"):
        segue.read_ranking_set(tmp_path, [label])


def test_outcomes_are_replayed_and_made_again_by_definition(night, outcomes_set, tmp_path, capsys):
    assert replay(night, outcomes_set / "set", tmp_path) == 0
    assert load(str(tmp_path / "again")).ripeness == load(str(outcomes_set / "set")).ripeness
    arguments = ["--root", night.root, "--sample", "40", "--training-set"]
    assert run_verify([*arguments, str(outcomes_set / "set")]) == 0, capsys.readouterr().out
    table = pq.ParquetDataset(outcomes_set / "set").read()
    column = "user_track_features__plays_count_next_1d"
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pc.add(table[column], 1)), tmp_path / "rows.parquet")
    shutil.copy(outcomes_set / "set" / "_manifest.json", tmp_path)
    shutil.rmtree(tmp_path / "again")
    assert run_verify([*arguments, str(tmp_path)]) == 1
    assert column in capsys.readouterr().out


def test_replay_refuses_an_outcome_that_is_declared_otherwise(night, outcomes_set, tmp_path):
    manifest = json.loads((outcomes_set / "set" / "_manifest.json").read_text())
    ref = "user_track_features:plays_count_2d"
    manifest["identities"][ref] = "0" * 16
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WrongUsage, match=f"declared otherwise by now or no more: {ref}; "):
        replay(night, tmp_path / "manifest.json", tmp_path)


def test_training_set_of_the_client_has_the_rows_of_spark(night, training_set):
    folder, labels, plays = training_set
    table = segue.open(night.root).training_set(pa.Table.from_pylist(labels, SCHEMA), list_references(DAILY))
    rows = read_rows(folder / "set")
    expected = [{name: row[name] for name in table.column_names} for row in rows]
    assert_same(expected, table.to_pylist(), ("n",), plays, "user_id")


def test_build_training_set_writes_a_manifest_that_a_replay_reproduces(night, training_set, tmp_path, capsys):
    folder, labels, _ = training_set
    manifest = json.loads((folder / "set" / "_manifest.json").read_text())
    assert (manifest["rows"], manifest["release"]) == (len(labels), segue.open(night.root).release)
    assert (
        manifest["tables"]["user_features"]["version"]
        == segue.open(night.root).tables["user_features"].version
    )
    rows = read_rows(folder / "set")
    column = "track_features__plays_count_30d"
    assert manifest["nulls"][column] == sum(row[column] is None for row in rows) / len(rows)
    arguments = ["--root", night.root, "--replay", str(folder / "set"), "--out", str(tmp_path / "again")]
    assert build_training_set.main([*arguments, "--format", "delta"]) == 0
    assert load(str(tmp_path / "again")).content_hash == manifest["content_hash"]
    assert "the same as" in capsys.readouterr().out


def test_verify_recomputes_a_sample_of_a_training_set_and_finds_a_changed_value(
    night, training_set, tmp_path, capsys
):
    arguments = ["--root", night.root, "--sample", "40", "--training-set"]
    assert run_verify([*arguments, str(training_set[0] / "set")]) == 0, capsys.readouterr().out
    assert "all are what the definition says" in capsys.readouterr().out
    table = pq.ParquetDataset(training_set[0] / "set").read()
    column = "user_features__plays_count_7d"
    changed_table = table.set_column(table.column_names.index(column), column, pc.add(table[column], 1))
    (tmp_path / "spoiled").mkdir()
    pq.write_table(changed_table, tmp_path / "spoiled" / "rows.parquet")
    shutil.copy(training_set[0] / "set" / "_manifest.json", tmp_path / "spoiled")
    assert run_verify([*arguments, str(tmp_path / "spoiled")]) == 1
    assert column in capsys.readouterr().out


def run_verify(arguments):
    parser = argparse.ArgumentParser()
    verify.configure(parser)
    return verify.run(parser.parse_args(arguments))


def write_changed_manifest(training_set, tmp_path, **overrides):
    """A manifest that says something else."""
    manifest = json.loads((training_set[0] / "set" / "_manifest.json").read_text())
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**manifest, **overrides}))
    return str(path)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"label_hash": "0" * 16}, JobError, "are not those of the manifest"),
        (
            {"identities": {"artist_features:plays_trend_7d": "0" * 16}},
            WrongUsage,
            "declared otherwise by now or no more: artist_features:plays_trend_7d; .* release",
        ),
    ],
)
def test_replay_refuses_a_manifest_that_differs(night, training_set, tmp_path, overrides, error, message):
    arguments = ["--root", night.root, "--out", str(tmp_path / "out")]
    with pytest.raises(error, match=message):
        build_training_set.main(
            [*arguments, "--replay", write_changed_manifest(training_set, tmp_path, **overrides)]
        )


def test_replay_takes_labels_from_where_they_are_by_now_and_refuses_rows_that_differ(
    night, daily_set, training_set, tmp_path
):
    request = json.loads((daily_set[0] / "set" / "_manifest.json").read_text())["request"]
    assert request["labels"] == str(training_set[0] / "labels.parquet"), "relative to nobody knows what"
    moved = request | {"labels": "moved.parquet"}
    path = write_changed_manifest(daily_set, tmp_path, content_hash="0" * 16, request=moved)
    with pytest.raises(WrongUsage, match=r"moved\.parquet cannot be read"):
        replay(night, path, tmp_path)
    with pytest.raises(JobError, match="the replay holds"):
        replay(night, path, tmp_path, "--labels", request["labels"])


def replay(night, manifest, tmp_path, *more):
    """The exit code; the set made again is `again`."""
    out = str(tmp_path / "again")
    return build_training_set.main(["--root", night.root, "--replay", str(manifest), "--out", out, *more])


def declare_groups(monkeypatch, groups):
    """Other feature groups, wherever a training set looks for them."""
    for module in ("manifest", "request", "rederive"):
        monkeypatch.setattr(f"jobs.training.{module}.FEATURE_GROUPS", groups)


def test_replay_gives_the_same_rows_after_features_were_declared_and_prose_changed(
    night, training_set, tmp_path, monkeypatch, capsys
):
    ten = tuple(Feature(f"extra{n}", "max", "ms_played", "ms", ("7d",)) for n in range(10))
    others = tuple(
        replace(
            group,
            owner="somebody else",
            features=(*ten, *[replace(feature, meaning="in other words") for feature in group.features]),
        )
        for group in FEATURE_GROUPS
    )
    declare_groups(monkeypatch, others)
    assert replay(night, training_set[0] / "set", tmp_path) == 0, (
        "a whole table asked for means the columns that it had then"
    )
    assert load(str(tmp_path / "again")).content_hash == load(str(training_set[0] / "set")).content_hash


def test_replay_reads_daily_values_of_a_feature_that_is_declared_no_more(
    night, daily_set, tmp_path, monkeypatch, capsys
):
    declare_groups(monkeypatch, tuple(group for group in FEATURE_GROUPS if group.table != "track_features"))
    assert replay(night, daily_set[0] / "set", tmp_path) == 0
    assert run_verify(["--root", night.root, "--sample", "5", "--training-set", str(tmp_path / "again")]) == 0
    assert "track_features" not in capsys.readouterr().out.split("the same as")[1], (
        "nothing says how to compute it"
    )


def test_replay_refuses_a_feature_at_label_time_that_is_declared_no_more(
    night, training_set, tmp_path, monkeypatch
):
    fewer = tuple(
        replace(group, features=tuple(f for f in group.features if f.op != "trend"))
        for group in FEATURE_GROUPS
    )
    declare_groups(monkeypatch, fewer)
    release = load(str(training_set[0] / "set")).release
    with pytest.raises(WrongUsage, match=f"no more: artist_features:plays_trend_7d; .* of release {release}"):
        replay(night, training_set[0] / "set", tmp_path)
    assert not (tmp_path / "again").exists()


def test_verify_leaves_out_what_is_declared_otherwise_by_now(night, training_set, tmp_path, capsys):
    (tmp_path / "set").mkdir()
    for file in (training_set[0] / "set").glob("*.parquet"):
        shutil.copy(file, tmp_path / "set")
    saved = json.loads((training_set[0] / "set" / "_manifest.json").read_text())
    ref = "user_features:plays_count_7d"
    assert ref in saved["identities"]
    saved["identities"][ref] = "0" * 16
    (tmp_path / "set" / "_manifest.json").write_text(json.dumps(saved))
    assert run_verify(["--root", night.root, "--sample", "5", "--training-set", str(tmp_path / "set")]) == 0
    assert f"declared otherwise by now or no more: {ref}\n" in capsys.readouterr().out


def test_replay_takes_a_manifest_with_a_hash_of_all_declarations(night, training_set, tmp_path):
    """As those were written: no new feature must keep them from being made again."""
    path = write_changed_manifest(training_set, tmp_path, declarations="0123456789abcdef", identities={})
    assert replay(night, path, tmp_path) == 0


def test_request_loads_the_old_names_of_its_fields():
    saved = {"labels": "l", "exact": ["user_features:plays_count_7d"], "known": True, "instants": []}
    request = Request.loads(saved)
    assert (request.at_label_time, request.as_published) == (("user_features:plays_count_7d",), True)
    assert Request.loads(json.loads(json.dumps(asdict(request)))) == request


def test_max_age_makes_older_features_null_and_counts_them(night, training_set, tmp_path):
    labels = training_set[1]
    later = [label | {"label_at": label["label_at"] + timedelta(days=10)} for label in labels]
    pq.write_table(pa.Table.from_pylist(later + labels, SCHEMA), tmp_path / "labels.parquet")
    arguments = [
        "--labels",
        str(tmp_path / "labels.parquet"),
        "--out",
        str(tmp_path / "set"),
        "--max-age",
        "3",
    ]
    build_training_set.main(["--root", night.root, *arguments, "--features", "user_features:plays_count_7d"])
    manifest, rows = load(str(tmp_path / "set")), read_rows(tmp_path / "set")
    assert manifest.lost_to_max_age == {"user_features": 0.5}
    old_rows = [row for row in rows if row["label_at"] - row["user_features__feature_at"] > timedelta(days=3)]
    assert len(old_rows) == len(labels)
    assert {row["user_features__plays_count_7d"] for row in old_rows} == {None}


def test_split_at_and_split_by_do_not_leak(night, training_set, tmp_path):
    folder, labels, _ = training_set
    split_at = sorted(label["label_at"] for label in labels)[len(labels) * 2 // 3]
    arguments = ["--labels", str(folder / "labels.parquet"), "--out", str(tmp_path / "set")]
    splits = ["--split-at", split_at.isoformat(), "--split-by", "user_id", "--shares", "0.5", "0.5"]
    features = ["--features", "user_features:plays_count_7d"]
    build_training_set.main(["--root", night.root, *arguments, *splits, *features])
    rows = read_rows(tmp_path / "set")
    assert {row["split"] for row in rows} == {"train", "test"}
    train = [row for row in rows if row["split"] == "train"]
    assert max(row["label_at"] for row in train) < split_at
    held_out = {r["user_id"] for r in rows if r["split"] == "test" and r["label_at"] < split_at}
    assert held_out and not held_out & {row["user_id"] for row in train}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features", "user_featurs"], "no table 'user_featurs'"),
        # before labels are looked for
        (["--features", "user_features:plays", "--labels", "nowhere.parquet"], "has no 'plays'"),
        (["--features", "user_features", "--at", "when"], "no column 'when'"),
        (["--features", "user_features", "--at", "clicked"], "must be a timestamp"),
        (["--features", "user_track_features", "--as-published"], "never were"),
        (["--at-label-time", "user_features:tracks_distinct_7d"], "cannot be had at a label's own instant"),
        (["--features", "user_features", "--shares", "0.5", "0.5"], "go together"),
        (["--features", "user_features", "--split-at", "soon"], "--split-at"),
        (["--features", "user_features", "--split-by", "user_id"], "go together"),
        (
            ["--features", "user_features", "--split-by", "user_id", "--shares", "nan", "1"],
            "add up to 1; got nan",
        ),
        (
            ["--features", "user_features", "--split-by", "split", "--shares", "0", "1"],
            "split: no such column",
        ),
        (["--features", "user_features", "--at", ""], "no column ''"),
        (
            ["--features", "user_features", "--at-label-time", "user_features:plays_count_7d"],
            "user_features__plays_count_7d would be there twice: --features has it as of a day",
        ),
        ([], "--features"),
        (
            ["--outcomes", "user_track_features:plays_streak_7d"],
            "no features 'plays_streak' of .* can look ahead; these can: plays_count, .* plays_decayed",
        ),
        (["--features", "user_features", "--ripe-only"], "--ripe-only is of --outcomes"),
        (
            ["--features", "user_features", "--sample", "1.5", "--sample-by", "user_id"],
            "--sample takes a share",
        ),
        (["--features", "user_features", "--sample", "0.5"], "needs --sample-by COLUMN"),
        (["--features", "user_features", "--sample-by", "user_id"], "is of --sample SHARE"),
    ],
)
def test_build_training_set_refuses_a_wrong_request(night, training_set, tmp_path, arguments, message):
    labels = ["--labels", str(training_set[0] / "labels.parquet"), "--out", str(tmp_path / "set")]
    with pytest.raises(WrongUsage, match=message):
        build_training_set.main(["--root", night.root, *labels, *arguments])
    assert not Path(tmp_path / "set").exists()


def test_build_training_set_refuses_keys_that_are_no_strings(night, training_set, tmp_path):
    rows = pa.table({"user_id": [7, 8], "label_at": [label["label_at"] for label in training_set[1][:2]]})
    pq.write_table(rows, tmp_path / "labels.parquet")
    labels = ["--labels", str(tmp_path / "labels.parquet"), "--out", str(tmp_path / "set")]
    for option in ("--features", "--at-label-time"):
        with pytest.raises(WrongUsage, match=r"user_features is looked up by strings, and user_id is bigint"):
            build_training_set.main(["--root", night.root, *labels, option, "user_features:plays_count_7d"])


def test_build_training_set_refuses_labels_that_cannot_be_used(night, training_set, tmp_path):
    folder, labels, _ = training_set
    late = [labels[0] | {"label_at": labels[0]["label_at"] + timedelta(days=DAYS)}]
    for rows, message in (
        ([labels[0] | {"label_at": None}, labels[1]], "1 of 2 have no 'label_at'"),
        ([], "there are none"),
        (late, "their windows would be too short"),
    ):
        path = tmp_path / f"{len(rows)}{message[:4]}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
        with pytest.raises(WrongUsage, match=message):
            build_training_set.main(
                [
                    "--root",
                    night.root,
                    "--labels",
                    str(path),
                    "--out",
                    str(tmp_path / "o"),
                    "--features",
                    "user_track_features",
                ]
            )
    with pytest.raises(WrongUsage, match="is there already"):
        build_training_set.main(
            ["--root", night.root, "--labels", str(path), "--out", str(folder), "--features", "user_features"]
        )
