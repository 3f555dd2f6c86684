"""The command behind `make demo`, whole, as a user runs it; what it shows is held to what the generator knows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pytest

import segue
from features.synthetic.world import World
from jobs.publishing.warehouse import Warehouse
from reference.group_tables import assert_tables_as_defined
from schemas import FEATURE_GROUPS
from segue.log import parse_commit_metadata
from segue.releases import list_releases

DAYS, LISTENERS = 45, 2000  # its defaults
FIRST = World().first_day
LAST = FIRST + timedelta(days=DAYS - 1)
# A week and a month on, where windows begin to lose days; the last ones, of which the repair brought late plays.
DAYS_LOOKED_AT = [
    FIRST + timedelta(days=n) for n in (0, 6, 7, 29, 30, DAYS - 4, DAYS - 3, DAYS - 2, DAYS - 1)
]
# Of each kind, so many, as plain Python folds every play anew for every value.
SAMPLE = {"user_id": 20, "track_id": 40, "artist_id": 4}


class Demo:
    def __init__(self, folder: Path) -> None:
        # a name that shells, Java and URIs would each cut or write in another way
        self.root = str(folder / "my démo 100%")
        # as a user has it: the suite's own settings of Spark are not for three hundred thousand plays
        settings = {name: value for name, value in os.environ.items() if name != "SEGUE_SPARK_CONF"}
        command = [sys.executable, "-m", "segue.command", "demo", "--root", self.root]
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
        assert process.returncode == 0, (
            f"exit {process.returncode}\n{process.stdout[-6000:]}\n{process.stderr[-3000:]}"
        )
        self.output = process.stdout

    def steps(self, number: int) -> dict[str, dict]:
        (path,) = Path(self.root, "quality").glob(f"run-*-{number}.steps.json")
        return {each["step"]: each for each in json.loads(path.read_text())}

    def report(self, number: int) -> str:
        (path,) = Path(self.root, "quality").glob(f"run-*-{number}.html")
        return path.read_text()

    def list_runs(self, table: str) -> set[str]:
        """Numbers of the flows that published the table."""
        notes = map(parse_commit_metadata, Warehouse(self.root).table(table).history())
        return {note["run"].rpartition("-")[2] for note in notes if "run" in note}

    def flow_again(self) -> subprocess.CompletedProcess[str]:
        """The last flow of the demo once more, as the project that it is, where there is no Java."""
        inputs = str(Path(self.root, "landing", "plays", f"delivered={LAST}"))
        command = [
            sys.executable, "-P", "-m", "segue.command", "run", "flow", "--input", inputs, "--run-id", "run-again-4",
        ]  # fmt: skip
        settings = {**os.environ, "JAVA_HOME": "/nowhere", "PATH": "/nowhere"}
        return subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=False, env=settings
        )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return Demo(tmp_path_factory.mktemp("demo"))


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_demo_publishes_every_step_of_its_first_flow_and_releases_them(demo):
    outcomes = {name: step["outcome"] for name, step in demo.steps(1).items()}
    assert set(outcomes.values()) == {"published"}, outcomes
    assert [release.release_id for release in list_releases(demo.root)] == [
        f"{LAST}.1",
        f"{LAST - timedelta(days=1)}.1",
    ]


@pytest.mark.slow
def test_demo_refuses_the_bad_day_and_keeps_serving_the_release_before(demo):
    steps = demo.steps(2)
    assert steps["ingest-plays"]["outcome"] == "refused"
    assert steps["build-sessions"]["outcome"] == "blocked"
    assert "rejected_share: expected at most 5 %" in demo.output
    assert f"Readers still get release {LAST - timedelta(days=1)}.1" in demo.output
    assert "✕ refused" in demo.report(2)
    store = segue.open(demo.root, f"{LAST - timedelta(days=1)}.1")
    assert store.days("user_features")[-1] == LAST - timedelta(days=1)
    changed = {table for table in segue.open(demo.root).tables if "2" in demo.list_runs(table)}
    assert changed == {"rejected_plays"}, "a refused batch left a version behind"


@pytest.mark.slow
def test_demo_releases_the_repaired_day_with_every_table_up_to_date(demo):
    store = segue.open(demo.root)
    assert store.release == f"{LAST}.1"
    lags = {name: entry.lag_days for name, entry in store.tables.items() if entry.lag_days}
    assert not lags, f"tables lag behind the repaired day: {lags}"
    truth = json.loads(Path(demo.root, "landing", "truth.json").read_text())["days"]
    assert store.tables["plays"].rows == sum(day["plays"] for day in truth.values())


@pytest.mark.slow
def test_demo_publishes_or_rejects_every_row_of_its_first_flow(demo):
    """By the generator's counts of all days but the last, which was delivered twice."""
    truth = json.loads(Path(demo.root, "landing", "truth.json").read_text())["days"]
    first_days = [counts for day, counts in truth.items() if day != str(LAST)]
    store = segue.open(demo.root, f"{LAST - timedelta(days=1)}.1")
    rows = {table: sum(b.num_rows for b in store.scan(table)) for table in ("plays", "rejected_plays")}
    assert rows == {
        "plays": sum(counts["plays"] for counts in first_days),
        "rejected_plays": sum(sum(counts["broken"].values()) for counts in first_days),
    }


@pytest.mark.slow
@pytest.mark.parametrize("group", FEATURE_GROUPS, ids=lambda group: group.table)
def test_demo_features_and_partials_of_a_sample_equal_the_definition(demo, group):
    """Days that one flow made at once, days that late plays opened again, and the day that a flow added."""
    store = segue.open(demo.root)
    rows = pa.Table.from_batches(store.scan("sessions"))
    entity = group.keys[0]
    chosen = pa.array(choose_entities(rows, entity))

    def published(table):
        days = [pa.Table.from_batches(store.scan(table, day=day)) for day in DAYS_LOOKED_AT]
        return [row for day in days for row in day.filter(pc.is_in(day[entity], chosen)).to_pylist()]

    sessions = rows.filter(pc.is_in(rows[entity], chosen)).to_pylist()
    assert_tables_as_defined(group, sessions, DAYS_LOOKED_AT, published)


def choose_entities(sessions, entity):
    """Spread over all of them."""
    names = sorted(set(sessions[entity].to_pylist()) - {None})
    return names[:: len(names) // SAMPLE[entity]]


@pytest.mark.slow
def test_demo_sorts_every_published_file_by_bucket_and_key(demo):
    for path in map(unquote, Warehouse(demo.root).table("user_features").file_uris()):
        rows = pads.dataset(path).to_table(columns=["bucket", "user_id"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["bucket"], row["user_id"])), path


@pytest.mark.slow
def test_demo_prints_the_released_features_of_a_listener(demo):
    store = segue.open(demo.root)
    user = demo.output.split(".lookup('user_features', ['")[1].split("'")[0]
    row = store.lookup("user_features", [user], columns=["plays_count_30d"]).to_pylist()[0]
    assert f"plays_count_30d       {row['plays_count_30d']}" in demo.output
    assert row["plays_count_30d"] is not None


@pytest.mark.slow
def test_demo_shows_a_play_that_an_impression_led_to_and_the_first_request_of_a_ranking_set(demo):
    store, text = segue.open(demo.root), demo.output.rpartition("What was shown, and what came of it")[2]
    (row,) = find_rows(store, "attributions", "impression_id", re.search("impression_id +(.*)", text)[1])
    (shown,) = find_rows(store, "impressions", "impression_id", row["impression_id"])
    (play,) = find_rows(store, "plays", "play_id", row["play_id"])
    assert play["user_id"] == shown["user_id"] and play["track_id"] == shown["item_id"]
    delay = play["played_at"] - shown["shown_at"]
    assert timedelta(0) < delay < timedelta(days=1)
    assert f"item_id        {shown['item_id']}\n" in text
    assert f"delay_ms       {delay // timedelta(milliseconds=1)}\n" in text
    day = str(row["ds"])
    ranking = store.ranking_set(days=(day, day), taken_within=timedelta(hours=1))
    assert (
        f"<ranking set of {len(ranking.sizes):,} requests, {ranking.rows.num_rows:,} rows, 2 features>"
        in text
    )
    first = ranking.rows.slice(0, 3).to_pylist()
    printed = [line.split() for line in text.splitlines() if re.fullmatch(r" +\d .*(True|False)", line)]
    assert [(int(p), item, taken) for p, item, *_, taken in printed] == [
        (each["position"], each["item_id"], str(each["taken"])) for each in first
    ]


def find_rows(store, table, column, value):
    rows = pa.Table.from_batches(store.scan(table))
    return rows.filter(pc.equal(rows[column], value)).to_pylist()


@pytest.mark.slow
def test_demo_similar_tracks_have_names_and_share_a_cluster_far_above_chance(demo):
    """Track n is of cluster n modulo the number of clusters: by chance one neighbour of forty is of the same."""
    store, clusters = segue.open(demo.root), World().clusters
    plays = {
        row["track_id"]: row["plays_count_30d"]
        for batch in store.scan("track_features", ["track_id", "plays_count_30d"], LAST)
        for row in batch.to_pylist()
    }
    popular = sorted(plays, key=lambda track: (-plays[track], track))[:200:4]
    matches = []
    for track in popular:
        rows = store.similar_tracks(track, k=8).to_pylist()
        assert all(row["title"] and row["artist_name"] for row in rows), rows
        matches += [int(row["track_id"][1:]) % clusters == int(track[1:]) % clusters for row in rows]
    assert len(matches) == 8 * len(popular)
    share = sum(matches) / len(matches)
    assert share > 10 / clusters, f"{share:.2f} of neighbours share the cluster; by chance {1 / clusters:.3f}"


@pytest.mark.slow
def test_demo_report_names_the_release_its_tables_and_every_step(demo):
    text = demo.report(3)
    expected = [f"Release {LAST}.1", *segue.open(demo.root).tables, *demo.steps(3)]
    missing = [name for name in expected if name not in text]
    assert not missing, f"the report says nothing of {missing}"


@pytest.mark.slow
def test_demo_flow_with_nothing_new_needs_no_java(demo):
    process = demo.flow_again()
    assert process.returncode == 0, (
        f"a step opened a session, or failed:\n{process.stdout}\n{process.stderr[-3000:]}"
    )
    outcomes = {name: step["outcome"] for name, step in demo.steps(4).items()}
    assert set(outcomes.values()) == {"unchanged"}, outcomes
