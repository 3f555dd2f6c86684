"""Thresholds of rewards, from the table `reward_thresholds`: whether rows are over that of their group."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from segue.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


def compare_with_threshold(rows: pa.Table, thresholds: pa.Table, name: str) -> pa.ChunkedArray:
    """Whether the reward of each row is over the newest threshold of its group; null where either is not known.

    Args:
        rows: with the reward, and what groups are of as strings, by the names that the declaration gives them.
        thresholds: rows of `reward_thresholds`.
        name: of the threshold.

    Raises:
        UsageError: there is no such threshold; rows lack a column, have no numbers in that of the reward or no text in
            that of a group.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from segue.impressions import is_number
    from segue.keys import is_text, value_type

    own = thresholds.filter(pc.equal(thresholds["threshold"], name))
    if not own.num_rows:
        known = ", ".join(sorted(set(thresholds["threshold"].to_pylist())))
        raise UsageError(f"no threshold is named {name!r}; there are: {known}")
    newest = own.filter(pc.equal(own["ds"], pc.max(own["ds"])))
    by, reward = newest["by"][0].as_py(), newest["reward"][0].as_py()
    if missing := [column for column in (reward, *by) if column not in rows.column_names]:
        raise UsageError(
            f"threshold {name}: rows have no {', '.join(missing)}; they have {', '.join(rows.column_names)}"
        )
    if not is_number(value_type(type_ := rows[reward].type)):
        # of text "10" is less than "9" to some, and a number to others
        raise UsageError(f"threshold {name}: {reward} is a number; got {type_}", "make numbers of it")
    if wrong := [f"{column} is {rows[column].type}" for column in by if not is_text(rows[column].type)]:
        # 2020 could be the group '2020' or '2020.0': a row that meets none would be held to the threshold of all
        raise UsageError(
            f"threshold {name}: groups are of text; {', '.join(wrong)}", "cast it as the declaration does"
        )
    values = [tuple(json.loads(text).values()) for text in newest["group_values"].to_pylist()]
    limits = dict(zip(values, newest["value"].to_pylist(), strict=True))
    groups = zip(*(rows[column].to_pylist() for column in by), strict=True) if by else [()] * rows.num_rows
    found = pa.array([_find_limit(limits, group) for group in groups], pa.float64())
    # thresholds are floats, so that whole numbers of more digits lie by them as their nearest floats do
    values = rows[reward].cast(pa.float64(), safe=False)
    return pc.greater(_without_nan(values), _without_nan(found))


def _without_nan(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    # as pandas has null; a comparison with NaN is false, and would say that it is not over
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def _find_limit(
    limits: dict[tuple[str | None, ...], float | None], group: Sequence[str | None]
) -> float | None:
    """That of the longest part of the group that there is."""
    # a group without plays has no row, and is one of its parent's
    parts = (tuple(group[:length]) for length in range(len(group), -1, -1))
    return next((limits[part] for part in parts if part in limits), None)
