"""What maintenance has left lying, and how full the disk is."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import astuple, dataclass
from datetime import timedelta

from deltalake import DeltaTable

from jobs.health.indicators import FINE, WRONG, Indicator
from jobs.health.refusals import PASSED
from jobs.health.root import Root
from jobs.maintain import plan_compactions
from jobs.publishing.commits import list_file_days
from jobs.publishing.findings import join_names
from jobs.publishing.retention import count_removable, find_retention, last_checkpoint
from schemas import CONTRACTS

# What may go waits for the next `segue maintain`: once a week is often enough, and a day late is no matter.
SLACK = timedelta(days=8)
# A reader opens each: so many small files are seconds on a disk, and minutes on an object store.
MANY_SMALL_FILES = 1000
# Entries of a log that a reader reads one by one.
MANY_COMMITS = 100
# Of a disk, and not more than so much of a large one: a night needs room for all that it stages.
FREE_SHARE, FREE_BYTES = 0.1, 50 * 2**30


@dataclass
class Debt:
    """Of a table."""

    removable_files: int = 0
    staged_batches: int = 0
    small_files: int = 0
    commits: int = 0

    @property
    def is_due(self) -> bool:
        too_many = self.small_files > MANY_SMALL_FILES or self.commits > MANY_COMMITS
        return bool(self.removable_files or self.staged_batches or too_many)

    def __add__(self, other: Debt) -> Debt:
        return Debt(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        words = (
            "files to be removed",
            "staged batches left over",
            "small files to be joined",
            "commits since a checkpoint",
        )
        parts = [f"{n:,} {word}" for n, word in zip(astuple(self), words, strict=True) if n]
        return ", ".join(parts)


def measure_debt(root: Root, name: str) -> Debt:
    """What `segue maintain` should have done to a table by now."""
    table = root.warehouse.table(name)
    if table is None:
        return Debt()
    living = [release.tables[name].version for release in root.inventory.releases if name in release.tables]
    return Debt(
        count_removable(root.warehouse, name, min([*living, table.version()]), root.now - SLACK),
        _count_left_over(root, name, table),
        sum(map(len, plan_compactions(table, CONTRACTS[name], root.now - find_retention().releases))),
        table.version() - max(last_checkpoint(root.warehouse, root.warehouse.table_path(name)), 0),
    )


def _count_left_over(root: Root, name: str, table: DeltaTable) -> int:
    """Folders of batches that were never published, and that nobody may want to look at any more."""
    published = {a["batch_id"] for a in root.attempts if (a["table_name"], a["outcome"]) == (name, PASSED)}
    named = {path.split("/", 1)[0].removeprefix("batch-") for path, _ in list_file_days(table)}
    folders = [
        path
        for id_, path in root.warehouse.batches(name).items()
        if id_ not in published and id_ not in named
    ]
    last = root.now - find_retention().refused - SLACK
    infos = root.warehouse.files.get_file_info([root.warehouse.inner(path) for path in folders])
    # object stores have no times of folders
    return sum(info.mtime is not None and info.mtime < last for info in infos)


def describe_debt(root: Root, debts: dict[str, Debt]) -> Indicator:
    due = {name: debt for name, debt in debts.items() if debt.is_due}
    if not due:
        total = sum(debts.values(), Debt())
        what = f"{total.small_files:,} small files to be joined, and none to be removed for over a week"
        return Indicator("debt", "maintenance", FINE, what, "", 0, 0, "files")
    why, value, bound, unit = _find_worst(due.values())
    what = f"{why}: {join_names([f'{name} has {debt}' for name, debt in due.items()])}"
    return Indicator("debt", "maintenance", WRONG, what, root.command("maintain"), value, bound, unit)


def _find_worst(due: Collection[Debt]) -> tuple[str, int, int, str]:
    """What it means, and the number that is beyond its bound, with its unit."""
    overdue = sum(debt.removable_files + debt.staged_batches for debt in due)
    if overdue:
        return "segue maintain should have run a week ago", overdue, 0, "files"
    # these two have no age: a flow that runs each hour comes to them between two weekly runs
    small_files = max(debt.small_files for debt in due)
    if small_files > MANY_SMALL_FILES:
        return "readers open small files that segue maintain joins", small_files, MANY_SMALL_FILES, "files"
    commits = max(debt.commits for debt in due)
    return "readers read commits one by one that segue maintain sums up", commits, MANY_COMMITS, "commits"


def check_disk(root: Root) -> Iterator[Indicator]:
    """Of a local root; an object store has no end."""
    if root.warehouse.remote:
        return
    total, _, free = shutil.disk_usage(root.warehouse.root)
    least = min(total * FREE_SHARE, FREE_BYTES)
    what = f"{free / 2**30:,.1f} GiB of {total / 2**30:,.1f} are free"
    if free >= least:
        yield Indicator("disk", "disk", FINE, what, "", free, least, "bytes")
        return
    what += f", less than {least / 2**30:,.1f}"
    # with each half of what was left, it is news
    state = str(free.bit_length())
    yield Indicator(
        "disk", "disk", WRONG, what, root.command("maintain --dry-run"), free, least, "bytes", state
    )
