"""Jars that Spark lacks, put into the environment once: Delta's two, and for S3 two more.

`spark.jars.packages` would bring 33 jars for Delta alone, most of which Spark already has, and cost
4-5 s at every start. In `pyspark/jars` they need no setting at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL

from jobs.errors import JobError

DELTA = ("io.delta:delta-spark_4.1_2.13:4.4.0", "io.delta:delta-storage:4.4.0")
# The first is of the very version of the Hadoop client inside Spark; the second, 640 MB, is the SDK it was
# built with. What else it asks for serves settings that nothing here uses.
S3 = ("org.apache.hadoop:hadoop-aws:3.4.2", "software.amazon.awssdk:bundle:2.29.52")


def delta_is_installed() -> bool:
    return not _missing_jars(DELTA)


def s3_is_installed() -> bool:
    return not _missing_jars(S3)


def install(s3: bool = False) -> bool:
    """Copies the jars from the folder SEGUE_JARS, or fetches them with the resolver inside Spark.

    The resolver reads the Ivy settings file named by SEGUE_IVY_SETTINGS, for those behind a mirror.

    Returns:
        whether one was missing.

    Raises:
        JobError: a jar could not be had.
    """
    missing = _missing_jars((*DELTA, *S3) if s3 else DELTA)
    if not missing:
        return False
    folder = os.environ.get("SEGUE_JARS")
    with tempfile.TemporaryDirectory() as scratch:
        jars = sorted(Path(folder).glob("*.jar")) if folder else _resolve(Path(scratch), missing)
        for jar in map(_jar_name, missing):
            # Ivy puts the organisation before the name
            source = next((path for path in jars if path.name.endswith(jar)), None)
            if source is None:
                raise JobError(
                    f"no {jar} among {[path.name for path in jars]}; it is needed once. Behind a mirror, set "
                    "SEGUE_IVY_SETTINGS to an Ivy settings file, or SEGUE_JARS to a folder that holds the jars"
                )
            _copy_jar(source, spark_jars() / jar)
    return True


def _missing_jars(coordinates: Sequence[str]) -> list[str]:
    return [each for each in coordinates if not (spark_jars() / _jar_name(each)).exists()]


def _jar_name(coordinate: str) -> str:
    _, name, version = coordinate.split(":")
    return f"{name}-{version}.jar"


def _copy_jar(source: Path, target: Path) -> None:
    # whole or not at all: half a jar would count as installed
    half = target.with_suffix(f".{os.getpid()}")
    try:
        shutil.copy(source, half)
        half.replace(target)
    except OSError as problem:
        raise JobError(f"{target} cannot be written: {problem.strerror}") from problem
    finally:
        half.unlink(missing_ok=True)


def spark_jars() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise JobError(
            "pyspark is not installed; install the Spark half: pip install 'segue-platform[spark]'"
        )
    return Path(spec.origin).parent / "jars"


def _resolve(scratch: Path, coordinates: Sequence[str]) -> list[Path]:
    """What Spark does for `--packages`, but not transitive."""
    from pyspark.java_gateway import launch_gateway

    # a JVM without a session; the resolver comes with Spark, so nobody needs Maven
    gateway = launch_gateway(popen_kwargs={"stderr": DEVNULL})
    jvm = gateway.jvm
    try:
        # `private[spark]` is a matter of Scala: to the JVM it is public
        maven, quiet = jvm.org.apache.spark.util.MavenUtils, jvm.java.io.PrintStream(str(scratch / "log"))
        # a cache in the temporary folder, so that the user's own is left alone
        cache, none = jvm.scala.Option.apply(str(scratch)), jvm.scala.Option.empty()
        if mirror := os.environ.get("SEGUE_IVY_SETTINGS"):
            settings = maven.loadIvySettings(mirror, none, cache, quiet)
        else:
            settings = maven.buildIvySettings(none, cache, True, quiet)
        no_exclusions = getattr(getattr(jvm.scala.collection.immutable, "List$"), "MODULE$").empty()
        jars = ",".join(coordinates)
        maven.resolveMavenCoordinates(jars, settings, none, False, no_exclusions, False, quiet)
    except Exception as error:  # py4j wraps whatever the resolver throws
        reason = str(getattr(error, "java_exception", error)).splitlines()[0]
        raise JobError(f"{', '.join(map(_jar_name, coordinates))} could not be fetched: {reason}") from None
    finally:
        gateway.shutdown()
    return sorted(scratch.rglob("*.jar"))
