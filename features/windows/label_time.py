"""Windows that end or begin at a label's own instant: "plays in the last 7d" at 14:03 are those since 14:03 a week ago.

The whole days inside a window are tiles, as they are for daily features. At its two ends are parts of a
day: whole quarters of an hour, and the plays of the one quarter that the instant cuts.

An outcome is the same turned round: [t, t + h) is [t' - h, t') for t' = t + h. Parts that partials do not have
(`schemas.outcomes.FeatureAhead`) are folded from the events of whole days as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.joins.feature_table import output_name
from features.windows import operations
from features.windows.distinct import DistinctCount, list_counts
from features.windows.distinct_ahead import count_distinct_ahead
from features.windows.events import OWN, name_own, plays_of_group
from features.windows.items import add_item_features
from features.windows.operations import AT, DAY, ID, INSTANT, WINDOW_BITS
from features.windows.partials import fold_parts
from features.windows.tiles import Tile, cover
from features.windows.values import VALUES
from schemas.common import MICROS_A_DAY, quote_name
from schemas.declarations import LIFETIME, Feature, FeatureGroup, window_days
from schemas.operations import NOT_AT_LABEL_TIME
from schemas.outcomes import FeatureAhead
from schemas.parts import Part

# Microseconds. Folded once for all labels, so a track with a hundred thousand plays a day costs a label some hundred
# rows: 96 quarters at most at each end of its windows, and the plays of those that the instant cuts.
QUARTER = 15 * 60 * 1_000_000


@dataclass(frozen=True)
class LabelTimeFeatures:
    """Some features of a group, for labels of some days.

    Args:
        ahead: windows are [t, t + w), and not [t - w, t).

    Raises:
        ValueError: a column that the group does not have, or of an operation in `NOT_AT_LABEL_TIME`; ahead, of a
            feature that is no `FeatureAhead`.
    """

    group: FeatureGroup
    columns: tuple[str, ...]
    label_days: tuple[date, ...]
    ahead: bool = False

    def __post_init__(self) -> None:
        possible = [f.name(w) for f, w in self.group.feature_windows if self._has_value(f)]
        for column in self.columns:
            if column not in possible:
                raise ValueError(
                    f"{self.group.table}:{column} cannot be had at a label's own instant; "
                    f"these can: {', '.join(possible)}"
                )

    def _has_value(self, feature: Feature) -> bool:
        return isinstance(feature, FeatureAhead) if self.ahead else feature.op not in NOT_AT_LABEL_TIME

    @cached_property
    def features(self) -> list[tuple[Feature, str]]:
        return [(f, w) for f, w in self.group.feature_windows if f.name(w) in self.columns]

    @cached_property
    def windows(self) -> list[str]:
        return operations.windows_of(self.features)

    @cached_property
    def parts(self) -> list[Part]:
        return list(dict.fromkeys(part for f, w in self.features for part in f.parts(w)))

    @cached_property
    def parts_of_events(self) -> list[Part]:
        """Those of them that the table of partials does not have."""
        return list(dict.fromkeys(part for f, w in self._of_events for part in f.parts(w)))

    @property
    def _of_events(self) -> list[tuple[Feature, str]]:
        return [(f, w) for f, w in self.features if isinstance(f, FeatureAhead) and f.of_events]

    @cached_property
    def distinct_counts(self) -> list[DistinctCount]:
        return list_counts(self.features)

    def name(self, feature: Feature, window: str) -> str:
        """The column beside the labels."""
        name = outcome_name if self.ahead else _feature_name
        return name(self.group.table, feature, window)

    def own(self, labels: DataFrame) -> str | None:
        """The labels' column that may say which event a label is itself; that one, at its instant, is no outcome.

        The key of the events, such as play_id. A window that ends at the label has none of its events at that instant.
        """
        key = self.group.events.key[0]
        return key if self.ahead and key in labels.columns else None

    @cached_property
    def partial_days(self) -> list[date]:
        """The days of the group's table of partials that are read."""
        return sorted({ds for _, ds, _, _ in self.plan})

    @cached_property
    def play_days(self) -> list[date]:
        """The days of the group's source that are read."""
        # those of the labels, and those that windows end in; all between are in the partials, or are read as well
        counted = max((count.days + 1 for count in self.distinct_counts), default=0)
        days = {day + timedelta(days=n) for day in self.label_days for n in range(counted)}
        days |= {day + timedelta(days=n) for day in self.label_days for n, _, _ in self.edges}
        return sorted(days | {ds for _, ds, _ in self.day_plan})

    @cached_property
    def edges(self) -> list[tuple[int, int, bool]]:
        """Where a day is cut, in days from the label's instant; the windows of which that is an end, as bits; and
        whether they have what is before the cut."""
        others = [
            (window_days(window) * (1 if self.ahead else -1), 1 << i, self.ahead)
            for i, window in enumerate(self.windows)
            if window != LIFETIME
        ]
        return [(0, (1 << len(self.windows)) - 1, not self.ahead), *others]

    @cached_property
    def plan(self) -> list[tuple[date, date, int, int]]:
        """Label's day, tile, and in which windows it is."""
        return [(day, *tile, bits) for day in self.label_days for tile, bits in self._tiles(day).items()]

    def _tiles(self, day: date) -> dict[Tile, int]:
        # of windows of which nothing is in the partials, none
        kept = operations.windows_of([each for each in self.features if each not in self._of_events])
        return operations.window_bitmask(
            {w: self._whole_days(day, w) if w in kept else () for w in self.windows}
        )

    @cached_property
    def day_plan(self) -> list[tuple[date, date, int]]:
        """Label's day, whole day whose events are folded, and in which windows it is."""
        lengths = [
            (window_days(w), 1 << self.windows.index(w)) for w in operations.windows_of(self._of_events)
        ]
        longest = max((days for days, _ in lengths), default=0)
        return [
            (day, day + timedelta(days=n), sum(bit for days, bit in lengths if n < days))
            for day in self.label_days
            for n in range(1, longest)
        ]

    def _whole_days(self, day: date, window: str) -> Iterator[Tile]:
        # those between the label's day and that of the window's other end: of these two it holds parts
        whole = LIFETIME if window == LIFETIME else f"{window_days(window) - 1}d"
        last = window_days(window) - 1 if self.ahead else -1
        return cover(day + timedelta(days=last), whole) if whole != "0d" else iter(())


def outcome_name(table: str, feature: Feature, horizon: str) -> str:
    """What an outcome is called beside the labels."""
    return output_name(table, feature.name(f"next_{horizon}"))


def _feature_name(table: str, feature: Feature, window: str) -> str:
    return output_name(table, feature.name(window))


def label_time_features(
    labels: DataFrame,
    partials: DataFrame,
    sessions: DataFrame,
    request: LabelTimeFeatures,
    at: str,
    base: DataFrame | None = None,
    few_labels: bool = False,
) -> DataFrame:
    """`labels` with a column for each of the requested features, as of each label's own instant.

    Args:
        labels: any columns, the group's keys and the instant `at`. They are read several times, so they should
            come straight from a source.
        partials: rows of the group's table of partials of `request.partial_days`.
        sessions: plays of `request.play_days`.
        base: the same labels with more columns, to which the features are added instead.
        few_labels: whether their keys can go to every task, where events and partials of others are left out as read.
    """
    own = [name_own(F.col(quote_name(key))).alias(OWN)] if (key := request.own(labels)) else []
    label_keys = (
        labels.select(*request.group.keys, F.col(quote_name(at)).alias(INSTANT), *own).dropna().distinct()
    )
    by = label_keys.columns
    plays = plays_of_group(sessions, request.group)
    if few_labels:
        plays, partials = (_select_keys(rows, label_keys, request.group) for rows in (plays, partials))
    plays = plays.withColumn("_quarter", find_quarter(F.col(AT)))
    edges = _window_edges(label_keys, request)
    pieces = [_whole_quarters(edges, plays, request), _plays_of_cut_quarter(edges, plays, request)]
    # windows of a day have no whole days: planning a join with nothing takes as long as any
    if request.plan:
        pieces.append(_whole_day_tiles(label_keys, partials, request))
    if request.day_plan:
        pieces.append(_whole_days(label_keys, plays, request))
    # none of these overlap, so they merge like the parts of different days
    rows = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), pieces)
    features = label_keys.join(_merge(rows, request, by), by, "left")
    if request.distinct_counts:
        counted = count_distinct_ahead(label_keys, plays, request.distinct_counts, request.group.keys)
        features = features.join(counted, by, "left")
    return _join_labels(labels if base is None else base, features, request, at)


def _select_keys(rows: DataFrame, label_keys: DataFrame, group: FeatureGroup) -> DataFrame:
    """Those of the labels' keys: all others would be folded and shuffled to meet no label."""
    return rows.join(F.broadcast(label_keys.select(*group.keys).distinct()), [*group.keys], "left_semi")


def _merge(rows: DataFrame, request: LabelTimeFeatures, by: Sequence[str]) -> DataFrame:
    """The values of all features but distinct counts, one row per `by`."""
    age = (F.unix_micros(INSTANT) - F.unix_micros(F.date_add("ds", 1).cast("timestamp"))) / MICROS_A_DAY
    aggregated = [(f, w) for f, w in request.features if f.op in VALUES]
    # an aggregate of nothing is needed where no feature is computed from totals
    totals = [F.count("*").alias("_pieces"), *operations.totals(aggregated, request.windows, age)]
    values = operations.values(aggregated, F.col(INSTANT), request.ahead)
    merged = rows.groupBy(*by).agg(*totals).select(*by, *values)
    return add_item_features(merged, rows, request.features, request.windows, by)


def _whole_day_tiles(label_keys: DataFrame, partials: DataFrame, request: LabelTimeFeatures) -> DataFrame:
    schema = f"{DAY} date, ds date, span int, {WINDOW_BITS} long"
    plan = label_keys.sparkSession.createDataFrame(request.plan, schema)
    tiles = label_keys.withColumn(DAY, F.to_date(INSTANT)).join(F.broadcast(plan), DAY)
    kept = [part.name for part in request.parts if part not in request.parts_of_events]
    rows = partials.select(*request.group.keys, "ds", "span", *kept)
    return tiles.join(rows, [*request.group.keys, "ds", "span"]).select(
        *label_keys.columns, "ds", WINDOW_BITS, *kept
    )


def _whole_days(label_keys: DataFrame, plays: DataFrame, request: LabelTimeFeatures) -> DataFrame:
    """As tiles, a day each, of what partials do not have."""
    schema = f"{DAY} date, ds date, {WINDOW_BITS} long"
    plan = label_keys.sparkSession.createDataFrame(request.day_plan, schema)
    days = label_keys.withColumn(DAY, F.to_date(INSTANT)).join(F.broadcast(plan), DAY).drop(DAY)
    return days.join(fold_parts(plays, request.parts_of_events, by := [*request.group.keys, "ds"]), by)


def _window_edges(label_keys: DataFrame, request: LabelTimeFeatures) -> DataFrame:
    """Per instant: the label's own day on one side of it, for all windows; and per window, the day of its other end."""
    structs = []
    for days, bits, before in request.edges:
        cut = F.col(INSTANT) + F.expr(f"interval {24 * days} hours")
        window_bits = F.lit(bits).cast("bigint").alias(WINDOW_BITS)
        structs.append(F.struct(cut.alias("_cut"), window_bits, F.lit(before).alias("_before")))
    rows = label_keys.select("*", F.inline(F.array(*structs)))
    return rows.withColumns({"ds": F.to_date("_cut"), "_cut_quarter": find_quarter(F.col("_cut"))})


def find_quarter(instant: Column) -> Column:
    return F.floor(F.pmod(F.unix_micros(instant), F.lit(MICROS_A_DAY)) / QUARTER).cast("int")


def _whole_quarters(edges: DataFrame, plays: DataFrame, request: LabelTimeFeatures) -> DataFrame:
    quarter, cut = F.col("_quarter"), F.col("_cut_quarter")
    inside = F.when(F.col("_before"), quarter < cut).otherwise(quarter > cut)
    quarter_rows = _fold_quarters(plays, request, [])
    return _name_piece(edges.join(quarter_rows, [*request.group.keys, "ds"]).where(inside), request)


def _plays_of_cut_quarter(edges: DataFrame, plays: DataFrame, request: LabelTimeFeatures) -> DataFrame:
    at, cut = F.col(AT), F.col("_cut")
    inside = F.when(F.col("_before"), at < cut).otherwise(at >= cut)
    if OWN in edges.columns:
        # others of the label's instant count
        inside &= (at != F.col(INSTANT)) | (name_own(F.col(ID)) != F.col(OWN))
    # parts of one play each, as only those on one side of the instant count
    quarter_rows = _fold_quarters(plays, request, [AT, ID])
    cut_quarters = edges.withColumnRenamed("_cut_quarter", "_quarter")
    rows = cut_quarters.join(quarter_rows, [*request.group.keys, "ds", "_quarter"]).where(inside)
    return _name_piece(rows, request)


def _name_piece(rows: DataFrame, request: LabelTimeFeatures) -> DataFrame:
    own = [OWN] if OWN in rows.columns else []
    parts = [part.name for part in request.parts]
    return rows.select(*request.group.keys, INSTANT, *own, "ds", WINDOW_BITS, *parts)


def _fold_quarters(plays: DataFrame, request: LabelTimeFeatures, finer: Sequence[str]) -> DataFrame:
    return fold_parts(plays, request.parts, [*request.group.keys, "ds", "_quarter", *finer])


def _join_labels(rows: DataFrame, features: DataFrame, request: LabelTimeFeatures, at: str) -> DataFrame:
    keys = request.group.keys
    named = {request.name(f, w): operations.with_default(f, F.col(f.name(w))) for f, w in request.features}
    values = [column.alias(name) for name, column in named.items()]
    # keys are renamed, as the labels have columns of the same names
    own = [OWN] if OWN in features.columns else []
    right = features.select(*[F.col(key).alias(f"_of_{key}") for key in keys], INSTANT, *own, *values)
    # a label that is there twice gets its values twice, one without a key none: the join is left, by equality
    key_matches = [rows[quote_name(key)] == right[f"_of_{key}"] for key in keys]
    if key := request.own(rows):
        key_matches.append(name_own(F.col(quote_name(key))) == right[OWN])
    joined = rows.join(right, [*key_matches, rows[quote_name(at)] == right[INSTANT]], "left")
    return joined.select(*[rows[quote_name(name)] for name in rows.columns], *named)
