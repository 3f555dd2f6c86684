"""What is expected of a table's batches: expectations of its rows, and bounds of the batch as a whole."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from expectations.verdict import Result
from expectations.wording import format_limits, format_number, format_observed, format_percent

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

# Known of every batch, so they do not show that its job counted anything.
PROFILED = ("rows", "duplicate_keys")
# Below so many pairs a hit rate is mostly noise: at 1,000 and a rate of 0.15 its standard error is 8 % of it.
MIN_PAIRS = 1_000


@dataclass(frozen=True)
class Bound:
    """Limits, both allowed, of a number of the whole batch: of the profile, counted by the job, or a share of rows."""

    measure: str
    # why these limits; shown where they refuse a batch
    reason: str
    low: float | None = None
    high: float | None = None
    severity: str = "critical"
    # the number is 0..1 and shown as percent
    is_share: bool = False
    # a number of the job that says by 1 or 0 whether the bound means anything for this batch: a first version
    # has none before it to be compared with
    applies_if: str | None = None
    # the bound's name, where its measure has another bound too
    title: str = ""
    # what breaks it is wrong whatever the data are, so no deployment can change it
    integrity: bool = False
    # for a measure that no job counts, a SQL aggregate over the rows, 0..1; `column` is shown with it
    share: str = ""
    column: str | None = None
    # what it is a share of, in words
    share_of: str = ""
    # who says so, where it is not as it comes with Segue; how it comes, in words, if it does; and who answers for it
    origin: str = ""
    default: str = ""
    owner: str = ""

    @property
    def name(self) -> str:
        """How a deployment names the bound; it stays the same whatever the limits are."""
        return self.title or self.measure

    @property
    def expectation(self) -> str:
        """As Great Expectations would name it."""
        return f"expect_{self.name}_to_be_within_bounds"

    @property
    def limits(self) -> str:
        """In words."""
        return f"{format_limits(self.low, self.high, self._format)} {self.share_of}".rstrip()

    def check(self, numbers: Mapping[str, float]) -> Result:
        """Compared with `numbers`, the profile's and the job's."""
        if self.applies_if is not None and numbers.get(self.applies_if) == 0:
            return self._result("info", True, f"does not apply: not {self.applies_if}")
        value = numbers.get(self.measure)
        if value is not None:
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            # in this direction: a NaN holds nowhere
            observed = format_observed(value, self.low, self.high, self._is_percent)
            return self._result(self.severity, low <= value <= high, observed)
        # A job that counts other things, but not this, is wrong, and its batch must not slip through; one that
        # counts nothing (a compaction has no input rows to reject) is only noted.
        job_measures = [name for name in numbers if name not in PROFILED]
        reason = (
            f"the job counted only {', '.join(job_measures)}" if job_measures else "the job counted nothing"
        )
        return self._result(self.severity if job_measures else "info", False, f"not measured: {reason}")

    def explain(self, expected: str, success: bool) -> str:
        """The limits in words, and where they do not hold, the reason."""
        return (
            expected if success else f"{expected} ({explain_origin(self.reason, self.origin, self.default)})"
        )

    def change(self, values: Mapping[str, Any], origin: str, reason: str = "", owner: str = "") -> Bound:
        """With other limits or another severity, and how it comes with Segue."""
        about = {
            "reason": reason or self.reason,
            "origin": origin,
            "default": self.default or f"{self.limits}, {self.severity}",
            "owner": owner or self.owner,
        }
        return replace(self, **{**values, **about})

    def _result(self, severity: str, success: bool, observed: str) -> Result:
        expected = self.explain(self.limits, success)
        about = (self.expectation, self.column or self.measure)
        return Result(*about, severity, success, observed, expected, reason=self.reason, owner=self.owner)

    @property
    def _is_percent(self) -> bool:
        return self.is_share or bool(self.share)

    def _format(self, value: float) -> str:
        return format_percent(value) if self._is_percent else format_number(value)


def explain_origin(reason: str, origin: str, default: str = "") -> str:
    """Why something is expected and who says so; `default`: what Segue would expect."""
    return "; ".join(filter(None, (reason, f"by default {default}" if default else "", origin)))


# What it does not hold for is published, and reported as a warning: for what depends on the data.
SoftBound = partial(Bound, severity="warning")


@dataclass(frozen=True)
class Suite:
    table: str
    expectations: tuple[Expectation, ...]
    bounds: tuple[Bound, ...] = ()

    def select(self, columns: Collection[str]) -> Suite:
        """What is expected of some columns, also beside others, and of the batch as a whole."""

        def is_about(*texts: object) -> bool:
            return not set(columns).isdisjoint(re.findall(r"\w+", " ".join(map(str, texts))))

        return replace(
            self,
            expectations=tuple(e for e in self.expectations if is_about(*e.configuration.kwargs.values())),
            bounds=tuple(b for b in self.bounds if not b.share or is_about(b.column, b.share)),
        )
