"""A source file for files that nobody has described: which of their columns is which of ours, by names and values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.column_values import Mapped
from jobs.file_heads import FileHead
from jobs.foreign_names import REQUIRED
from jobs.map_columns import list_named_so, list_values, map_plays, map_tracks
from jobs.nested_columns import describe_nested, is_nested
from schemas.sql import list_columns


@dataclass(frozen=True)
class Proposal:
    """`text` is the source file; `missing` are columns that no play can do without, and that nothing was found for."""

    text: str
    missing: tuple[str, ...]


def propose_source(head: FileHead) -> Proposal:
    """Of a file of columns. What was guessed says so; what was not found has a line to be filled in."""
    plays, tracks = map_plays(head), map_tracks(head)
    is_of_plays = "user_id" in plays or list_named_so(head, "user_id", "played_at")
    if "track_id" in plays and not is_of_plays and any(each.is_read for each in tracks.values()):
        # with neither listeners nor instants it is a catalogue
        return _propose_catalogue(head, {"track_id": plays["track_id"], **tracks})
    return _propose_plays(head, plays, tracks if "title" in tracks else {})


def _propose_plays(head: FileHead, plays: Mapping[str, Mapped], tracks: Mapping[str, Mapped]) -> Proposal:
    unused = _list_unused(head, (*plays.values(), *tracks.values()))
    # a column without a value is none of what no play can do without
    left = [name for name in unused if list_values(head, name)]
    lines = list(_format_layout(head))
    if "user_id" not in plays and not left:
        lines.append('listener = "me"                      # the files name no listener: say who it is')
        plays = {"user_id": Mapped("listener"), **plays}
    missing = tuple(name for name in REQUIRED if name not in plays)
    lines += ["", "[plays]", *_format_section(plays)]
    lines += [_format_missing(name, left) for name in missing]
    if tracks and "track_id" in plays:
        lines += ["", "[tracks]", *_format_section({"track_id": plays["track_id"], **tracks})]
    return Proposal("\n".join([*lines, *_format_unused(head, unused)]) + "\n", missing)


def propose_extension(head: FileHead, base: str) -> Proposal:
    """Of a file with the rows of a known source, which lie elsewhere in it."""
    return Proposal("\n".join([f"extends = {_quote(base)}", *_format_layout(head)]) + "\n", ())


def _propose_catalogue(head: FileHead, tracks: Mapping[str, Mapped]) -> Proposal:
    lines = [*_format_layout(head), "", "[tracks]", *_format_section(tracks)]
    lines += _format_unused(head, _list_unused(head, tracks.values()))
    return Proposal("\n".join(lines) + "\n", ())


def _list_unused(head: FileHead, mapped: Iterable[Mapped]) -> list[str]:
    used = {name for each in mapped for name in list_columns(each.sql)}
    return [name for name in head.columns if name not in used]


def _format_layout(head: FileHead) -> Iterator[str]:
    settings = {"name": _name_source(head), "format": head.kind, **head.layout}
    yield from (_format_line(name, value, head.notes.get(name, "")) for name, value in settings.items())


def _format_missing(name: str, left: Sequence[str]) -> str:
    columns = _describe(", ".join(left)) or "no column is left"
    # of one listener or of many: a guess would make one of all
    alone = '; or "listener", with listener = "an id" above [plays], where the files are of one listener'
    return f'# {name} = "..."    # one of: {columns}{alone if name == "user_id" else ""}'


def _format_unused(head: FileHead, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return ["", f"# not used: {_describe(', '.join(names))}", *_describe_all_nested(head, names)]


def _describe_all_nested(head: FileHead, names: Sequence[str]) -> Iterator[str]:
    of_plays = list_named_so(head, "played_at", "track_id", "play_id")
    holds_plays = any(isinstance(value, list) for name in of_plays for value in list_values(head, name))
    for name in names:
        if is_nested(values := list_values(head, name)):
            yield f"# {_describe(describe_nested(name, values, head.kind, holds_plays))}"


def _format_section(columns: Mapping[str, Mapped]) -> Iterator[str]:
    for name, mapped in columns.items():
        # what no row could be read of would reject them all
        yield f"{'' if mapped.is_read else '# '}{_format_line(name, mapped.sql, mapped.note)}"


def _format_line(name: str, value: Any, note: str) -> str:
    return f"{name} = {_quote(value)}" + (f"    # {_describe(note)}" if note else "")


def _quote(value: Any) -> str:
    """As TOML: its strings are written as those of JSON, but for what is no character."""
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode()


def _describe(text: str) -> str:
    """For a comment: names and values of files must not go on in the next line, as settings."""
    return _quote(text)[1:-1]


def _name_source(head: FileHead) -> str:
    stem = re.split(r"[^a-z]+", head.name.lower().partition(".")[0])
    return "_".join(part for part in stem if part)[:40] or "plays"
