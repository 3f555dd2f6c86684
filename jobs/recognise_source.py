"""Which of the sources that come with Segue some files are of, by their columns or their lines."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from jobs.errors import JobError, WrongUsage
from jobs.file_heads import FileHead, read_file_head
from jobs.file_starts import OPEN_AT_ONCE
from jobs.input_files import InputFile, list_files
from jobs.known_sources import list_known_sources
from jobs.session import is_submitted, open_step_session
from jobs.sources import Source, load_source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AUTO = "auto"
# Files of one delivery are alike.
MOST_FILES = 50
SHOWN = 5


@cache
def load_known_sources() -> dict[str, Source]:
    return {name: load_source(name) for name in list_known_sources()}


def recognise(head: FileHead) -> str | None:
    """The name of its source; of several, as one can have the columns of another, that which knows it by most."""
    matches = {name: _match(source, head) for name, source in load_known_sources().items()}
    best = max(matches, key=lambda name: matches[name])
    return best if matches[best] else None


def _match(source: Source, head: FileHead) -> int:
    """By how much the file is of the source; 0 for not at all."""
    if source.format != head.kind:
        return 0
    if source.line_pattern:
        # a tab at the end is an empty field, and a part of the pattern
        line = head.first.strip(" \r\n")
        return max(1, len(source.header)) if re.fullmatch(source.line_pattern, line) else 0
    signature = set(source.signature)
    return len(signature) if signature and signature <= set(head.columns) else 0


def list_heads(inputs: Sequence[str]) -> list[FileHead]:
    """Of the first files that inputs stand for, on any storage."""
    paths = [file.path for file in list_input_files(inputs, _open_session)[:MOST_FILES]]
    # an object store answers many at once as fast as one
    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        return list(pool.map(read_file_head, paths))


def list_input_files(inputs: Sequence[str], session: Callable[[], SparkSession]) -> list[InputFile]:
    """As an ingest lists them; without Spark, but for those in other storage."""
    return list_files([path for each in inputs for path in _expand(each)], session)


def _expand(path: str) -> list[str]:
    """The files of this machine that a glob stands for; what Spark has to list stays as it is.

    Raises:
        WrongUsage: there is no such file, which need not be said by a JVM.
    """
    # of a name with brackets it may be the name
    if os.path.exists(path) or ":/" in path or is_submitted():
        return [path]
    # braces are Hadoop's alone
    found = sorted(glob.glob(path)) or ([path] if "{" in path else [])
    if not found:
        raise WrongUsage(
            f"no files are found at {path!r}; give files, folders, globs, or URIs of other storage"
        )
    return found


def _open_session() -> SparkSession:
    return open_step_session("auto")


def is_auto(source: str) -> bool:
    # in a project's settings it is read as a path of its folder
    return source.rpartition("/")[2] == AUTO


def resolve_source(source: str, inputs: Sequence[str]) -> str:
    """`source` itself, or, where it is `auto`, the one that all files are of.

    Raises:
        JobError: a file is of no source that Segue knows, or files are of several; it says what was seen.
    """
    if not is_auto(source):
        return source
    heads = list_heads(inputs)
    names = [recognise(head) for head in heads]
    if unknown := [head for head, name in zip(heads, names, strict=True) if name is None]:
        seen = "; ".join(head.describe() for head in unknown[:SHOWN])
        raise JobError(
            f"--source auto knows no source of such files: {seen}. It knows: {', '.join(list_known_sources())}. "
            f"segue try {shlex.quote(unknown[0].path.removeprefix('file:'))} proposes a source file"
        )
    # the last file of each
    examples = {name: head.name for head, name in zip(heads, names, strict=True) if name}
    if len(examples) > 1:
        listed = ", ".join(f"{name} ({file})" for name, file in examples.items())
        raise JobError(f"--source auto found files of several sources: {listed}; ingest each by itself")
    return next(iter(examples))
