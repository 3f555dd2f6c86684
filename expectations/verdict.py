"""The results of an audit, and the refusal that follows from critical ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from expectations.wording import describe_failure

# Of columns that a batch takes over from what is published.
KEPT_EXPECTATION = "expect_other_columns_to_be_as_published"


@dataclass(frozen=True)
class Result:
    """One expectation of one batch."""

    expectation: str
    column: str | None
    # only `critical` refuses the batch; the others are `warning` and `info`
    severity: str
    success: bool
    observed: str
    expected: str
    unexpected_count: int | None = None
    # why it matters, in a sentence; and who answers for it, where that is not who owns the table
    reason: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Verdict:
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.success)

    @property
    def warnings(self) -> tuple[Result, ...]:
        return tuple(result for result in self.failures if result.severity == "warning")

    @property
    def critical(self) -> tuple[Result, ...]:
        return tuple(result for result in self.failures if result.severity == "critical")

    @property
    def refused(self) -> bool:
        return bool(self.critical)

    def downgrade(self) -> Verdict:
        """The same, with a warning in place of whatever is critical."""
        critical = self.critical
        return Verdict(
            tuple(replace(each, severity="warning") if each in critical else each for each in self.results)
        )


def name_status(success: bool, severity: str) -> str:
    """Of a result, in a word; only what is critical and did not hold is broken."""
    if success:
        return "held"
    return {"critical": "broken", "warning": "warning"}.get(severity, "noted")


class Refused(Exception):
    """The gate did not let a batch through; the text says which, why, and what to do."""

    # apart from 1 and 2, so that a scheduler can tell data that were refused from a step that broke
    exit_code = 3

    def __init__(self, text: str, verdict: Verdict) -> None:
        super().__init__(text)
        self.verdict = verdict

    @classmethod
    def batch(
        cls, table: str, batch_id: str, verdict: Verdict, path: str, days: int = 3, owner: str = ""
    ) -> Refused:
        """One batch of one table, whose files stay at `path` for some days; its owner knows what to do."""
        kept = "for a day" if days == 1 else f"for {days} days"
        asks = f" {table} is owned by {owner}." if owner else ""
        # says where the rows are, as results hold counts alone: samples would carry ids into the report
        return cls._compose(
            f"table {table}: batch {batch_id} refused, {_count_violations(verdict)}; what was published is unchanged",
            verdict,
            f"The rows are kept {kept} in {path}, a Delta table that no reader sees. "
            "`segue report` shows some that break an expectation, and the query that finds all of them; correct what "
            f"made them, and run the step again.{asks}",
        )

    @classmethod
    def release(cls, verdict: Verdict) -> Refused:
        """Tables that do not fit together, and nothing that could be released without them."""
        return cls._compose(
            f"release refused, {_count_violations(verdict)}; readers keep the release before",
            verdict,
            "Run the steps that make the tables named above again, then release.",
        )

    @classmethod
    def tables(cls, release: str, reasons: Mapping[str, str], verdict: Verdict) -> Refused:
        """Some tables, of a release that was made without their newest versions."""
        table_reasons = "; ".join(f"{table} {why}" for table, why in sorted(reasons.items()))
        return cls._compose(
            f"release {release} is served, but not with the newest of every table: {table_reasons}",
            verdict,
            "Run the steps that make these tables again, then release-tables.",
        )

    @classmethod
    def _compose(cls, what: str, verdict: Verdict, to_do: str) -> Refused:
        reasons = (f"  {format_failure(result)}" for result in verdict.critical)
        return cls("\n".join((what, *reasons, to_do)), verdict)


def format_failure(result: Result) -> str:
    """A failed expectation in one line."""
    words = describe_failure(result.column, result.expected, result.observed)
    return f"{words} [{result.expectation}]"


def _count_violations(verdict: Verdict) -> str:
    return f"{len(verdict.critical)} of {len(verdict.results)} expectations broken"
