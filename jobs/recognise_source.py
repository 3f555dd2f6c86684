"""Which of the sources that come with Segue some files are of, by their columns or their lines."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import takewhile
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
    if source.format != head.kind or head.layout.get("records", source.records) != source.records:
        return 0
    if source.line_pattern:
        # a tab at the end is an empty field, and a part of the pattern
        line = head.first.strip(" \r\n")
        return max(1, len(source.header)) if re.fullmatch(source.line_pattern, line) else 0
    signature = set(source.signature)
    return len(signature) if signature and signature <= set(head.columns) else 0


def find_base(head: FileHead) -> str | None:
    """The source that it would be of, but for where its records lie."""
    return recognise(replace(head, layout={}))


def list_heads(inputs: Sequence[str]) -> list[FileHead]:
    """Of the first files that inputs stand for, on any storage."""
    return read_heads(list_input_files(inputs, _open_session))


def read_heads(files: Sequence[InputFile]) -> list[FileHead]:
    """Of the first of these files."""
    # an object store answers many at once as fast as one
    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        return list(pool.map(read_file_head, [file.path for file in files[:MOST_FILES]]))


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
        JobError: as of `find_source`.
    """
    return find_source(list_heads(inputs)) if is_auto(source) else source


def find_source(heads: Sequence[FileHead]) -> str:
    """The one that all files are of.

    Raises:
        JobError: a file is of no source that Segue knows, or files are of several; it says what was seen.
    """
    by_name: dict[str | None, list[FileHead]] = defaultdict(list)
    for head in heads:
        by_name[recognise(head)].append(head)
    unknown = by_name.pop(None, [])
    known = {name: each for name, each in by_name.items() if name}
    if unknown:
        raise _refuse_unknown(unknown, known)
    if len(known) > 1:
        # the last file of each
        listed = ", ".join(f"{name} ({each[-1].name})" for name, each in known.items())
        raise JobError(f"--source auto found files of several sources: {listed}; ingest each by itself")
    return next(iter(known))


def _refuse_unknown(unknown: Sequence[FileHead], known: Mapping[str, Sequence[FileHead]]) -> JobError:
    seen = "; ".join(head.describe() for head in unknown[:SHOWN])
    problem = f"--source auto knows no source of such files: {seen}."
    paths = [_show_path(head) for head in unknown]
    if not known:
        names = ", ".join(list_known_sources())
        return JobError(
            f"{problem} It knows: {names}. segue try {shlex.quote(paths[0])} proposes a source file"
        )
    # an export comes with a page to read first
    listed = "; ".join(
        f"{_abbreviate(list(map(_show_path, each)), paths)} ({name})" for name, each in known.items()
    )
    return JobError(f"{problem} Others are of a source that it knows, give them alone: {listed}")


def _show_path(head: FileHead) -> str:
    return head.path.removeprefix("file:")


def _abbreviate(paths: Sequence[str], others: Sequence[str]) -> str:
    """As a shell takes it: a glob of these paths and of none of the others, or else the first of them."""
    # without digits: files that were not looked at go on counting
    start = _find_common_start(paths).rstrip("0123456789")
    end = _find_common_start([path[::-1] for path in paths])[::-1]
    pattern = f"{start}*{end}"
    is_plain = len({os.path.dirname(path) for path in paths}) == 1 and not set("*?[]{}") & set(start + end)
    if len(paths) > 1 and is_plain and fnmatch.filter([*paths, *others], pattern) == list(paths):
        return shlex.quote(pattern)
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return " ".join(map(shlex.quote, paths[:SHOWN])) + more


def _find_common_start(texts: Sequence[str]) -> str:
    letters = zip(*texts, strict=False)
    return "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, letters))
