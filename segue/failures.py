"""Errors that nobody expected, in the words of what they come from; the traceback goes to a file."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path

from segue.errors import first_line, is_of_s3, join_causes
from segue.show import escape

# Set to 1, it shows tracebacks on the screen too.
SHOW_VARIABLE = "SEGUE_TRACEBACK"
# The steps' log file, if one was begun, hangs at the logger of this name.
STEPS_LOG = "segue.jobs"
# A value of ten million letters may be a part of an error.
LONGEST_LINE = 2000
INTERRUPTED = 130  # of a shell: 128 and the number of the signal

_JAVA_CAUSE = re.compile(r"^(?:Caused by)?: (.*)", re.MULTILINE)
_JAVA_CLASS = re.compile(r"^(?:[a-z][\w$]*\.)+([A-Z][\w$]*)(?:: |$)")
_FILE_OF_TASK = re.compile(r"reading file (?:file:/*(?=/))?(\S+?)\.?\s")
_REMEDIES = {
    "java heap space": "give the JVM more memory: spark.driver.memory in [spark] of segue.toml",
    "answer from java side is empty": "the JVM ended, mostly as it had too little memory; its log is spark.log",
    "connection refused": "if the JVM ended, it mostly had too little memory; its log is spark.log",
    "no space left": "free some space, then run the command again",
    "permission denied": "check the rights of that path",
}


def report_failure(error: Exception) -> int:
    """Says on stderr, in one to three lines, what went wrong; the exit code to end with."""
    # by the attribute, not the class: errors of the jobs have one too, and are unknown to the client
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        _print(f"segue: {error}")
        return code
    _print(f"segue: {describe_cause(error)}")
    _print(keep_traceback())
    return 1


def report_interruption() -> int:
    _print("segue: interrupted; what was published is whole, and the command can be run again")
    return INTERRUPTED


def describe_cause(error: BaseException) -> str:
    """One line: the innermost cause, with a file and a remedy where these are known."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = _find_words(error)
    if (file := _FILE_OF_TASK.search(str(error))) and file[1] not in words:
        words = f"file {file[1]}: {words}"
    # of a store the words say what to check, and a refused connection is none to the JVM
    marks = {} if is_of_s3(str(error)) else _REMEDIES
    remedy = next((text for mark, text in marks.items() if mark in words.lower()), "")
    return f"{words}; {remedy}" if remedy else words


def keep_traceback() -> str:
    """Writes the traceback of the exception that is handled to a file, and says where it is."""
    text = traceback.format_exc()
    if os.environ.get(SHOW_VARIABLE) == "1":
        _print(text, cuts=False)
    path = _append_to_log(text) or _write_to_file(text)
    where = f"the traceback is in {path}" if path else "the traceback could not be written"
    return f"{where}; {SHOW_VARIABLE}=1 shows it here"


def _find_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
        return ": ".join([error.strerror, *paths])
    if is_of_s3(str(error)):
        return first_line(error)
    text = join_causes(str(error))
    if "\nTraceback (most recent call last)" in text:
        # of a worker of Spark's in Python; its last line that is not indented, before the JVM's own
        lines = re.split(r"\n\s*(?:at |\tat )", text.rpartition("\nTraceback (most recent call last)")[2])[0]
        last = next(line for line in reversed(lines.splitlines()) if line[:1].strip())
        # its class is for whoever reads the traceback
        return re.sub(r"^[\w.]+: (?=\S+ \S)", "", last)
    causes = _JAVA_CAUSE.findall(text)
    words = causes[-1] if causes else next((each.strip() for each in text.splitlines() if each.strip()), "")
    words = _drop_java_class(words).partition(" SQLSTATE")[0]
    kind = type(error).__name__
    # of a KeyError there is the key alone, of an AssertionError nothing
    is_sentence = len(words.split()) > 2 or bool(causes)
    return words if is_sentence else f"{kind}: {words}" if words else kind


def _drop_java_class(words: str) -> str:
    found = _JAVA_CLASS.match(words)
    # without a message the class says all there is
    return words[found.end() :] or found[1] if found else words


def _append_to_log(text: str) -> str:
    for handler in logging.getLogger(STEPS_LOG).handlers:
        if isinstance(handler, logging.FileHandler):
            try:
                # a lone surrogate is what Python makes of a name of a file that is no UTF-8
                with Path(handler.baseFilename).open(
                    "a", encoding="utf-8", errors="backslashreplace"
                ) as file:
                    file.write(text)
                return handler.baseFilename
            except OSError:
                return ""
    return ""


def _write_to_file(text: str) -> str:
    try:
        number, path = tempfile.mkstemp(prefix="segue-", suffix=".log", text=True)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return path
    except OSError:
        return ""


def shorten(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… ({len(line):,} characters)"


def _print(text: str, cuts: bool = True) -> None:
    lines = escape(text).splitlines()
    print("\n".join(map(shorten, lines) if cuts else lines), file=sys.stderr)
