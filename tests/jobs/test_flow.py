"""The whole flow on a small made-up world: what is released is what the plays say, by plain Python."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.dataset as pads

import segue
from jobs.publishing.warehouse import Warehouse
from reference.flows import DAYS, FIRST, LAST, hold_to_the_oracle


def test_the_released_tables_are_what_plain_python_makes_of_the_plays(world):
    hold_to_the_oracle(world)


def test_every_row_that_was_written_is_accounted_for(world):
    truth = json.loads((world.landing / "truth.json").read_text())["days"]
    days = [truth[str(FIRST + timedelta(days=n))] for n in range(DAYS - 1)]
    assert len(world.released("plays")) == sum(day["plays"] for day in days)
    assert len(world.released("rejected_plays")) == sum(sum(day["broken"].values()) for day in days)


def test_the_flow_again_adds_nothing(world, capsys):
    before, versions = segue.open(world.root).release, world.versions()
    world.flow(*[f"{world.landing}/plays/delivered={FIRST + timedelta(days=n)}" for n in range(DAYS - 1)])
    assert (segue.open(world.root).release, world.versions()) == (before, versions), capsys.readouterr().out


def test_a_bad_day_is_refused_and_its_repair_released(world, capsys):
    before, versions = segue.open(world.root), world.versions()
    assert world.flow(f"{world.landing}/plays/delivered={LAST}") == 3
    printed = capsys.readouterr().out
    assert "rejected_share" in printed, printed
    assert segue.open(world.root).release == before.release
    changed = {name for name, version in world.versions().items() if version != versions[name]}
    assert changed <= {"rejected_plays"}, "a refused batch left a version behind"
    world.generate("--only-day", str(LAST))
    assert world.flow(f"{world.landing}/plays/delivered={LAST}") == 0, capsys.readouterr().out
    after = segue.open(world.root)
    assert after.release == f"{LAST}.1" != before.release
    hold_to_the_oracle(world)
    old = segue.open(world.root, before.release)
    assert old.days("user_features")[-1] == LAST - timedelta(days=1), "the old release shows the new day"


def test_every_published_file_is_sorted_by_bucket_and_key(world):
    table = Warehouse(world.root).table("user_features")
    for path in table.file_uris():
        rows = pads.dataset(path).to_table(columns=["bucket", "user_id"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["bucket"], row["user_id"])), path


def test_the_report_names_the_release_and_every_table(world):
    report = max(Path(world.root, "quality").glob("*.html"), key=lambda path: path.stat().st_mtime)
    text = report.read_text()
    assert segue.open(world.root).release in text
    missing = [name for name in segue.open(world.root).tables if name not in text]
    assert not missing, f"{report} says nothing of {missing}"


def test_look_ups_work_from_a_shell_without_spark(world):
    user = world.released("user_features")[0]["user_id"]
    command = [
        sys.executable,
        "-m",
        "segue.command",
        "lookup",
        "user_features",
        user,
        "--root",
        world.root,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["user_id"] == user


def test_similar_tracks_carry_their_names(world):
    track = world.released("track_embeddings")[0]["track_id"]
    similar = segue.open(world.root).similar_tracks(track, k=5).to_pylist()
    assert len(similar) == 5
    assert all(row["title"] and row["artist_name"] for row in similar), similar
