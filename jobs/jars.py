"""Delta's two jars, put into the environment once.

`spark.jars.packages` would bring 33 jars, most of which Spark already has, and cost 4-5 s at every
start. In `pyspark/jars` these two need no setting at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL

from jobs.errors import JobError

DELTA = "4.4.0"
JARS = (f"delta-spark_4.1_2.13-{DELTA}.jar", f"delta-storage-{DELTA}.jar")
COORDINATES = f"io.delta:delta-spark_4.1_2.13:{DELTA},io.delta:delta-storage:{DELTA}"


def delta_is_installed() -> bool:
    return all((_spark_jars() / jar).exists() for jar in JARS)


def install() -> None:
    """Copies the jars from the folder SEGUE_JARS, or fetches them with the resolver inside Spark.

    The resolver reads the Ivy settings file named by SEGUE_IVY_SETTINGS, for those behind a mirror.

    Raises:
        JobError: a jar could not be had.
    """
    if delta_is_installed():
        return
    given = os.environ.get("SEGUE_JARS")
    with tempfile.TemporaryDirectory() as scratch:
        found = sorted(Path(given).glob("*.jar")) if given else _resolve(Path(scratch))
        for jar in JARS:
            source = next((path for path in found if path.name.endswith(jar)), None)
            if source is None:
                raise JobError(
                    f"no {jar} among {[path.name for path in found]}; it is needed once. Behind a mirror, set "
                    "SEGUE_IVY_SETTINGS to an Ivy settings file, or SEGUE_JARS to a folder that holds the jars"
                )
            shutil.copy(source, _spark_jars() / jar)


def _spark_jars() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise JobError(
            "pyspark is not installed; install the Spark half: pip install 'segue-platform[spark]'"
        )
    return Path(spec.origin).parent / "jars"


def _resolve(scratch: Path) -> list[Path]:
    """What Spark does for `--packages`, but not transitive."""
    from pyspark.java_gateway import launch_gateway

    gateway = launch_gateway(popen_kwargs={"stderr": DEVNULL})
    jvm = gateway.jvm
    try:
        maven, quiet = jvm.org.apache.spark.util.MavenUtils, jvm.java.io.PrintStream(str(scratch / "log"))
        cache, none = jvm.scala.Option.apply(str(scratch)), jvm.scala.Option.empty()
        given = os.environ.get("SEGUE_IVY_SETTINGS")
        settings = (
            maven.loadIvySettings(given, none, cache, quiet)
            if given
            else maven.buildIvySettings(none, cache, True, quiet)
        )
        no_exclusions = getattr(getattr(jvm.scala.collection.immutable, "List$"), "MODULE$").empty()
        maven.resolveMavenCoordinates(COORDINATES, settings, none, False, no_exclusions, False, quiet)
    except Exception as error:  # py4j wraps whatever the resolver throws
        reason = str(getattr(error, "java_exception", error)).splitlines()[0]
        raise JobError(f"Delta's jars could not be fetched: {reason}") from None
    finally:
        gateway.shutdown()
    return sorted(scratch.rglob("*.jar"))
