"""A column that a source never has is reported once, where plays are ingested, and not by every table downstream."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from expectations.verdict import Result
from schemas import FEATURE_GROUPS
from schemas.declarations import FeatureGroup
from schemas.sessions import SESSIONS

# Columns of sessions that are computed from columns of plays with other names.
SESSION_COLUMN_INPUTS = {"completion": ("ms_played", "track_ms"), "skipped": ("skipped", "ms_played")}
# One of its inputs is enough for these; every other column needs all of its inputs.
NEEDS_ANY_INPUT = ("skipped",)
NOT_NULL_EXPECTATION = "expect_column_values_to_not_be_null"


def downgrade_to_info(table: str, result: Result, missing: Mapping[str, str]) -> Result:
    """The result; where it failed only because plays lack a column, as information that names the column.

    Args:
        missing: why a column of plays has no value, in words.
    """
    if result.success or result.severity == "critical":
        return result
    causes = find_missing_sources(table, result.column or "", missing)
    if not causes:
        return result
    # several inputs can be missing for one reason: that is said once
    why = "; ".join(dict.fromkeys(missing[name] for name in causes))
    return replace(result, severity="info", observed=f"{why}: {result.observed}")


def find_missing_sources(table: str, column: str, missing: Collection[str]) -> list[str]:
    """Those of the `missing` columns of plays for want of which `column` of `table` has no value."""
    group = next((group for group in FEATURE_GROUPS if table in group.tables), None)
    inputs = _feature_inputs(group, table, column) if group else [column]
    # a column of this name in a table of other events is computed from nothing
    computed = SESSION_COLUMN_INPUTS if group is None or group.source == SESSIONS.name else {}
    return [cause for name in inputs for cause in _missing_inputs(name, computed.get(name, (name,)), missing)]


def _missing_inputs(column: str, sources: Sequence[str], missing: Collection[str]) -> list[str]:
    absent = [name for name in sources if name in missing]
    return [] if column in NEEDS_ANY_INPUT and len(absent) < len(sources) else absent


def _feature_inputs(group: FeatureGroup, table: str, column: str) -> Iterable[str]:
    """Columns of sessions that a feature, or a part of it, is made of."""
    for feature in group.features:
        features = {each.name for each in feature.columns()}
        # features share parts, so a part has the inputs of each of them
        parts = {part.name for window in feature.windows for part in feature.parts(window)}
        if column in (features if table == group.table else parts):
            yield from feature.lineage


def find_empty_columns(results: Iterable[Result], rows: int) -> frozenset[str]:
    """Columns without a value in any of the rows audited."""
    # of no rows nothing can be said: any source would lose all its columns by an empty batch
    return frozenset(
        result.column
        for result in results
        if result.column
        and result.expectation == NOT_NULL_EXPECTATION
        and 0 < rows == result.unexpected_count
    )
