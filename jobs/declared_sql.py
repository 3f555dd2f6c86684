"""Which SQL of a project a row fails in: Spark says what it met there, and mostly not in which declaration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from jobs.errors import JobError
from schemas import REWARD_TABLES, THRESHOLD_TABLES

# A row that has what SQL cannot take: of SQL's own classes of errors, that of data.
_DATA_FAULT = re.compile(r"\[([A-Z][\w.]*)\] (.*?)(?: If necessary set [^\n]*?)?\s*SQLSTATE: 22")
# What SQL must have to fail in such a way.
_MARKS = {"DIVIDE_BY_ZERO": r"[/%]|\b(div|mod|pmod)\b", "INVALID_ARRAY_INDEX": r"\["}


@contextmanager
def explain_failing_rows(table: str) -> Iterator[None]:
    """Where a row fails in SQL that a project declares for this table, names the declaration.

    Raises:
        JobError: what the row has, where that can be, and what to write instead.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        fault, declared = _DATA_FAULT.search(str(error)), dict(list_sql(table))
        if not fault or not declared:
            raise
        parts = [each.fragment() for each in error.getQueryContext() or []]
        found = [f"{name} = {sql!r}" for name, sql in _select_likely(declared, fault[1], parts).items()]
        raise JobError(
            f"table {table}: a row fails in the SQL of {'one of ' if len(found) > 1 else ''}{'; '.join(found)}: "
            f"{fault[2]}; nothing was published. Write it so that it is null there, as get(genres, 1), "
            "try_divide(ms_played, track_ms) and try_cast(… as int) are"
        ) from error


def list_sql(table: str) -> Iterator[tuple[str, str]]:
    """What a project computes a table by, and what that is named."""
    for rewards in REWARD_TABLES:
        if rewards.name == table:
            yield from ((f"reward {each.name}", each.value) for each in rewards.rewards)
    for declared in THRESHOLD_TABLES:
        if declared.name == table:
            for each in declared.thresholds:
                yield from ((f"threshold {each.name}, by {name}", sql) for name, sql in each.by.items())


def _select_likely(declared: Mapping[str, str], fault: str, parts: Sequence[str]) -> Mapping[str, str]:
    """Those that have the part that Spark names, if it names one; else those that can fail so; else all."""
    named = {name: sql for name, sql in declared.items() if any(part and part in sql for part in parts)}
    mark = _MARKS.get(fault, "")
    return named or {n: sql for n, sql in declared.items() if re.search(mark, sql)} or declared
