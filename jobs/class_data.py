"""An archive of class data: JVMs of this environment map the classes of Spark and Delta, and load none again.

A new process publishes its first batch five seconds earlier, of nineteen (benchmarks/overhead.py --only session).
Java checks by itself that archive, jars and JVM belong together, and does without it where they do not (JEP 350).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.session import JAVA_OPTIONS, SETTINGS_VARIABLE, class_archive, open_session

# What the JVM does at a start, a write and a read; many times what it takes.
PATIENCE_S = 300


def make_archive() -> bool:
    """Runs a JVM that writes down which classes it loaded; whether there is an archive now. It is no must."""
    archive = class_archive()
    # Java 17 does not start where it is to map one archive and to write another
    archive.unlink(missing_ok=True)
    # a process of its own: the archive is written when the JVM ends, and ours may be needed on
    command = [sys.executable, "-m", __name__, str(archive)]
    try:
        subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return False
    return archive.exists()


def _dump_classes(path: Path) -> None:
    """One session with a write, a read and an aggregation; the archive is written when its JVM ends by itself."""
    from pyspark import SparkContext

    # renamed when whole: a JVM that starts meanwhile must not map half of it
    half = path.with_suffix(f".{os.getpid()}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "spark.conf")
        # the user's file of settings is the one way for an option of Java into `open_session`
        settings.write_text(f"{JAVA_OPTIONS} {shlex.quote(f'-XX:ArchiveClassesAtExit={half}')}\n")
        os.environ[SETTINGS_VARIABLE] = str(settings)
        spark = open_session("class data", Path(folder, "spark.log"))
        # what is loaded by no query here is loaded from the jars by each JVM later: one of each common kind
        rows = spark.range(1000).selectExpr("id", "id % 7 as day", "cast(id as string) as name")
        rows.repartition("day").write.format("delta").partitionBy("day").save(f"{folder}/table")
        table = spark.read.format("delta").load(f"{folder}/table")
        table.groupBy("day").agg({"id": "sum", "name": "max"}).orderBy("day").collect()
        table.join(table.groupBy("day").count(), "day").selectExpr("count_if(name > '5')").collect()
        jvm: Any = SparkContext._gateway
        spark.stop()
        jvm.proc.stdin.close()  # it ends by itself when this pipe does; killed, it would write no archive
        jvm.proc.wait()
    half.replace(path)


if __name__ == "__main__":
    _dump_classes(Path(sys.argv[1]))
