"""Steps run where neither checkout nor project is: on a cluster, with the zips of `make dist` and `segue pack`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.publishing.warehouse import Warehouse
from reference.clusters import cluster_settings, spark_home
from reference.delta_files import rows_of
from reference.published import lay
from reference.worlds import MIDNIGHT, session_play
from segue.pack import pack_project
from segue.project import find_project

TOP = Path(__file__).parents[2]
SETTINGS = 'root = "root"\ndeclarations = ["declarations"]\n'
# One group of ours, and one of its own that is merged for labels alone: one table to publish.
DECLARATION = """
from schemas.declarations import Feature, FeatureGroup
from schemas.starting_set import ARTIST_FEATURE_GROUP

FIRST_PLAYS = FeatureGroup(
    "first_play_features",
    ("user_id",),
    "What a listener begins sessions with.",
    (Feature("plays", "count", "play_id", "first plays", ("7d",)),),
    where="position = 1",
    daily=False,
)
"""
# The training as the script that was submitted, then a step of the project in the same JVM, then a look at executors.
NIGHT = """
import runpy
import sys

from pyspark.sql import SparkSession

sys.argv = ["train_track_embeddings.py", "--search-budget", "0", "--epochs", "1"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code

from jobs.build_features import main

assert main(["build-first-play-partials"]) == 0


def list_declared(number):
    import time

    from schemas import FEATURE_GROUPS

    time.sleep(0.2)  # long enough for both executors to get a task
    return ",".join(group.table for group in FEATURE_GROUPS)


context = SparkSession.getActiveSession().sparkContext
print("executors declare", *set(context.parallelize(range(4), 4).map(list_declared).collect()))
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """What `make dist` leaves, built from a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("checkout") / "copy"
    shutil.copytree(
        TOP, copy, ignore=shutil.ignore_patterns(".venv", ".git", "data", "build", "dist", "*.egg-info")
    )
    errors = copy / "jobs" / "errors.py"
    errors.write_text(errors.read_text() + '\nprint("jobs come from", __file__)\n')
    # newer than what they are made of, or make would install the copy into this environment
    (copy / "packages").touch()
    (copy / "ready").touch()
    command = ["make", "dist", f"VENV={Path(sys.executable).parents[1]}", "PACKAGES=packages", "READY=ready"]
    process = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert process.returncode == 0, f"make dist failed:\n{process.stdout}\n{process.stderr}"
    return copy / "dist"


def generate_sessions():
    """Five listeners with a session of forty plays each, of seven tracks."""
    for n in range(200):
        yield session_play(
            play_id=f"p{n}",
            user_id=f"u{n % 5}",
            track_id=f"t{n % 7}",
            session_id=f"s{n % 5}",
            position=1 + n // 5,
            played_at=MIDNIGHT + timedelta(minutes=n),
        )


@pytest.mark.slow
def test_spark_submit_runs_steps_of_a_project_from_another_folder_on_two_executors(tmp_path, dist):
    """The training, as it needs all there is: tasks on both executors, and one that has its executor to itself."""
    root, elsewhere, archive = str(tmp_path / "mine" / "root"), tmp_path / "elsewhere", tmp_path / "mine.zip"
    plays = list(generate_sessions())
    lay(Warehouse(root), "sessions", plays)
    (tmp_path / "mine" / "declarations").mkdir()
    (tmp_path / "mine" / "declarations" / "features.py").write_text(DECLARATION)
    (tmp_path / "mine" / "segue.toml").write_text(SETTINGS)
    pack_project(find_project(tmp_path / "mine"), str(archive))
    elsewhere.mkdir()
    shutil.copy(TOP / "jobs" / "train_track_embeddings.py", elsewhere)
    (elsewhere / "night.py").write_text(NIGHT)
    packages = f"{dist / 'segue-jobs.zip'},{archive}"
    process = submit(elsewhere, spark_home(tmp_path), "--py-files", packages, elsewhere / "night.py")
    assert process.returncode == 0, (
        f"spark-submit failed:\n{process.stdout[-3000:]}\n{process.stderr[-6000:]}"
    )
    assert "segue-jobs.zip/jobs/errors.py" in process.stdout, (
        f"the step ran other code than the zip's:\n{process.stdout}"
    )
    logs = tmp_path.glob("spark/work/*/*/stderr")
    executors = {log.parent.name for log in logs if "Finished task" in log.read_text()}
    assert executors == {"0", "1"}, f"executors that finished a task: {executors}"
    assert "track_embeddings version 2: 7 rows" in process.stdout
    (version,) = rows_of(DeltaTable(f"{root}/tables/embedding_versions"))
    assert json.loads(version["parameters"])["threads"] == 2, "the task did not have its executor to itself"
    assert "executors declare artist_features,first_play_features\n" in process.stdout, process.stdout
    assert_partials_of_first_plays(f"{root}/tables/first_play_partials", plays)


def assert_partials_of_first_plays(path, plays):
    expected = Counter(play["user_id"] for play in plays if play["position"] == 1)
    rows = [row for row in rows_of(DeltaTable(path)) if row["span"] == 1]
    assert {row["user_id"]: row["count_play_id"] for row in rows} == expected and len(rows) == len(expected)


def submit(folder, home, *command):
    """spark-submit as a stranger would: no checkout on the path, two executors of two cores."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK", "PYTHONPATH"))
    }
    # -P: the folder of the script is no place to import from, so all that is ours comes out of the zip
    python_settings = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [
            str(home / "bin" / "spark-submit"), "--master", "local-cluster[2,2,512]", "--driver-memory", "1g",
            "--properties-file", str(TOP / "tests" / "spark.conf"), "--conf", "spark.executor.cores=2",
            *(part for name, value in cluster_settings().items() for part in ("--conf", f"{name}={value}")),
            *map(str, command),
        ],
        cwd=folder, env=environment | python_settings | {"SPARK_HOME": str(home)}, capture_output=True, text=True,
        timeout=420, check=False,
    )  # fmt: skip
