"""The files that an input stands for, on any storage, as Spark lists them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, filterfalse
from typing import TYPE_CHECKING

from pyarrow.fs import FileSelector

from jobs.errors import JobError, first_line
from jobs.inputs import Input
from jobs.parquet_files import filesystem_of_listed
from jobs.session import is_submitted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Bytes of a play in a text file, and in a compressed one, roughly: they only decide whether the session is set to
# few rows or to many.
BYTES_PER_ROW, BYTES_PER_COMPRESSED_ROW = 100, 10
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")


# A file or a prefix; a glob is for Hadoop.
_S3 = re.compile(r"s3a?://[^*?{}\[\]]+")


@dataclass(frozen=True)
class InputFile:
    """`modified` in milliseconds since 1970."""

    path: str
    bytes: int
    modified: int


def list_files(inputs: Sequence[str], session: Callable[[], SparkSession]) -> list[InputFile]:
    """Every file that the inputs (files, folders, globs; on any storage Spark reads) stand for.

    Files and folders of this machine and of S3 are listed without `session`: an ingest with nothing to do needs no JVM.

    Raises:
        JobError: there is none.
    """
    # under spark-submit a path without a scheme is one of the cluster's file system; a glob is for Hadoop to expand
    if is_submitted():
        listed: Iterable[InputFile] = _list_files_by_spark(inputs, session())
    elif all(os.path.exists(each) for each in inputs):
        listed = _list_local_files(inputs)
    elif all(_S3.fullmatch(each) for each in inputs):
        listed = chain.from_iterable(map(_list_s3_files, inputs))
    else:
        listed = _list_files_by_spark(inputs, session())
    # two inputs may name one file; in order, as the list identifies the batch
    files = sorted({file for file in listed if file.bytes}, key=lambda file: file.path)
    if not files:
        raise JobError(
            f"input {', '.join(inputs)} holds no file with anything in it; give files, folders or globs"
        )
    return files


def _list_local_files(inputs: Iterable[str]) -> Iterator[InputFile]:
    """As Spark lists them: without files and folders that other programs hide."""
    for path in chain.from_iterable(map(_walk, map(os.path.abspath, inputs))):
        try:
            status = os.stat(path)
        except OSError as problem:
            raise _refuse_path(path, problem.strerror) from None
        try:
            path.encode()
        except UnicodeEncodeError:
            raise _refuse_path(ascii(path), "its name is no UTF-8; rename it") from None
        # Hadoop takes what is before a colon for the scheme of a URI
        if ":" in os.path.basename(path):
            raise _refuse_path(path, "Spark cannot read a file with a colon in its name; rename it")
        # milliseconds, as Hadoop has them: the same file must be identified alike by both ways to list it
        yield InputFile(f"file:{path}", status.st_size, status.st_mtime_ns // 1_000_000)


def _walk(top: str) -> Iterator[str]:
    if not os.path.isdir(top):
        yield from [] if _is_hidden(os.path.basename(top)) else [top]
        return
    visited: set[str] = set()
    for folder, folders, names in os.walk(top, followlinks=True, onerror=_refuse_folder):
        # a link to a folder above would be walked for ever, and its files would be there many times
        if (real := os.path.realpath(folder)) in visited:
            folders.clear()
            continue
        visited.add(real)
        # in place: os.walk goes into the folders that are left
        folders[:] = filterfalse(_is_hidden, folders)
        yield from (os.path.join(folder, name) for name in filterfalse(_is_hidden, names))


def _refuse_folder(problem: OSError) -> None:
    # os.walk would leave it out without a word
    raise _refuse_path(str(problem.filename), problem.strerror)


def _refuse_path(path: str, problem: str | None) -> JobError:
    return JobError(f"input {path}: {problem}; mend it, or give the other files one by one")


def _list_s3_files(uri: str) -> Iterator[InputFile]:
    """As Spark lists them; by pyarrow, which reads the heads of files there too."""
    try:
        files, inner = filesystem_of_listed(uri.rstrip("/"))
        info = files.get_file_info(inner)
        found = [info] if info.is_file else files.get_file_info(FileSelector(inner, recursive=True))
    except OSError as problem:
        raise JobError(f"input {uri} cannot be read: {first_line(problem)}") from None
    scheme = uri.partition("://")[0]
    for each in found:
        parts = each.path[len(inner) + 1 :].split("/") if each is not info else [each.base_name]
        # a folder may be there as an empty object
        if each.is_file and not any(map(_is_hidden, parts)):
            yield InputFile(f"{scheme}://{each.path}", each.size, each.mtime_ns // 1_000_000)


def _is_hidden(name: str) -> bool:
    # Spark's own rule; a partition folder may begin with an underscore, as in _day=1
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def _list_files_by_spark(inputs: Sequence[str], spark: SparkSession) -> list[InputFile]:
    from pyspark.errors import AnalysisException

    try:
        # lists any storage that Spark reads; `content` is not selected, so no file is opened
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(list(inputs))
        rows = files.selectExpr("path", "length", "unix_millis(modificationTime) modified").collect()
    except AnalysisException as error:
        raise JobError(f"input {', '.join(inputs)} cannot be read: {str(error).splitlines()[0]}") from None
    return [InputFile(row.path, row.length, row.modified) for row in rows]


def estimate_rows(files: Iterable[InputFile]) -> int:
    # by size: counting would read the files
    return sum(
        file.bytes // (BYTES_PER_ROW if file.path.endswith(TEXT_SUFFIXES) else BYTES_PER_COMPRESSED_ROW)
        for file in files
    )


def identify_files(files: Sequence[InputFile]) -> Input:
    # not by content, which would take as long to read as to ingest. A file that is written again has another time,
    # even if its size is the same
    return Input("files", str([(file.path, file.bytes, file.modified) for file in files]))
