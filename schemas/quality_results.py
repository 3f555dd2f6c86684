"""Quality results: what was expected of every batch, what was observed, and whether it was published."""

from __future__ import annotations

from schemas.contract import Column, Contract

QUALITY_RESULTS = Contract(
    name="quality_results",
    meaning="One row per attempt to publish and expectation.",
    columns=(
        Column("run_id", "string", "one command that ran one or more jobs", nullable=False),
        Column("attempt_id", "string", "one attempt to publish one batch", nullable=False),
        Column("table_name", "string", "the table that the batch was for", nullable=False),
        Column("batch_id", "string", "the batch", nullable=False),
        Column("first_ds", "date", "first day in the batch, null where it has none"),
        Column("last_ds", "date", "last day in the batch, null where it has none"),
        Column("rows", "bigint", "rows in the batch", "rows", False),
        Column(
            "outcome",
            "string",
            "passed (published, if the table's log has it), refused, failed, abandoned, or unchanged: what was refused "
            "or failed is not offered any more, and the table is as its inputs make it",
            nullable=False,
        ),
        Column("checked_at", "timestamp", "instant of the audit", "UTC", False),
        Column("expectation", "string", "what was expected, as Great Expectations names it", nullable=False),
        Column("column", "string", "of which column, if of one"),
        Column("severity", "string", "critical refuses the batch; warning and info do not", nullable=False),
        Column("success", "boolean", "whether the expectation held", nullable=False),
        Column("observed", "string", "what was seen, in words", nullable=False),
        Column("expected", "string", "what was expected, in words", nullable=False),
        Column("unexpected_count", "bigint", "rows that broke it, where rows can", "rows"),
        Column("reason", "string", "why it matters; null in results from before there was this column"),
        Column("owner", "string", "who answered for it at the time; null as reason is"),
        Column(
            "days",
            "array<date>",
            "the days in the batch, in order; null where it has none, or more than 31, and in results from before "
            "there was this column",
        ),
    ),
    key=("attempt_id", "expectation", "column"),
    partitions=(),
)
