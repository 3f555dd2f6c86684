"""approx_distinct, percentiles: sketches of a fixed size, whatever the plays."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.aggregates import Aggregate, Value
from schemas.declarations import Feature

# HyperLogLog registers as a power of two, and KLL's k; the errors are in schemas/operations.py.
HLL_REGISTERS, KLL_K = 12, 200


AGGREGATES: dict[str, Aggregate] = {
    "hll": Aggregate(
        # hashed, as the sketch passes over empty strings, which are values
        lambda _, value: F.hll_sketch_agg(
            F.when(value.isNotNull(), F.xxhash64(value.cast("string"))), HLL_REGISTERS
        ),
        lambda _, column, __: F.hll_union_agg(column, F.lit(True)),
    ),
    "kll": Aggregate(
        lambda _, value: F.kll_sketch_agg_double(value.cast("double"), F.lit(KLL_K)),
        lambda _, column, __: F.kll_merge_agg_double(column),
    ),
}


def _quantiles(feature: Feature, totals: list[Column], _: Column) -> Column:
    sketch = totals[0]
    ranks = F.array(*map(F.lit, feature.at)).cast("array<double>")
    # a sketch of no values has no quantile, and asking for one is an error
    return F.when(F.kll_sketch_get_n_double(sketch) > 0, F.kll_sketch_get_quantile_double(sketch, ranks))


VALUES: dict[str, Value] = {
    "approx_distinct": lambda _, totals, __: F.hll_sketch_estimate(totals[0]),
    "percentiles": _quantiles,
}
