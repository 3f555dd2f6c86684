"""What it costs to find nothing new in a folder of many files: the listing, the records, the comparison. No Spark.

python benchmarks/known_files.py --files 100000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from jobs.file_identity import identify_contents, identify_path
from jobs.file_records import FileRecorder
from jobs.input_files import list_files
from jobs.job import Job
from jobs.known_files import IdentifiedFile, load_known_files, select_files
from jobs.sources import Source
from schemas import CONTRACTS

FOLDERS = 365
SOURCE = Source(name="made_up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="files in the folder (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="known-files-") as folder:
        landing, root = Path(folder, "landing"), str(Path(folder, "root"))
        with _print_seconds(f"{args.files:,} files made"):
            _make_files(landing, args.files)
        job = Job("known-files", root, say=print)
        job.warehouse.create(CONTRACTS["plays"])
        listed = list_files([str(landing)], lambda: job.spark)
        with _print_seconds("all of them identified by content"):
            contents = identify_contents(SOURCE, "plays", listed)
        files = [
            IdentifiedFile(file, identify_path(SOURCE, file.path), content)
            for file, content in zip(listed, contents, strict=True)
        ]
        with _print_seconds("recorded"):
            FileRecorder(job, "plays", SOURCE, "settings", 0, files).record_read(None)
        with _print_seconds("listed"):
            listed = list_files([str(landing)], lambda: job.spark)
        with _print_seconds("records read"):
            known = load_known_files(job.warehouse, "plays")
        with _print_seconds("compared, none opened"):
            identify = partial(identify_contents, SOURCE, "plays")
            delivery = select_files(known, listed, "settings", partial(identify_path, SOURCE), identify)
        assert not delivery.to_read and not delivery.recognised


def _make_files(landing: Path, count: int) -> None:
    for n in range(count):
        folder = landing / f"day={n % FOLDERS:03}"
        if n < FOLDERS:
            folder.mkdir(parents=True)
        (folder / f"plays-{n:07}.csv").write_text(f"p{n},u1,t1\n")


@contextmanager
def _print_seconds(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.2f} s", flush=True)


if __name__ == "__main__":
    main()
