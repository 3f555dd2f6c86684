"""Which of the sources that come with Segue some files are of, by their columns or their lines."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from jobs.errors import JobError, WrongUsage
from jobs.file_heads import FileHead, read_file_head
from jobs.input_files import InputFile, list_files
from jobs.known_sources import list_known_sources
from jobs.sources import Source, load_source

AUTO = "auto"
# Heads are read one after the other, and files of one delivery are alike.
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
        return max(1, len(source.header)) if re.fullmatch(source.line_pattern, head.first.strip()) else 0
    signature = set(source.signature)
    return len(signature) if signature and signature <= set(head.columns) else 0


def list_heads(inputs: Sequence[str]) -> list[FileHead]:
    """Of the first files that inputs stand for, without Spark."""
    return [read_file_head(file.path) for file in list_input_files(inputs)[:MOST_FILES]]


def list_input_files(inputs: Sequence[str]) -> list[InputFile]:
    """As an ingest lists them, but for those in other storage that only Spark could list."""
    expanded = [path for each in inputs for path in (sorted(glob.glob(each)) or [each])]
    return list_files(expanded, _refuse_listing)


def _refuse_listing() -> NoReturn:
    raise WrongUsage(
        "files are not found here, or lie in another storage; give files that are here, or name their source"
    )


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
            f"segue try {unknown[0].path.removeprefix('file:')} proposes a source file"
        )
    # the last file of each
    examples = {name: head.name for head, name in zip(heads, names, strict=True) if name}
    if len(examples) > 1:
        listed = ", ".join(f"{name} ({file})" for name, file in examples.items())
        raise JobError(f"--source auto found files of several sources: {listed}; ingest each by itself")
    return next(iter(examples))
