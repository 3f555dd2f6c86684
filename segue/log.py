"""Single entries of a table's Delta log, and what was written into their metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyarrow import fs

from segue.errors import SegueError
from segue.saved_state import BASE, apply_changes
from segue.storage import filesystem, find_table


def read_entry(uri: str, version: int) -> list[dict[str, Any]] | None:
    """The actions of one version; None where the log does not reach back to it."""
    files, path = filesystem(uri)
    try:
        return read_actions(files, f"{path.rstrip('/')}/_delta_log/{version:020}.json")
    except FileNotFoundError:
        return None


def read_actions(files: fs.FileSystem, path: str) -> list[dict[str, Any]]:
    """What one entry of a log does; ValueError where it is cut off inside a line."""
    with files.open_input_stream(path) as entry:
        return [json.loads(line) for line in entry.read().decode().splitlines() if line.strip()]


def find_commit(actions: list[dict[str, Any]]) -> dict[str, Any]:
    """What an entry says of its own commit."""
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def parse_commit_metadata(commit: Mapping[str, Any]) -> dict[str, Any]:
    """What was written into a commit with the batch; empty for one of another engine."""
    # `userMetadata` is free text: of another engine it may be none, no JSON, or JSON that is no object
    try:
        metadata = json.loads(commit.get("userMetadata") or "{}")
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def find_saved_state(uri: str, version: int) -> tuple[int, dict[str, Any]] | None:
    """What the newest commit up to a version says of the table, as it was written, and the version that it made."""
    # mostly the first entry has it: of ours, only the creation and its constraints say nothing of rows
    for number in range(version, -1, -1):
        actions = read_entry(uri, number)
        if actions is None:
            break
        metadata = parse_commit_metadata(find_commit(actions))
        if "state" in metadata:
            return number, metadata["state"]
    return None


def find_whole_state(uri: str, version: int) -> int | None:
    """The version whose entry has the state whole that a version rests on; None where none says what that holds."""
    found = find_saved_state(uri, version)
    return found and int(found[1].get(BASE, found[0]))


def read_state(uri: str, version: int) -> dict[str, Any] | None:
    """What the table holds at a version; None where no commit says it.

    Raises:
        SegueError: the entry that this rests on is not there any more, or was cut off.
    """
    found = find_saved_state(uri, version)
    if found is None or BASE not in found[1]:
        return found and found[1]
    return apply_changes(read_whole_state(uri, found[1][BASE], version), found[1])


def read_whole_state(uri: str, base: int, version: int) -> dict[str, Any]:
    """As the entry of `base` has it, on which `version` rests; SegueError where it has none."""
    try:
        actions = read_entry(uri, base) or []
    except ValueError:
        actions = []
    state: dict[str, Any] = parse_commit_metadata(find_commit(actions)).get("state", {})
    if "parts" in state:
        return state
    raise SegueError(
        f"what version {version} of the table at {uri!r} holds is not known: it is written as changes to version "
        f"{base}, whose entry in the log is not there or was cut off",
        f"restore _delta_log/{base:020}.json from a copy",
    )


def last_erasure_version(uri: str) -> int:
    """The version in which a table last lost an erased listener, 0 for never."""
    table = find_table(uri)
    found = find_saved_state(uri, table.version()) if table else None
    return int(found[1].get("erased_in", 0)) if found else 0
