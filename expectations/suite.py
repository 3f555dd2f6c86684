"""What is expected of a table's batches, and where each table's expectations are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from expectations.verdict import Result
from expectations.wording import number, percent, span
from schemas import FEATURE_GROUPS

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

OF_GROUPS = tuple(table for group in FEATURE_GROUPS for table in group.tables)
OF_EMBEDDINGS = (
    "track_embeddings", "user_embeddings", "similar_tracks", "candidates", "semantic_codebooks", "track_semantic_ids",
    "embedding_versions",
)  # fmt: skip
TABLES = ("plays", "rejected_plays", "tracks", "sessions", *OF_GROUPS, *OF_EMBEDDINGS)
PROFILED = ("rows", "duplicate_keys")
# Below so many questions a hit rate says little: at 1,000 and a rate of 0.15 its standard error is 8 % of it.
ENOUGH_PAIRS = 1_000


@dataclass(frozen=True)
class Bound:
    """Limits, both allowed, of a number of the whole batch: of the profile, or counted by the job.

    `when` names a number of the job that says by 1 or 0 whether the bound means anything for this batch:
    a first version has none before it to be held to.
    """

    measure: str
    low: float | None = None
    high: float | None = None
    severity: str = "critical"
    is_share: bool = False
    when: str | None = None

    @property
    def name(self) -> str:
        """As Great Expectations would name it, with the limits: one measure can have several bounds."""
        limits = {"at_least": self.low, "at_most": self.high}
        words = [f"{word}_{limit:g}" for word, limit in limits.items() if limit is not None]
        return f"expect_{self.measure}_to_be_{'_and_'.join(words)}"

    def check(self, numbers: Mapping[str, float]) -> Result:
        """Held to `numbers`, the profile's and the job's.

        A job that counts other things, but not this, is wrong, and its batch must not slip through;
        one that counts nothing (a compaction has no input rows to reject) is only noted.
        """
        if self.when is not None and numbers.get(self.when) == 0:
            return self._result("info", True, f"does not apply: not {self.when}")
        value = numbers.get(self.measure)
        if value is not None:
            return self._result(self.severity, self._holds(value), self._words(value))
        counted = [name for name in numbers if name not in PROFILED]
        said = f"the job counted only {', '.join(counted)}" if counted else "the job counted nothing"
        return self._result(self.severity if counted else "info", False, f"not measured: {said}")

    def _holds(self, value: float) -> bool:
        """A NaN holds nowhere."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= value <= high

    def _result(self, severity: str, success: bool, observed: str) -> Result:
        expected = span(self.low, self.high, self._words)
        return Result(self.name, self.measure, severity, success, observed, expected)

    def _words(self, value: float) -> str:
        return percent(value) if self.is_share else number(value)


@dataclass(frozen=True)
class Suite:
    """All expectations of one table's batches."""

    table: str
    expectations: tuple[Expectation, ...]
    bounds: tuple[Bound, ...] = ()


def suite_for(table: str) -> Suite:
    """The table's suite; the first call takes the seconds that Great Expectations needs to import.

    Raises:
        LookupError: nothing is expected of such a table, so it must not be published.
    """
    if table not in TABLES:
        raise LookupError(f"no expectations for table {table!r}; there are some for: {', '.join(TABLES)}")
    if table in OF_GROUPS:
        of_group: Suite = import_module("expectations.feature_groups").suite_of(table)
        return of_group
    suite: Suite = import_module(f"expectations.{table}").SUITE
    return suite
