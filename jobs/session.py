"""The Spark session: on a cluster what spark-submit was given, on one machine what suits it."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING

from jobs.errors import JobError, WrongUsage
from jobs.jars import delta_is_installed, spark_jars
from segue.project import find_project
from segue.project_file import is_secret

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# Whatever the cluster's defaults are, results must not depend on them.
CORRECTNESS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # INT96, the default, has no statistics and reads as nanoseconds everywhere else
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # a day replaced in place keeps its rows' order only where files are written as options
    "spark.databricks.delta.optimizeWrite.enabled": "false",
    # a commit whose answer got lost is looked up, not written again
    "spark.databricks.delta.commit.idempotencyCheck.enabled": "true",
    # which versions live is for releases to say; Delta would refuse even the newest one once it is 35 days old
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    # written by default, checked by nobody: a flipped bit in a staged file must not pass the audit
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
}

# By default a row group is 128 MiB, and so all of a file: rows that are sorted by key are skipped by the extremes of
# smaller ones.
ROW_GROUPS = {"spark.hadoop.parquet.block.size": str(16 * 2**20)}

# One machine: what is small stays quick, where a cluster would make hundreds of tasks of it.
ONE_MACHINE = {
    "spark.master": "local[*]",
    # a machine's own name may resolve to an address that it cannot be reached at
    "spark.driver.host": "127.0.0.1",
    # Spark's default is 1g, and here tasks run in the driver's JVM
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # adaptive execution joins small ones; four would be few for ten million rows, and of unequal size
    "spark.sql.shuffle.partitions": "32",
    # Delta's default is 50 tasks, for logs of a few entries
    "spark.databricks.delta.snapshotPartitions": "2",
    # 10,000 by default: a VACUUM by Delta of a tiny table took 40 s, and 4 s with this
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    # else each call that makes a column asks the JVM several times and looks at two stacks, so that an error can name
    # the line: of a table of a hundred features a quarter of a small step's CPU. Tracebacks name the line as well
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.dataFrameQueryContext.enabled": "false",
    # a thousand local files are looked at in milliseconds, where a job takes a quarter of a second
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
    # to choose how to compress a column that is cached, Spark hashes its values: a quarter of what reading a file's
    # plays takes, and what most of them take compressed is no less
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # twice Spark's default: half as many batches go to Python
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
}

# A step that reads no more rows than this spends its time on planning, generated code and tasks, not on rows:
# benchmarks/overhead.py.
FEW_ROWS = 50_000
ADAPTIVE = "spark.sql.adaptive.enabled"
FOR_FEW_ROWS = {
    # interpreted expressions: of each new plan the Java source would be made, compiled and warmed up
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # a plan at once, not stage by stage
    ADAPTIVE: "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
}

# Names a file with further settings for the session on one machine.
SETTINGS_VARIABLE = "SEGUE_SPARK_CONF"
# Each query is new code. By default C2 compiles what runs some thousand times, which of a query of small data is nearly
# all of it, once it is over: ten times as many is soon enough for ten million rows, and of a flow of three hundred
# thousand plays spares 60 of 190 CPU seconds of compilation. What a wide row is made by is longer than the JVM compiles
# at all (8,000 bytes): it would be interpreted, whatever the rows.
JVM = (
    "-XX:+UseParallelGC",
    # with C1 alone the code cache is 48 MB: full after a minute of generated code, and nothing more is compiled
    "-XX:ReservedCodeCacheSize=512m",
    # of classes; at 21 MB, the default, and at each doubling all of the heap is collected
    "-XX:MetaspaceSize=512m",
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
    "-XX:-DontCompileHugeMethods",
)
_OPENING = Lock()
JAVA_OPTIONS = "spark.driver.extraJavaOptions"


def open_session(app: str, log: Path | None = None, modules: Sequence[str] = ()) -> SparkSession:
    """The session of this process, made if there is none.

    Started by spark-submit, only what correctness needs is set; started by hand, the session is
    local and Spark's own messages go to the file `log`.

    Args:
        modules: that take as long to import as a JVM takes to start; imported while this waits for one.

    Raises:
        JobError: Delta's jars are missing.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    # steps at the same time ask for it, and the first one makes it
    with _OPENING:
        for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
            # they repeat each error on stderr, as JSON
            logging.getLogger(name).setLevel(logging.CRITICAL)
        builder = SparkSession.builder.appName(app).config(map={**ROW_GROUPS, **CORRECTNESS})
        # settings of the JVM come too late for one that runs already
        if is_submitted() or SparkContext._active_spark_context is not None:
            return _open(builder)
        if not delta_is_installed():
            raise JobError(
                "Delta's jars are not in this environment; put them there with: segue install-jars"
            )
        log = log or Path("spark.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        set_variables()
        settings = local_settings(log, os.environ)
        with _redirect_stderr(log), import_meanwhile(modules):
            _start_jvm(settings)
            return _open(builder.config(map={**settings}))


def set_variables() -> None:
    """Adds the environment variables that a session needs or sets; to be called before there are threads.

    A new variable moves the environment in memory, which other threads walk through without a lock (delta-rs does, for
    each table that it opens): a segmentation fault. Another value for one that is there moves nothing.
    """
    # with the values that PySpark takes where there are none; it sets them once it has a JVM
    variables = {"SPARK_AUTH_SOCKET_TIMEOUT": "15", "SPARK_BUFFER_SIZE": "65536"}
    if not is_submitted():
        variables["SPARK_LOCAL_IP"] = "127.0.0.1"
        # else workers take the first python3 on the PATH
        variables["PYSPARK_PYTHON"] = sys.executable
        # else they import from the working folder first, where a project may have a features.py of its own
        variables["PYTHONSAFEPATH"] = "1"
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def _start_jvm(settings: Mapping[str, str]) -> None:
    """Without secrets: all that a JVM is started with stands in the list of processes, which others can read.

    A session sets all of its settings once more when the JVM is there, by a socket.
    """
    from pyspark import SparkConf, SparkContext

    shown = [(name, value) for name, value in settings.items() if not is_secret(name)]
    if len(shown) < len(settings):
        SparkContext._ensure_initialized(conf=SparkConf(loadDefaults=False).setAll(shown))


def _open(builder: SparkSession.Builder) -> SparkSession:
    from jobs.java_classes import keep_classes

    session = builder.getOrCreate()
    keep_classes(session._jvm)
    return session


def open_step_session(app: str, log: Path | None = None, modules: Sequence[str] = ()) -> SparkSession:
    """A session of its own for one step, in the JVM of this process: `tune` changes no other step's settings."""
    spark = open_session(app, log, modules)
    return spark if is_submitted() else spark.newSession()


def tune(spark: SparkSession, rows: int) -> None:
    """Settings for a step that reads so many rows. What spark-submit or the user's own file says stays as it is."""
    if is_submitted():
        return
    start = _initial_settings(spark.sparkContext)
    for name in FOR_FEW_ROWS.keys() - read_user_settings(os.environ).keys():
        # what is unset would be Spark's default, not what this session was started with
        value = FOR_FEW_ROWS[name] if rows <= FEW_ROWS else start.get(name)
        if value is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, value)


@contextmanager
def plan_at_once(spark: SparkSession) -> Iterator[None]:
    """For aggregates, each of which is one job then. Adaptive execution makes a job of every stage of them, and finds
    nothing to change. What spark-submit or the user's own file says stays as it is."""
    if is_submitted() or ADAPTIVE in read_user_settings(os.environ):
        yield
        return
    before = spark.conf.get(ADAPTIVE) or "true"
    spark.conf.set(ADAPTIVE, "false")
    try:
        yield
    finally:
        spark.conf.set(ADAPTIVE, before)


@cache
def _initial_settings(context: SparkContext) -> dict[str, str]:
    # of those that `tune` changes; cached, as each `getConf` copies all settings, with a call to the JVM each
    conf = context.getConf()
    return {name: value for name in FOR_FEW_ROWS if (value := conf.get(name)) is not None}


def read_user_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the project's [spark], then those of the file that SEGUE_SPARK_CONF names, if it names one."""
    project = find_project()
    _check_settings(str(project.path), project.spark)
    file = variables.get(SETTINGS_VARIABLE)
    return {**project.spark, **(parse_settings_file(Path(file)) if file else {})}


def parse_settings_file(path: Path) -> dict[str, str]:
    """The settings of a file like Spark's own spark-defaults.conf: a key, then its value, on each line.

    Raises:
        JobError: the file cannot be read, a line has no value, or a setting is not for users to change.
    """
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except OSError as error:
        raise JobError(f"the file of {SETTINGS_VARIABLE} cannot be read: {error}") from error
    pairs = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    for key, *value in pairs:
        if not value:
            raise JobError(f"{path}: a line is `{key}`, expected a key and its value, a space between them")
    settings = dict(pairs)
    _check_settings(str(path), settings)
    return settings


def _check_settings(file: str, settings: Mapping[str, str]) -> None:
    for name in settings:
        if name in CORRECTNESS:
            raise JobError(f"{file} sets {name}, which results depend on; take the line out")


def local_settings(log: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The file's settings win over ours; its options for Java are added to ours."""
    settings = read_user_settings(variables)
    # an option of the user's must not cost our log file and code cache
    java = f"{_java_options(log)} {settings.pop(JAVA_OPTIONS, '')}".rstrip()
    return {**ONE_MACHINE, **s3_settings(variables), **settings, JAVA_OPTIONS: java}


def s3_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """What delta-rs and pyarrow read from these variables by themselves, in the words of Hadoop's client."""
    # not the keys: Hadoop finds AWS_ACCESS_KEY_ID and its like itself
    options = {
        "endpoint": variables.get("AWS_ENDPOINT_URL"),
        "endpoint.region": variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION"),
    }
    if options["endpoint"]:
        # only Amazon has a host name for every bucket
        options["path.style.access"] = "true"
        options["connection.ssl.enabled"] = str(options["endpoint"].startswith("https://")).lower()
    settings = {f"spark.hadoop.fs.s3a.{name}": value for name, value in options.items() if value}
    # Hadoop has no file system of its own for s3://, as pyarrow and delta-rs call a root
    return {**settings, "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}


def is_submitted() -> bool:
    """Whether spark-submit started this process: it hands over its gateway in the environment."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def check_travel() -> None:
    """That a submitted step has the declarations and expectations that `segue run` would have here.

    Raises:
        WrongUsage: a project names files that nobody has loaded.
    """
    project = find_project()
    # one that was packed is loaded from Python's path, on executors too
    if not is_submitted() or not isinstance(project.path, Path):
        return
    for name in ("declarations", "expectations"):
        if project.resolve(name).origin == str(project.path):
            raise WrongUsage(
                f"{project.path} has {name}, which a submitted step finds in an archive alone; pass what `segue pack` "
                "writes with --py-files"
            )


def class_archive() -> Path:
    # in the environment, beside the jars whose classes it holds
    return spark_jars().parent / "segue.jsa"


def archive_options() -> tuple[str, ...]:
    """Options of Java with which a JVM maps the archive of class data; none where there is no archive."""
    archive = class_archive()
    # nothing is said of an archive that does not fit: the JVM does without it
    mapped = (f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
    return mapped if archive.exists() else ()


def _java_options(log: Path) -> str:
    quiet = Path(__file__).with_name("log4j2.properties").resolve().as_uri()
    logging_options = (f"-Dlog4j2.configurationFile={quiet}", f"-Dsegue.log={log.resolve()}")
    # quoted: Spark takes the text apart as a shell does, and a folder may have a space in its name
    return shlex.join((*logging_options, *JVM, *archive_options()))


@contextmanager
def import_meanwhile(modules: Sequence[str]) -> Iterator[None]:
    """Modules are imported beside what is inside, and are there when it ends."""
    # what is wrong with one is raised where it is imported next
    thread = Thread(target=lambda: list(map(import_module, modules)))
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextmanager
def _redirect_stderr(log: Path) -> Iterator[None]:
    # the JVM inherits the descriptor for good, and greets it with warnings that no user can act on
    ours = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(ours, 2)
            os.close(ours)
