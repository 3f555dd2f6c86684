"""top_k, entropy: of how many plays each value has. A part is a list of values and their counts."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.operations import WINDOW_BITS, FeatureWindows, filtered_input, in_window
from schemas.declarations import Feature
from schemas.parts import Part

# Working columns, which no key can be; the fields of a part's list are item and count.
_ITEM, _COUNT = "_item", "_count"


def fold_items(daily: DataFrame, plays: DataFrame, parts: Sequence[Part], by: Sequence[str]) -> DataFrame:
    """`daily` (one row per `by`) with the list of each part, folded from the plays."""
    for part in parts:
        value = filtered_input(part.of, part.where)
        items = plays.select(*by, value.cast("string").alias(_ITEM)).where(F.col(_ITEM).isNotNull())
        # counted a row per value, with no set in memory
        item_counts = items.groupBy(*by, _ITEM).agg(F.count("*").alias(_COUNT))
        daily = daily.join(_collect_items(item_counts, part, by), [*by], "left")
    return daily


def merge_items(tiles: DataFrame, rows: DataFrame, parts: Sequence[Part], by: Sequence[str]) -> DataFrame:
    """`tiles` (one row per `by`) with the lists of `rows` put together."""
    for part in parts:
        items = rows.select(*by, _list_items(part))
        item_counts = items.groupBy(*by, _ITEM).agg(F.sum(_COUNT).alias(_COUNT))
        tiles = tiles.join(_collect_items(item_counts, part, by), [*by], "left")
    return tiles


def _list_items(part: Part) -> Column:
    return F.inline(part.name).alias(_ITEM, _COUNT)


def _collect_items(item_counts: DataFrame, part: Part, by: Sequence[str]) -> DataFrame:
    # in the order of the values: the same plays, the same list
    pairs = F.sort_array(F.collect_list(F.struct(F.col(_ITEM).alias("item"), F.col(_COUNT).alias("count"))))
    return item_counts.groupBy(*by).agg(pairs.alias(part.name))


def add_item_features(
    rows: DataFrame, tiles: DataFrame, features: FeatureWindows, windows: Sequence[str], by: Sequence[str]
) -> DataFrame:
    """`rows` (one row per `by`) with those of the features that are of items.

    Args:
        tiles: partials, with the windows that each is in.
    """
    # each list is exploded once, whatever features and windows are of it
    features_by_part: dict[Part, list[tuple[Feature, str]]] = {}
    for f, w in features:
        if f.op in VALUES:
            features_by_part.setdefault(f.parts(w)[0], []).append((f, w))
    for part, of_part in features_by_part.items():
        items = tiles.select(*by, WINDOW_BITS, _list_items(part))
        counts = {w: F.sum(F.when(in_window(windows, w), F.col(_COUNT))).alias(w) for _, w in of_part}
        item_counts = items.groupBy(*by, _ITEM).agg(*counts.values())
        values = [VALUES[f.op](f, F.col(w)).alias(f.name(w)) for f, w in of_part]
        # left: an entity may have no item in any of the windows
        rows = rows.join(item_counts.groupBy(*by).agg(*values), [*by], "left")
    return rows


def _top_k(feature: Feature, plays: Column) -> Column:
    # ascending by the negated count, so that equals come in the order of their bytes
    ranked = F.sort_array(F.collect_list(F.when(plays > 0, F.struct((-plays).alias("n"), _ITEM))))
    return F.transform(F.slice(ranked, 1, feature.k), lambda each: each[_ITEM])


def _entropy(_: Feature, plays: Column) -> Column:
    """H = log2 N - (sum of n log2 n) / N."""
    # a sum of decimals is the same in whatever order the rows come
    weighted = F.sum(F.when(plays > 0, (plays * F.log2(plays)).cast("decimal(28,15)"))).cast("double")
    total = F.sum(plays)
    # of one value alone it is 0, from which rounding may leave a little less
    entropy = F.round(F.log2(total) - F.try_divide(weighted, total), 12)
    return F.when(total > 0, F.greatest(entropy, F.lit(0.0)))


# Of an entity's items, a row each, with their plays in a window in the column that is given.
VALUES = {"top_k": _top_k, "entropy": _entropy}
