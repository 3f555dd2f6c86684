"""Small files under a root, on a disk or an object store: whoever reads one finds it whole, the old or the new."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

from pyarrow import fs


def replace_file(files: fs.FileSystem, path: str, text: str) -> None:
    """Writes a file, and the folder that it is in."""
    folder, _, name = path.rpartition("/")
    # a local disk refuses a file in a folder that is not there
    files.create_dir(folder, recursive=True)
    if not isinstance(files, fs.LocalFileSystem):
        # a put is there as a whole, or not at all
        _write(files, path, text)
        return
    # a name of its own, as two may write at once
    staged = f"{folder}/.{name}.{uuid4().hex[:8]}"
    try:
        _write(files, staged, text)
        files.move(staged, path)
    except OSError:
        with suppress(OSError):
            files.delete_file(staged)
        raise


def read_file(files: fs.FileSystem, path: str) -> str | None:
    """None where there is no such file."""
    # no look beforehand whether it is there: on an object store that is a request of its own
    with suppress(FileNotFoundError), files.open_input_stream(path) as file:
        return file.read().decode()
    return None


def _write(files: fs.FileSystem, path: str, text: str) -> None:
    with files.open_output_stream(path) as file:
        file.write(text.encode())
