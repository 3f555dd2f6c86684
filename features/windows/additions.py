"""Columns that are declared later, beside those that are published: which rows there are depends on no column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.operations import with_default
from schemas import Contract, FeatureGroup

# So many rows of a key and a few numbers go to every task, some 100 MB: then the published rows, which are wide,
# stay where they are read.
FEW_ROWS = 1_000_000


def replace_features(
    published: DataFrame, computed: DataFrame, group: FeatureGroup, names: Sequence[str], few: bool
) -> DataFrame:
    """Rows of the group's table with these columns as computed, and the others as published.

    Args:
        computed: need not have the entities without plays in the windows of these columns.
        few: whether no more than `FEW_ROWS` are published.
    """
    # a column that was added later may be null in the table, though it has a value in each of these rows; and
    # what comes by a join from the right is null where there is none
    values = {f.name(w): with_default(f, F.col(f.name(w))) for f, w in group.feature_windows}
    return _replace_columns(published, computed, group.contract(), names, values, few)


def replace_parts(
    published: DataFrame, computed: DataFrame, group: FeatureGroup, names: Sequence[str], few: bool
) -> DataFrame:
    """The same for its table of partials, of which `computed` has every row."""
    return _replace_columns(published, computed, group.partials_contract(), names, {}, few)


def _replace_columns(
    published: DataFrame,
    computed: DataFrame,
    contract: Contract,
    names: Sequence[str],
    values: Mapping[str, Column],
    few: bool,
) -> DataFrame:
    # the instant of publication is that of this batch
    others = [name for name in contract.names if name not in (*names, "available_at")]
    added = computed.select(*contract.key, *names)
    rows = published.select(*others).join(F.broadcast(added) if few else added, [*contract.key], "left")
    return rows.select(*[values.get(name, F.col(name)).alias(name) for name in (*others, *names)])
