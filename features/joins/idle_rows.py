"""Rows of entities on days of which they have none: their newest earlier row, brought forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.joins.histories import quote_column
from schemas.common import MICROS_A_DAY

# Working columns, with a space as no key has one: the file that rows are from; the publication that they serve in the
# place of, and how many days older than its day they are.
SOURCE, PLACE, AGE = "row source", "row place", "row age"


@dataclass(frozen=True)
class EarlierRows:
    """Where the rows of `keys` are that belong to publications.

    `rows` have a SOURCE. `sources` say of each PLACE where its own rows are (AGE 0) and earlier ones; what `ds`
    and `available_at` its rows are to have; and, by the text of each rule in `idle` that halves, what values are
    multiplied by. `idle` has the rules by column.
    """

    rows: DataFrame
    sources: DataFrame
    keys: Sequence[str]
    columns: Sequence[str]
    idle: Mapping[str, str]

    def bring_forward(self, requested: DataFrame) -> DataFrame:
        """A row for each of the requested (keys, PLACE) that has one: keys, `ds`, `available_at`, columns."""
        # from the requested ones: an earlier row may stand for very many days, of which few are
        places = requested.join(F.broadcast(self.sources), PLACE)
        keys = [quote_column(key) for key in self.keys]
        found = places.join(
            self.rows.select(*keys, SOURCE, *map(quote_column, self.columns)), [*self.keys, SOURCE]
        )
        newest = F.min_by(F.struct("*"), AGE).alias("newest")
        rows = found.groupBy(*keys, PLACE).agg(newest).select("newest.*")
        values = [self._value(name).alias(name) for name in self.columns]
        return rows.select(*keys, "ds", "available_at", *values)

    def _value(self, name: str) -> Column:
        value, rule = quote_column(name), self.idle.get(name, "")
        if rule.startswith("halved"):
            return value * quote_column(rule)
        if rule == "days":
            # in whole microseconds, as the day itself would have had it to the last bit
            micros = F.rint(value * float(MICROS_A_DAY)) + F.col(AGE) * float(MICROS_A_DAY)
            return F.when(F.col(AGE) == 0, value).otherwise(micros / float(MICROS_A_DAY))
        # windows had the value of no plays on the earlier day already
        return value
