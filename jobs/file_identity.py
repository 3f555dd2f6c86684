"""What a file is known by: a hash of its path, and one of its content. No Spark."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pyarrow.fs import FileSystem, LocalFileSystem

from jobs.errors import JobError, first_line
from jobs.input_files import InputFile
from jobs.parquet_files import filesystem_of_listed
from jobs.pseudonyms import hash_id, read_key
from jobs.sources import Source

# Of this machine, and up to here of an object store, the whole content is hashed. Of more, both ends and blocks at
# equal distances: all of it would take as long to fetch as to ingest.
WHOLE_BYTES = 2**24
END_BYTES, BLOCK_BYTES, BLOCKS = 2**20, 2**16, 14
READ_BYTES = 2**22
# Opening a file costs a round trip, so many at once.
OPEN_AT_ONCE = 16
HEX_DIGITS = 32
_FILE = re.compile(r"\bfile\b", re.IGNORECASE)


def identify_contents(source: Source, table: str, files: Sequence[InputFile]) -> list[str]:
    """A name for the content of each file, the same wherever it lies and whenever it was written.

    Where the source's SQL reads the path, other paths have other rows, and so other names.

    Raises:
        JobError: a file cannot be read.
    """
    by_path = reads_path(source, table)

    def identify(file: InputFile) -> str:
        content = _hash_content(file)
        return _digest(f"{content}\n{file.path}".encode()) if by_path else content

    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        return list(pool.map(identify, files))


def identify_path(source: Source, path: str) -> str:
    """Where ids are replaced by a keyed hash, so is this: paths of exports have names in them."""
    return hash_id(read_key(), path) if source.pseudonymise else _digest(path.encode())


def hides_paths(source: Source) -> bool:
    return source.personal or bool(source.pseudonymise)


def reads_path(source: Source, table: str) -> bool:
    # by the word: where it is a column of the files, or a text, a file that was moved is read again and adds nothing
    return any(_FILE.search(sql) for sql in (*source.section(table).values(), source.where))


class ListedPaths:
    """Finds the path by which a file was listed from what rows have, where its scheme is written in another way."""

    def __init__(self, files: Iterable[InputFile]) -> None:
        self._paths = {drop_scheme(file.path): file.path for file in files}

    def find(self, text: str) -> str:
        return self._paths.get(drop_scheme(text), text)


def drop_scheme(path: str) -> str:
    return re.sub("^file:/+", "/", path)


def name_file(path: str) -> str:
    return path.rpartition("/")[2]


def _hash_content(file: InputFile) -> str:
    files, inner = filesystem_of_listed(file.path)
    digest = hashlib.sha256(str(file.bytes).encode())
    try:
        for block in _read_blocks(files, inner, file.bytes):
            digest.update(block)
    except OSError as problem:
        raise JobError(
            f"file {file.path} cannot be read: {first_line(problem)}; mend it, or give the other files one by one"
        ) from None
    return digest.hexdigest()[:HEX_DIGITS]


def _read_blocks(files: FileSystem, path: str, size: int) -> Iterator[bytes]:
    # of the size that was listed: what has been appended since is another content, and will be seen as that
    with files.open_input_file(path) as stream:
        for start, length in _list_blocks(size, isinstance(files, LocalFileSystem)):
            yield stream.read_at(length, start)


def _list_blocks(size: int, is_local: bool) -> Iterator[tuple[int, int]]:
    if is_local or size <= WHOLE_BYTES:
        yield from ((start, min(READ_BYTES, size - start)) for start in range(0, size, READ_BYTES))
        return
    yield 0, END_BYTES
    step = (size - 2 * END_BYTES) // (BLOCKS + 1)
    yield from ((END_BYTES + n * step, BLOCK_BYTES) for n in range(1, BLOCKS + 1))
    yield size - END_BYTES, END_BYTES


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:HEX_DIGITS]
