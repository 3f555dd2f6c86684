"""Pages of HTML, for a browser or any static host."""

from __future__ import annotations

from collections.abc import Iterable

from pyarrow.fs import FileSystem

from segue.errors import refuse_unwritable
from segue.storage import filesystem


def write_pages(folder: str, pages: Iterable[tuple[str, str]]) -> int:
    """Writes each text to its path below the folder, and says how many there were.

    Raises:
        UsageError: the folder cannot be written to.
    """
    files, inner = filesystem(folder)
    made: set[str] = set()
    count = 0
    with refuse_unwritable(folder):
        for name, text in pages:
            path = f"{inner}/{name}"
            parent = path.rpartition("/")[0]
            if parent not in made:
                files.create_dir(parent, recursive=True)
                made.add(parent)
            _write(files, path, text)
            count += 1
    return count


def write_page(path: str, text: str) -> None:
    """Writes one page, in a folder that is there.

    Raises:
        UsageError: it cannot be written.
    """
    files, inner = filesystem(path)
    with refuse_unwritable(path):
        _write(files, inner, text)


def _write(files: FileSystem, path: str, text: str) -> None:
    # a store's own kind of files is one that browsers save, and do not show; a disk has none
    with files.open_output_stream(path, metadata={"Content-Type": "text/html; charset=utf-8"}) as file:
        file.write(text.encode())
