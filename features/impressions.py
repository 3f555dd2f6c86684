"""What is true of impressions as a whole: numbers for the gate."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Of a policy. Where weights vary as much as they are large, the mean of so many strays by 2 % at two standard errors.
LEAST_RANDOMISED = 10_000


def measure_impressions(impressions: DataFrame) -> dict[str, float]:
    """Shares of requests whose positions are not 1, 2, 3 …, and how far propensities are from what they should be."""
    return _measure_positions(impressions) | _measure_propensities(impressions)


def _measure_positions(impressions: DataFrame) -> dict[str, float]:
    different = F.size(F.collect_set("position"))
    requests = impressions.groupBy("request_id").agg(
        (different < F.count("*")).alias("repeats"), (different < F.max("position")).alias("lacks")
    )
    # of no request at all null
    shares = (F.coalesce(F.avg(F.col(name).cast("int")), F.lit(0.0)) for name in requests.columns[1:])
    repeated, lacking = requests.agg(*shares).collect()[0]
    return {"repeated_position_share": repeated, "missing_position_share": lacking}


def _measure_propensities(impressions: DataFrame) -> dict[str, float]:
    """Of the policy that is furthest off: an item has the chance p at a place, so 1 / p is on average how many items
    there are. Over that number, 1."""
    weight = 1 / (F.col("propensity") * F.col("candidate_count"))
    policies = impressions.groupBy("policy_id").agg(
        F.avg(weight).alias("mean"), F.count(weight).alias("rows")
    )
    of_many = policies.where(F.col("rows") >= LEAST_RANDOMISED)
    worst, count = of_many.agg(F.max(F.abs(F.col("mean") - 1)), F.count("*")).collect()[0]
    return {"has_propensities": float(count > 0), "propensity_error": worst or 0.0}
