"""A step runs where the checkout is not: submitted with the zip that `make dist` builds, on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from reference.frames import frame
from reference.worlds import MIDNIGHT, play
from schemas.plays import PLAYS

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """What `make dist` leaves, built from a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("checkout") / "copy"
    shutil.copytree(
        TOP, copy, ignore=shutil.ignore_patterns(".venv", ".git", "data", "build", "dist", "*.egg-info")
    )
    errors = copy / "jobs" / "errors.py"
    errors.write_text(errors.read_text() + '\nprint("jobs come from", __file__)\n')
    ready = copy / "ready"
    ready.touch()  # newer than what it is made of, or make would install the copy into this environment
    command = ["make", "dist", f"VENV={Path(sys.executable).parents[1]}", f"READY={ready}"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make dist failed:\n{done.stdout}\n{done.stderr}"
    return copy / "dist"


@pytest.mark.slow
def test_a_step_is_submitted_from_another_folder_to_two_executors(spark, tmp_path, dist):
    root = str(tmp_path / "root")
    job = Job("test", root, say=lambda text: None)
    heard = [
        play(
            play_id=f"p{n}",
            user_id=f"u{n % 5}",
            track_id=f"t{n % 7}",
            played_at=MIDNIGHT + timedelta(minutes=n),
        )
        for n in range(200)
    ]
    measures = {"rejected_share": 0.0, "duplicate_share": 0.0}
    job.commit(job.stage(job.batch("plays", appends=True), frame(spark, heard, PLAYS), measures))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = shutil.copy(TOP / "jobs" / "build_sessions.py", elsewhere)
    done = submit(elsewhere, dist / "segue-jobs.zip", script, "--root", root)
    assert done.returncode == 0, f"spark-submit failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    assert "segue-jobs.zip/jobs/errors.py" in done.stdout, (
        f"the step ran other code than the zip's:\n{done.stdout}"
    )
    assert "sessions version 2: 200 rows" in done.stdout
    assert Warehouse(root).state("sessions").rows == 200
    script = shutil.copy(TOP / "jobs" / "train_track_embeddings.py", elsewhere)
    cores = ("--master", "local-cluster[1,2,1024]", "--conf", "spark.executor.cores=2")
    done = submit(elsewhere, dist / "segue-jobs.zip", *cores, script, "--root", root)
    assert done.returncode == 0, f"spark-submit failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    assert "track_embeddings version 2: 7 rows" in done.stdout
    (version,) = DeltaTable(f"{root}/tables/embedding_versions").to_pyarrow_table().to_pylist()
    assert json.loads(version["parameters"])["threads"] == 2, "the task did not have its executor to itself"


def submit(folder, zipped, *command):
    """spark-submit as a stranger would: no checkout on the path, two executors of one core where not said otherwise."""
    import pyspark

    spark_submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK", "PYTHONPATH"))}
    # -P: the folder of the script is no place to import from, so all that is ours comes out of the zip
    where = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [
            str(spark_submit), "--master", "local-cluster[2,1,1024]", "--driver-memory", "2g",
            "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false",
            "--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.databricks.delta.snapshotPartitions=2",
            "--py-files", str(zipped), *command,
        ],
        cwd=folder, env=clean | where, capture_output=True, text=True, timeout=420, check=False,
    )  # fmt: skip
