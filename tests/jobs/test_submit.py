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

from jobs.publishing.warehouse import Warehouse
from reference.clusters import spark_home
from reference.delta_files import rows_of
from reference.published import lay
from reference.worlds import MIDNIGHT, session_play

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
def test_spark_submit_runs_a_step_from_another_folder_on_two_executors(tmp_path, dist):
    """The training, as it needs all there is: tasks on both executors, and one that has its executor to itself."""
    root, elsewhere = str(tmp_path / "root"), tmp_path / "elsewhere"
    lay(Warehouse(root), "sessions", list(generate_sessions()))
    elsewhere.mkdir()
    script = shutil.copy(TOP / "jobs" / "train_track_embeddings.py", elsewhere)
    step = (script, "--root", root, "--search-budget", "0", "--epochs", "1")
    process = submit(elsewhere, spark_home(tmp_path), "--py-files", dist / "segue-jobs.zip", *step)
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
            "--conf", "spark.executor.memory=512m", "--conf", "spark.executor.cores=2",
            "--properties-file", str(TOP / "tests" / "spark.conf"),
            "--conf", "spark.executor.extraJavaOptions=-XX:TieredStopAtLevel=1",
            "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false", *map(str, command),
        ],
        cwd=folder, env=environment | python_settings | {"SPARK_HOME": str(home)}, capture_output=True, text=True,
        timeout=420, check=False,
    )  # fmt: skip
