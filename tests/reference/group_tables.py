"""Published tables of a feature group against their definitions: every row of its features and of its partials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from reference.partials import comparable
from reference.partials import partials as expected_partials
from reference.rows import Row, assert_same
from reference.windows import snap_to_expected
from reference.windows import window_features as expected_features
from schemas.declarations import FeatureGroup

# What differs from flow to flow, and what follows from the key, which the client does not show.
FREE_COLUMNS = ("available_at", "bucket")
# Of parts: a decayed sum is rounded once for each tile that it was merged of.
TOLERANCE = 4e-12


def assert_tables_as_defined(
    group: FeatureGroup, sessions: Sequence[Row], days: Sequence[date], published: Callable[[str], list[Row]]
) -> None:
    """Of these sessions and days: every feature and every part but the sketches, and no row more.

    Args:
        published: the rows of a table, by its name.
    """
    if group.daily:
        features = _drop_free(expected_features(sessions, group, days))
        _assert_rows(features, _drop_free(published(group.table)), (*group.keys, "ds"), sessions)
    parts, actual = (
        _drop_free(comparable(rows, group))
        for rows in (expected_partials(sessions, group, days), published(group.partials_table))
    )
    key = (*group.keys, "ds", "span")
    _assert_rows(parts, snap_to_expected(parts, actual, key, TOLERANCE), key, sessions)


def _assert_rows(expected: list[Row], actual: list[Row], key: Sequence[str], sessions: Sequence[Row]) -> None:
    assert expected, "the definition expects nothing, so this shows nothing"
    assert_same(expected, actual, key, sessions, key[0])


def _drop_free(rows: Iterable[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in FREE_COLUMNS} for row in rows]
