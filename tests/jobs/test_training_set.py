"""Training sets of the made-up world, against plain Python and against the client without Spark."""

from __future__ import annotations

import argparse
import json
import random
import shutil
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
from jobs.training import manifest, rederive, request
from jobs.training.manifest import load
from jobs.training.request import Request
from reference.flows import DAYS, FIRST
from reference.point_in_time import PublishedDay, Table, joined
from reference.rows import assert_same, same
from reference.windows import by_entity, value
from schemas import CONTRACTS, FEATURE_GROUPS
from schemas.declarations import Feature

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
    ]
)
US = timedelta(microseconds=1)


def labels_of(plays):
    """Around plays of an early and of the newest day, around midnights, for strangers and for nobody; some twice."""
    drawn = random.Random(7)
    played = [*plays[:40], *plays[-10:]]
    instants = [play["played_at"] + off for play in played for off in (-US, timedelta(0), US)]
    at_plays = len(instants)
    midnight = datetime.combine(FIRST + timedelta(days=3), time(), UTC)
    instants += [midnight + off for off in (-US, timedelta(0), US)] * 5
    rows = []
    for n, at in enumerate(instants):
        play = played[n // 3] if n < at_plays else drawn.choice(plays)
        rows.append({name: play[name] for name in ("user_id", "track_id", "artist_id")} | {"label_at": at})
    rows += [
        rows[0],
        rows[3] | {"user_id": "nobody"},
        rows[4] | {"user_id": None},
        rows[5] | {"artist_id": None},
    ]
    last = max(play["played_at"] for play in plays)
    return [row | {"clicked": n % 2, "n": n} for n, row in enumerate(rows) if row["label_at"] <= last]


def refs(asked):
    return [f"{table}:{column}" for table, columns in asked.items() for column in columns]


@pytest.fixture(scope="module")
def made(night, tmp_path_factory):
    """One training set with features of every kind."""
    folder = tmp_path_factory.mktemp("training")
    plays = sorted(night.released("sessions"), key=lambda row: (row["played_at"], row["play_id"]))
    labels = labels_of(plays[len(plays) // 4 :])
    pq.write_table(pa.Table.from_pylist(labels, SCHEMA), folder / "labels.parquet")
    arguments = ["--labels", str(folder / "labels.parquet"), "--out", str(folder / "set")]
    asked = ["--features", *refs(DAILY), "user_track_features", "--at-label-time", *refs(EXACT)[3:]]
    assert build_training_set.main(["--root", night.root, *arguments, *asked]) == 0
    return folder, labels, plays


def rows_in(path):
    return pq.ParquetDataset(path).read().to_pylist()


def table_of(night, name, columns):
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


def exactly(label, plays, name, columns):
    """Each value from all plays of the label's keys, as of its own instant."""
    group = next(group for group in FEATURE_GROUPS if group.table == name)
    keys = tuple(label[key] for key in group.keys)
    mine = by_entity((p for p in plays if tuple(p[k] for k in group.keys) == keys), group).get(keys, [])
    for feature in group.features:
        for window in feature.windows:
            if feature.name(window) in columns:
                found = value(mine, feature, window, label["label_at"])
                found = feature.empty_value if found is None else found
                yield f"{name}__{feature.name(window)}", None if None in keys else found


def test_daily_features_are_what_held_at_each_instant(night, made):
    folder, labels, plays = made
    wanted = joined(labels, [table_of(night, name, columns) for name, columns in DAILY.items()])
    found = rows_in(folder / "set")
    names = list(wanted[0])
    assert_same(wanted, [{name: row[name] for name in names} for row in found], ("n",), plays, "user_id")


def test_exact_windows_end_at_the_instant_itself(made):
    folder, labels, plays = made
    found = {row["n"]: row for row in rows_in(folder / "set")}
    compared = 0
    for label in labels:
        for name, columns in EXACT.items():
            for column, expected in exactly(label, plays, name, columns):
                got = found[label["n"]][column]
                assert same(expected, got), f"label {label}: {column} expected {expected!r}, got {got!r}"
                compared += expected not in (None, 0, 0.0)
    assert compared > 100, "nearly all expected values are nothing: this shows little"


def test_the_client_gives_the_same_rows_without_spark(night, made):
    folder, labels, plays = made
    table = segue.open(night.root).training_set(pa.Table.from_pylist(labels, SCHEMA), refs(DAILY))
    found = rows_in(folder / "set")
    wanted = [{name: row[name] for name in table.column_names} for row in found]
    assert_same(wanted, table.to_pylist(), ("n",), plays, "user_id")


def test_the_manifest_says_what_it_was_made_of_and_a_replay_gives_the_same_rows(
    night, made, tmp_path, capsys
):
    folder, labels, _ = made
    saved = json.loads((folder / "set" / "_manifest.json").read_text())
    assert (saved["rows"], saved["release"]) == (len(labels), segue.open(night.root).release)
    assert (
        saved["tables"]["user_features"]["version"] == segue.open(night.root).tables["user_features"].version
    )
    found = rows_in(folder / "set")
    column = "track_features__plays_count_30d"
    assert saved["nulls"][column] == sum(row[column] is None for row in found) / len(found)
    again = ["--root", night.root, "--replay", str(folder / "set"), "--out", str(tmp_path / "again")]
    assert build_training_set.main([*again, "--format", "delta"]) == 0
    assert load(str(tmp_path / "again")).content_hash == saved["content_hash"]
    assert "the same as" in capsys.readouterr().out


def test_a_sample_made_again_from_plays_is_the_same_and_a_spoiled_value_is_seen(
    night, made, tmp_path, capsys
):
    arguments = ["--root", night.root, "--sample", "40", "--training-set"]
    assert segue_verify([*arguments, str(made[0] / "set")]) == 0, capsys.readouterr().out
    assert "all are what the definition says" in capsys.readouterr().out
    table = pq.ParquetDataset(made[0] / "set").read()
    column = "user_features__plays_count_7d"
    spoiled = table.set_column(table.column_names.index(column), column, pc.add(table[column], 1))
    (tmp_path / "spoiled").mkdir()
    pq.write_table(spoiled, tmp_path / "spoiled" / "rows.parquet")
    shutil.copy(made[0] / "set" / "_manifest.json", tmp_path / "spoiled")
    assert segue_verify([*arguments, str(tmp_path / "spoiled")]) == 1
    assert column in capsys.readouterr().out


def segue_verify(arguments):
    parser = argparse.ArgumentParser()
    verify.configure(parser)
    return verify.run(parser.parse_args(arguments))


def changed(made, tmp_path, **overrides):
    """A manifest that says something else."""
    saved = json.loads((made[0] / "set" / "_manifest.json").read_text())
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**saved, **overrides}))
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
        ({"content_hash": "0" * 16}, JobError, "the replay holds"),
    ],
)
def test_a_replay_that_is_not_the_same_says_so(night, made, tmp_path, overrides, error, message):
    arguments = ["--root", night.root, "--out", str(tmp_path / "out")]
    with pytest.raises(error, match=message):
        build_training_set.main([*arguments, "--replay", changed(made, tmp_path, **overrides)])


def declare(monkeypatch, groups):
    """Other feature groups, wherever a training set looks for them."""
    for module in (manifest, request, rederive):
        monkeypatch.setattr(module, "FEATURE_GROUPS", groups)


def test_replay_gives_the_same_rows_after_features_were_declared_and_prose_changed(
    night, made, tmp_path, monkeypatch, capsys
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
    declare(monkeypatch, others)
    arguments = ["--root", night.root, "--replay", str(made[0] / "set"), "--out", str(tmp_path / "again")]
    assert build_training_set.main(arguments) == 0, (
        "a whole table asked for means the columns that it had then"
    )
    assert load(str(tmp_path / "again")).content_hash == load(str(made[0] / "set")).content_hash


def test_replay_reads_daily_values_of_a_feature_that_is_declared_no_more(
    night, made, tmp_path, monkeypatch, capsys
):
    declare(monkeypatch, tuple(group for group in FEATURE_GROUPS if group.table != "track_features"))
    arguments = ["--root", night.root, "--replay", str(made[0] / "set"), "--out", str(tmp_path / "again")]
    assert build_training_set.main(arguments) == 0
    assert (
        segue_verify(["--root", night.root, "--sample", "5", "--training-set", str(tmp_path / "again")]) == 0
    )
    assert "track_features" not in capsys.readouterr().out.split("the same as")[1], (
        "nothing says how to compute it"
    )


def test_replay_refuses_a_feature_at_label_time_that_is_declared_no_more(night, made, tmp_path, monkeypatch):
    fewer = tuple(
        replace(group, features=tuple(f for f in group.features if f.op != "trend"))
        for group in FEATURE_GROUPS
    )
    declare(monkeypatch, fewer)
    arguments = ["--root", night.root, "--replay", str(made[0] / "set"), "--out", str(tmp_path / "again")]
    release = load(str(made[0] / "set")).release
    with pytest.raises(WrongUsage, match=f"no more: artist_features:plays_trend_7d; .* of release {release}"):
        build_training_set.main(arguments)
    assert not (tmp_path / "again").exists()


def test_verify_leaves_out_what_is_declared_otherwise_by_now(night, made, tmp_path, capsys):
    (tmp_path / "set").mkdir()
    for file in (made[0] / "set").glob("*.parquet"):
        shutil.copy(file, tmp_path / "set")
    saved = json.loads((made[0] / "set" / "_manifest.json").read_text())
    ref = "user_features:plays_count_7d"
    assert ref in saved["identities"]
    saved["identities"][ref] = "0" * 16
    (tmp_path / "set" / "_manifest.json").write_text(json.dumps(saved))
    assert segue_verify(["--root", night.root, "--sample", "5", "--training-set", str(tmp_path / "set")]) == 0
    assert f"declared otherwise by now or no more: {ref}\n" in capsys.readouterr().out


def test_a_manifest_with_a_hash_of_all_declarations_is_replayed(night, made, tmp_path):
    """As those were written: no new feature must keep them from being made again."""
    path = changed(made, tmp_path, declarations="0123456789abcdef", identities={})
    arguments = ["--root", night.root, "--replay", path, "--out", str(tmp_path / "again")]
    assert build_training_set.main(arguments) == 0


def test_a_manifest_of_before_asks_for_the_same_under_its_old_names():
    saved = {"labels": "l", "exact": ["user_features:plays_count_7d"], "known": True, "instants": []}
    loaded = Request.loads(saved)
    assert (loaded.at_label_time, loaded.as_published) == (("user_features:plays_count_7d",), True)
    assert Request.loads(json.loads(json.dumps(asdict(loaded)))) == loaded


def test_what_is_too_old_is_null_and_counted(night, made, tmp_path):
    labels = made[1]
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
    old_set, found = load(str(tmp_path / "set")), rows_in(tmp_path / "set")
    assert old_set.lost_to_max_age == {"user_features": 0.5}
    old = [row for row in found if row["label_at"] - row["user_features__feature_at"] > timedelta(days=3)]
    assert len(old) == len(labels)
    assert {row["user_features__plays_count_7d"] for row in old} == {None}


def test_splits_by_time_and_entity_do_not_leak(night, made, tmp_path):
    folder, labels, _ = made
    begins = sorted(label["label_at"] for label in labels)[len(labels) * 2 // 3]
    arguments = ["--labels", str(folder / "labels.parquet"), "--out", str(tmp_path / "set")]
    splits = ["--split-at", begins.isoformat(), "--split-by", "user_id", "--shares", "0.5", "0.5"]
    asked = ["--features", "user_features:plays_count_7d"]
    build_training_set.main(["--root", night.root, *arguments, *splits, *asked])
    found = rows_in(tmp_path / "set")
    assert {row["split"] for row in found} == {"train", "test"}
    train = [row for row in found if row["split"] == "train"]
    assert max(row["label_at"] for row in train) < begins
    held_out = {r["user_id"] for r in found if r["split"] == "test" and r["label_at"] < begins}
    assert held_out and not held_out & {row["user_id"] for row in train}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features", "user_featurs"], "no table 'user_featurs'"),
        (["--features", "user_features:plays"], "has no 'plays'"),
        (["--features", "user_features", "--at", "when"], "no column 'when'"),
        (["--features", "user_features", "--at", "clicked"], "must be a timestamp"),
        (["--features", "user_track_features", "--as-published"], "never were"),
        (["--at-label-time", "user_features:tracks_distinct_7d"], "cannot be had at a label's own instant"),
        (["--features", "user_features", "--shares", "0.5", "0.5"], "go together"),
        (["--features", "user_features", "--split-at", "soon"], "--split-at"),
        ([], "--features"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(night, made, tmp_path, arguments, message):
    labels = ["--labels", str(made[0] / "labels.parquet"), "--out", str(tmp_path / "set")]
    with pytest.raises(WrongUsage, match=message):
        build_training_set.main(["--root", night.root, *labels, *arguments])
    assert not Path(tmp_path / "set").exists()


def test_labels_that_cannot_be_used_are_refused(night, made, tmp_path):
    folder, labels, _ = made
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
