"""The columns that a training set adds to its labels, and what it is split by: checked before any label is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from features.joins.feature_table import FEATURE_AT, output_name
from features.joins.ripeness import status_name
from features.windows.label_time import outcome_name
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.training.request import (
    Request,
    daily_columns,
    label_time_columns,
    outcome_groups_of,
    split_refs,
)
from schemas.outcomes import reach
from segue.errors import list_names
from segue.splits import are_shares

SPLIT = "split"


def list_added(job: Job, request: Request, tables: Mapping[str, int]) -> list[str]:
    """What is added to the labels, one name for each column, of these versions of the tables.

    Raises:
        WrongUsage: features that there are not, or a column twice: of its day, and at the label's instant.
    """
    daily, label_time = split_refs(request)
    names = [
        output_name(table, column)
        for table, columns in daily_columns(daily, tables, job.snapshot).items()
        for column in (FEATURE_AT, *columns)
    ]
    for table, columns in label_time_columns(label_time).items():
        names += [output_name(table, column) for column in columns]
    names += [*_name_outcomes(request), *([SPLIT] if request.instants or request.shares else [])]
    if twice := [name for name, count in Counter(map(str.casefold, names)).items() if count > 1]:
        raise WrongUsage(
            f"{list_names(twice, 5)} would be there twice: --features has it as of a day, --at-label-time as of the "
            "label's instant; ask for one of them"
        )
    return names


def _name_outcomes(request: Request) -> Iterator[str]:
    for group in outcome_groups_of(request.outcomes):
        yield from (outcome_name(group.table, f, w) for f, w in group.feature_windows)
        yield from dict.fromkeys(status_name(group.table, reach(f, w)) for f, w in group.feature_windows)


def check_names(request: Request, labels: Sequence[str], added: Sequence[str]) -> None:
    """Raises WrongUsage where labels have a column that is added to them."""
    # names that differ in case alone collide too: Spark would find neither
    names = set(map(str.casefold, added))
    if taken := [name for name in labels if name.casefold() in names]:
        raise WrongUsage(
            f"labels {request.labels}: there is a column {list_names(taken, 5)} already, which the training set would "
            "add; rename it"
        )


def check_split(request: Request) -> None:
    """Raises WrongUsage for a split by nothing, of shares that are none, or at instants out of order."""
    # read for its error alone
    _ = request.split_instants
    shares = request.shares
    if bool(shares) != bool(request.split_by):
        raise WrongUsage("--split-by COLUMN and --shares SHARE ... go together")
    if not shares and request.split_salt:
        raise WrongUsage("--split-salt is of --split-by COLUMN and --shares SHARE ...; give all three")
    if shares and not are_shares(shares):
        raise WrongUsage(f"--shares takes two or three that add up to 1; got {' '.join(map(str, shares))}")


def check_split_column(request: Request, columns: Sequence[str]) -> None:
    """Raises WrongUsage where what a split is by is not among the columns of the labels and those added."""
    possible = [name for name in columns if name != SPLIT]
    if request.shares and request.split_by not in possible:
        raise WrongUsage(f"--split-by {request.split_by}: no such column; there are: {', '.join(possible)}")
