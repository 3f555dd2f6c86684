"""Columns that are declared later, beside those that are published: which rows there are depends on no column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.operations import with_default
from schemas import Contract, FeatureGroup


def replace_features(
    published: DataFrame, computed: DataFrame, group: FeatureGroup, names: Sequence[str]
) -> DataFrame:
    """Rows of the group's table with these columns as computed, and the others as published."""
    # a column that was added later may be null in the table, though it has a value in each of these rows
    kept = {f.name(w): with_default(f, F.col(f.name(w))) for f, w in group.feature_windows}
    return _replace_columns(published, computed, group.contract(), names, kept)


def replace_parts(
    published: DataFrame, computed: DataFrame, group: FeatureGroup, names: Sequence[str]
) -> DataFrame:
    """The same for its table of partials."""
    return _replace_columns(published, computed, group.partials_contract(), names, {})


def _replace_columns(
    published: DataFrame,
    computed: DataFrame,
    contract: Contract,
    names: Sequence[str],
    kept: Mapping[str, Column],
) -> DataFrame:
    # the instant of publication is that of this batch
    others = [name for name in contract.names if name not in (*names, "available_at")]
    rows = published.select(*[kept.get(name, F.col(name)).alias(name) for name in others])
    return rows.join(computed.select(*contract.key, *names), [*contract.key])
