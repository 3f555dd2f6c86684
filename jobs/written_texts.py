"""What people read beside the tables, and what must not outlive its rows there: pages, outcomes of steps, logs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from markupsafe import escape
from pyarrow.fs import FileSelector, FileType

from expectations.pages import format_value
from expectations.shown_rows import remove_shown_rows
from jobs.file_records import find_mentions
from jobs.publishing.warehouse import Warehouse
from jobs.user_ids import join_alternatives
from segue.small_files import read_file, replace_file

# They hold no pages, and most of a root's files.
_OF_TABLES = ("tables", "releases", "scratch")
_STEPS = ".steps.json"
_NAMED = "(it named an erased listener)"
# Of a log, at a time.
_LOG_BYTES = 2**20
_INSTANT = rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def remove_rows_of_pages(warehouse: Warehouse, is_gone: Callable[[str, str], bool], words: str) -> int:
    """Takes rows of quarantine out of reports and sites below the root, and says out of how many pages.

    Args:
        is_gone: of a table and an attempt; both are empty where a page of before does not say whose rows it has.
        words: what stands there then.
    """
    edit = lambda page: remove_shown_rows(page, is_gone, words)  # noqa: E731
    return sum(_edit(warehouse, path, edit) for path in _list_pages(warehouse))


def erase_from_texts(warehouse: Warehouse, ids: Sequence[str]) -> int:
    """Takes listeners out of what steps said when they failed, in logs, outcomes and reports; says of how many files.

    A message can have a value of a row, or the name of a file.
    """
    return _erase_from_steps(warehouse, ids) + sum(_mask(path, ids) for path in _list_logs(warehouse))


def _list_pages(warehouse: Warehouse) -> Iterator[str]:
    root = FileSelector(warehouse.inner(warehouse.root), allow_not_found=True)
    for entry in warehouse.files.get_file_info(root):
        if entry.type == FileType.Directory and entry.base_name not in _OF_TABLES:
            files = warehouse.list_files(warehouse.path(entry.base_name)).values()
            yield from (file.path for file in files if file.extension == "html")
        elif entry.extension == "html":
            yield entry.path


def _edit(warehouse: Warehouse, path: str, edit: Callable[[str], str]) -> bool:
    """Whether there was something to change."""
    # a page that is not ours may be of another encoding
    with suppress(UnicodeDecodeError):
        text = read_file(warehouse.files, path)
        if text is not None and (edited := edit(text)) != text:
            replace_file(warehouse.files, path, edited)
            return True
    return False


def _erase_from_steps(warehouse: Warehouse, ids: Collection[str]) -> int:
    quality = warehouse.path("quality")
    paths = [info.path for name, info in warehouse.list_files(quality).items() if name.endswith(_STEPS)]
    steps = {path: json.loads(read_file(warehouse.files, path) or "[]") for path in paths}
    reasons = [(path, step["why"]) for path, of_run in steps.items() for step in of_run if step.get("why")]
    named = [reasons[n] for n in find_mentions([why for _, why in reasons], ids)]
    for path, why in named:
        shown = str(escape(format_value(why)))
        # the page first: a rerun finds it by the outcomes
        report = f"{path.removesuffix(_STEPS)}.html"
        _edit(warehouse, report, lambda page, shown=shown: page.replace(shown, _NAMED))  # type: ignore[misc]
    for path in {path for path, _ in named}:
        gone = {why for of, why in named if of == path}
        cleaned = [step | ({"why": _NAMED} if step.get("why") in gone else {}) for step in steps[path]]
        replace_file(warehouse.files, path, json.dumps(cleaned, indent=1))
    return len({path for path, _ in named})


def _list_logs(warehouse: Warehouse) -> list[Path]:
    # of a remote root there are none
    return [] if warehouse.remote else sorted(Path(warehouse.path("logs")).glob("*.log"))


def _mask(path: Path, ids: Sequence[str]) -> bool:
    """Puts stars over them, where they stand: other processes append to the file meanwhile."""
    patterns = [
        re.compile(_INSTANT + rb"|(?<![^\W_])(?:%b)(?![^\W_])" % some.encode(), re.MULTILINE)
        for some in join_alternatives(ids)
    ]
    is_redacted, place = False, 0
    with path.open("r+b") as file:
        while lines := b"".join(file.readlines(_LOG_BYTES)):
            redacted = lines
            for pattern in patterns:
                redacted = pattern.sub(_hide, redacted)
            if redacted != lines:
                is_redacted = True
                file.seek(place)
                file.write(redacted)
            place += len(lines)
    return is_redacted


def _hide(match: re.Match[bytes]) -> bytes:
    return match[0] if re.fullmatch(_INSTANT, match[0]) else b"*" * len(match[0])
