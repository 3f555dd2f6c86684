"""Single entries of a table's Delta log, and what was written into their metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyarrow import fs

from segue.storage import filesystem


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


def read_state(uri: str, version: int) -> dict[str, Any] | None:
    """What the newest commit up to a version says that the table holds; None where none says it."""
    # mostly the first entry has it: of ours, only the creation and its constraints say nothing of rows
    for number in range(version, -1, -1):
        actions = read_entry(uri, number)
        if actions is None:
            break
        metadata = parse_commit_metadata(find_commit(actions))
        if "state" in metadata:
            state: dict[str, Any] = metadata["state"]
            return state
    return None
