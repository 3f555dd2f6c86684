"""What an unexpected error comes from is said in a line, whichever engine raised it."""

from __future__ import annotations

import errno
import logging

import pytest

from segue.failures import describe_cause, keep_traceback, report_failure

JAVA_TASK = """An error occurred while calling o5152.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 22.0 failed 1 times, most recent \
failure: Lost task 0.0 in stage 22.0 (TID 29) (localhost executor driver): java.lang.ArithmeticException: long overflow
\tat java.base/java.lang.Math.multiplyExact(Math.java:1004)

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2898)
Caused by: java.lang.ArithmeticException: long overflow
\tat java.base/java.lang.Math.multiplyExact(Math.java:1004)
"""
JAVA_FILE = """An error occurred while calling o1.collectToPython.
: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while reading file \
file:///data/a%20b.csv.gz.  SQLSTATE: KD001
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.cannotReadFilesError(QueryExecutionErrors.scala:856)
Caused by: java.io.EOFException: Unexpected end of input stream
\tat org.apache.hadoop.io.compress.DecompressorStream.decompress(DecompressorStream.java:165)
"""
JAVA_MEMORY = """An error occurred while calling o9.save.
: java.lang.OutOfMemoryError: Java heap space
\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)
"""
JAVA_BARE = (
    "An error occurred while calling o9.save.\n: java.util.NoSuchElementException\n\tat x.Y.z(Y.java:1)\n"
)
WORKER = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/jobs/source_rows.py", line 130, in split_files
    text = unpack(path, content)
ValueError: file a.gz cannot be read: truncated
"""
ANALYSIS = (
    "[CAST_INVALID_INPUT] The value 'x' of the type STRING cannot be cast. SQLSTATE: 22018\n== SQL ==\nx"
)
DELTA = (
    "Generic error\n\x1b[31m↳\x1b[0m Kernel error: Json error\n\x1b[31m↳\x1b[0m Truncated record in the log"
)


class Py4JJavaError(Exception):
    pass


def raised_from(cause):
    error = RuntimeError("the step failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Py4JJavaError(JAVA_TASK), "long overflow"),
        (Py4JJavaError(JAVA_FILE), "file /data/a%20b.csv.gz: Unexpected end of input stream"),
        (Py4JJavaError(JAVA_MEMORY), "Java heap space; give the JVM more memory: spark.driver.memory in"),
        (Py4JJavaError(JAVA_BARE), "NoSuchElementException"),
        (Exception(WORKER), "file a.gz cannot be read: truncated"),
        (Exception(ANALYSIS), "[CAST_INVALID_INPUT] The value 'x' of the type STRING cannot be cast."),
        (Exception(DELTA), "Generic error: Kernel error: Json error: Truncated record in the log"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/x"),
            "No space left on device: /data/x; free some",
        ),
        (
            OSError(errno.EACCES, "Permission denied", "/a", None, "/b"),
            "Permission denied: /a: /b; check the rights",
        ),
        (KeyError("plays"), "KeyError: 'plays'"),
        (AssertionError(), "AssertionError"),
        (raised_from(ValueError("the least of an empty list")), "the least of an empty list"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused; if the JVM ended"),
    ],
)
def test_describe_cause_says_the_innermost_cause_in_a_line(error, words):
    line = describe_cause(error)
    assert line.startswith(words) and "\n" not in line and "java." not in line


def test_report_failure_cuts_and_escapes_what_a_terminal_gets(capsys):
    error = ValueError("\x1b[31m" + "x" * 5000)
    error.exit_code = 2
    assert report_failure(error) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err and "(5,015 characters)" in err and len(err) < 2100


def test_keep_traceback_writes_to_the_log_of_the_steps_where_there_is_one(tmp_path, monkeypatch):
    handler = logging.FileHandler(tmp_path / "segue.log", delay=True)
    monkeypatch.setattr(logging.getLogger("segue.jobs"), "handlers", [handler])
    try:
        raise ValueError("what happened")
    except ValueError:
        text = keep_traceback()
    assert text == f"the traceback is in {tmp_path / 'segue.log'}; SEGUE_TRACEBACK=1 shows it here"
    assert "ValueError: what happened" in (tmp_path / "segue.log").read_text()


def test_keep_traceback_writes_a_name_that_is_no_utf8(tmp_path, monkeypatch):
    """Of such a name Python makes lone surrogates, which no encoding has: the handler of failures failed."""
    handler = logging.FileHandler(tmp_path / "segue.log", delay=True)
    monkeypatch.setattr(logging.getLogger("segue.jobs"), "handlers", [handler])
    try:
        raise FileNotFoundError("caf\udce9.csv")
    except FileNotFoundError:
        assert str(tmp_path / "segue.log") in keep_traceback()
    assert "caf\\udce9.csv" in (tmp_path / "segue.log").read_text()


def test_keep_traceback_says_so_where_nothing_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("segue.jobs"), "handlers", [])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "could not be written" in keep_traceback()
