"""Pages of several files, for a browser or any static host."""

from __future__ import annotations

from collections.abc import Iterable

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
            with files.open_output_stream(path) as file:
                file.write(text.encode())
            count += 1
    return count
