"""Feature profiles: how the values of each column were distributed, in every batch that was audited."""

from __future__ import annotations

from schemas.contract import Column, Contract

FEATURE_PROFILES = Contract(
    name="feature_profiles",
    meaning="One row per attempt to publish, day and column; never anything about one listener.",
    columns=(
        Column("run_id", "string", "one command that ran one or more jobs", nullable=False),
        Column(
            "attempt_id", "string", "one attempt to publish one batch, as in quality_results", nullable=False
        ),
        Column("table_name", "string", "the table that the batch was for", nullable=False),
        Column("batch_id", "string", "the batch", nullable=False),
        Column(
            "appends", "boolean", "whether a day is all its batches, not the newest of them", nullable=False
        ),
        Column(
            "outcome", "string", "passed (published, if the table's log has it) or refused", nullable=False
        ),
        Column("ds", "date", "the day, null in a table without days"),
        Column("column", "string", "the column that was profiled", nullable=False),
        Column("profiled_at", "timestamp", "instant of the audit", "UTC", False),
        Column("kind", "string", "number, text, instant or length, of a list", nullable=False),
        Column("rows", "bigint", "rows of the day", "rows", False),
        Column("nulls", "bigint", "rows without a value", "rows", False),
        Column("nans", "bigint", "rows whose value is NaN; they are in no bin", "rows", False),
        Column("mean", "double", "of finite values"),
        Column("spread", "double", "standard deviation of finite values, of the whole population"),
        Column("minimum", "double", "smallest value; of listeners, the edge of its bin"),
        Column("maximum", "double", "largest value; of listeners, the edge of its bin"),
        Column("quantiles", "array<double>", "by the bins, at 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99"),
        Column(
            "bins",
            "array<struct<bin:int,rows:bigint>>",
            "histogram on edges that never change; of instants by hour of the day in UTC",
            nullable=False,
        ),
        Column(
            "distinct_values", "bigint", "different values; an estimate from 4,096 on, 1.6 % standard error"
        ),
        Column(
            "top_values",
            "array<struct<value:string,rows:bigint>>",
            "values of enough listeners, most rows first; null where there are over 1,000 values",
        ),
    ),
    key=("attempt_id", "ds", "column"),
    partitions=(),
    # values of columns are in no log: they would outlive the table's own retention there
    statistics=("ds", "profiled_at"),
)
