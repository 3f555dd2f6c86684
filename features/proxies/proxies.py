"""Which early signal tells a late one: each signal's measures, with intervals over listeners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.proxies.evidence import (
    TOGETHER,
    Evidence,
    ProxyError,
    Signal,
    collect_evidence,
    find_days,
    read_numbers,
)
from features.proxies.measures import (
    Bin,
    Flags,
    Floats,
    Ints,
    Measure,
    compute_auc,
    compute_calibration_error,
    compute_r2,
    compute_slope,
    compute_spearman,
    estimate_intervals,
    list_bins,
)
from features.proxies.ridge import FOLDS, assign_folds, predict_out_of_fold

REPLICATES = 200
# Measured one by one, the largest; what the others come to is in that of all rows.
MOST_SEGMENTS = 12
NO_SEGMENT = "(null)"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Estimate:
    """A measure and its interval of 95 %; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Proxy:
    """One signal, `days` after the instant, held to the target.

    `segment` is None for all rows. Of `rows` both are known; of `unknown` the target is and the signal is not. `auc` is
    of rows whose target is above the threshold. `r2`, `slope` and `bins` are of what a ridge over all segments predicts
    of listeners that it has not seen. Of all signals together, spearman and auc are of that prediction.
    """

    signal: str
    days: int
    segment: str | None
    rows: int
    listeners: int
    unknown: int
    spearman: Estimate
    auc: Estimate
    r2: Estimate
    slope: Estimate
    calibration_error: float
    bins: list[Bin]


@dataclass(frozen=True)
class Measurement:
    """All proxies of a target, of all rows and then by segment, the best first; and the rows that were left out.

    `unknown` counts rows whose target is not known, by status where there is one: `unripe` and `censored` ones,
    and `ripe` ones, to which the target does not apply. `nameless` counts those with a target and no listener,
    `small_segments` segments that are not measured on their own.
    """

    target: str
    threshold: float
    rows: int
    unknown: dict[str, int]
    nameless: int
    small_segments: int
    proxies: list[Proxy]


@dataclass(frozen=True)
class _Segments:
    """Of each row the number of its segment, and the names of those that are measured, by number, the largest first."""

    codes: Ints
    names: dict[int, str]
    left_out: int

    @classmethod
    def of(cls, table: pa.Table, column: str | None) -> _Segments:
        if column is None:
            return cls(np.zeros(len(table), np.int64), {}, 0)
        codes, names = _encode(table, column)
        sizes = np.bincount(codes, minlength=len(names))
        # stable: of equal ones, by name
        largest = np.argsort(-sizes, kind="stable")[:MOST_SEGMENTS].tolist()
        return cls(codes, {code: names[code] for code in largest}, len(names) - len(largest))


@dataclass(frozen=True)
class _Rows:
    """Rows with a known target, parallel."""

    target: Floats
    listeners: Ints
    segments: _Segments
    threshold: float
    replicates: int
    seed: int


@dataclass(frozen=True)
class _Sample:
    """Rows of which a signal is known too, parallel: what ranks them, what a ridge predicts of them, what came."""

    scores: Floats
    predicted: Floats
    target: Floats
    listeners: Ints

    def select(self, chosen: Flags) -> _Sample:
        return _Sample(
            self.scores[chosen], self.predicted[chosen], self.target[chosen], self.listeners[chosen]
        )


def measure_proxies(
    table: pa.Table,
    target: str,
    of: Sequence[str],
    *,
    days_observed: Sequence[int] = (),
    segment: str | None = None,
    listener: str = "user_id",
    above: float | None = None,
    horizon: int | None = None,
    status: str | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Measurement:
    """Holds each signal of `of` to the target, over the rows of a table in which both are known.

    Args:
        target: a column of numbers or of true and false.
        of: columns (`completed`, `replayed_1d`, `streams:1`: known after one day); or traces, lists of a value per day.
        days_observed: where traces, and all signals together, are measured; if none, where a signal becomes known.
        segment: a column; each of its values is measured as well.
        listener: whose rows are kept together, in folds and in draws.
        above: AUC is of rows with a target above it; if not given 0 for true and false, else the
            median, or the largest value below it where none is above.
        horizon: days after which the target is known; if not given, those that its name says.
        status: a column that says of the target whether it is ripe, unripe or censored; only counted.
        replicates: draws of listeners for the intervals.

    Raises:
        ProxyError: columns that are missing, no numbers, or no earlier than the target; days on which that is known; no
            row with a known target.
    """
    horizon = find_days(target) if horizon is None else horizon
    others = [each for each in (segment, listener, status) if each]
    signals = _check_signals(table, target, horizon, of, others)
    values = read_numbers(table, target)
    is_known = np.isfinite(values)
    has_listener = table[listener].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    chosen = is_known & has_listener
    if not chosen.any():
        raise ProxyError(
            f"target {target} is known in none of {len(table):,} rows; expected rows whose horizon has passed"
        )
    ripe = table.filter(pa.array(chosen))
    segments = _Segments.of(ripe, segment)
    threshold = _choose_threshold(table.schema.field(target).type, values[chosen], above)
    rows = _Rows(values[chosen], _encode(ripe, listener)[0], segments, threshold, replicates, seed)
    evidence = collect_evidence(ripe, signals, days_observed, horizon)
    return Measurement(
        target,
        threshold,
        len(ripe),
        _count_unknown(table.filter(pa.array(~is_known)), status),
        int((is_known & ~has_listener).sum()),
        segments.left_out,
        _sort_best_first([proxy for each in evidence for proxy in _measure(rows, each)], segments),
    )


def _sort_best_first(proxies: Sequence[Proxy], segments: _Segments) -> list[Proxy]:
    places: dict[str | None, int] = {None: 0}
    places |= {name: place for place, name in enumerate(segments.names.values(), 1)}
    # of equal ones the earlier is the better
    return sorted(
        proxies,
        key=lambda each: (
            places[each.segment],
            -np.nan_to_num(each.r2.value, nan=-np.inf),
            each.days,
            each.signal,
        ),
    )


def _check_signals(
    table: pa.Table, target: str, horizon: int | None, of: Sequence[str], others: Sequence[str]
) -> list[Signal]:
    signals = [Signal.parse(each) for each in dict.fromkeys(of)]
    names = [each.column for each in signals]
    if not signals or len(set(names)) < len(names):
        raise ProxyError(f"signals are {', '.join(of) or 'none'}; expected one column or more, each once")
    if missing := [each for each in (target, *names, *others) if each not in table.column_names]:
        raise ProxyError(f"no column {', '.join(missing)}; the rows have {', '.join(table.column_names)}")
    late = [each.column for each in signals if horizon is not None and each.days >= horizon]
    if late or target in names:
        raise ProxyError(
            f"{', '.join(late) or target} is known no earlier than the target {target}; expected earlier signals"
        )
    return signals


def _choose_threshold(kind: pa.DataType, target: Floats, above: float | None) -> float:
    if above is not None:
        return above
    if pa.types.is_boolean(kind):
        return 0.0
    median = float(np.median(target))
    # where half of the rows or more have the largest value, these are the ones above
    return median if median < target.max() else float(target[target < median].max(initial=-np.inf))


def _count_unknown(table: pa.Table, status: str | None) -> dict[str, int]:
    if status is None:
        return {UNKNOWN: len(table)} if len(table) else {}
    names = Counter(UNKNOWN if each is None else str(each) for each in table[status].to_pylist())
    return dict(sorted(names.items()))


def _encode(table: pa.Table, column: str) -> tuple[Ints, list[str]]:
    """Of each row the place of its value among the distinct ones, as text and in their order.

    By order, so that the same rows in another order have the same folds and draws.

    Raises:
        ProxyError: lists or others that have no text.
    """
    try:
        texts = table[column].cast(pa.string()).fill_null(NO_SEGMENT).combine_chunks().dictionary_encode()
    except pa.ArrowException:
        kind = table.schema.field(column).type
        raise ProxyError(f"column {column} is of type {kind}; expected texts, numbers or days") from None
    order = pc.sort_indices(texts.dictionary)
    codes: Ints = np.argsort(order.to_numpy())[texts.indices.to_numpy()]
    return codes, texts.dictionary.take(order).to_pylist()


def _measure(rows: _Rows, evidence: Evidence) -> Iterator[Proxy]:
    """A proxy for all rows and for each segment, of the predictions of one ridge."""
    known, segments = evidence.is_known, rows.segments
    sample = _predict(rows, evidence.signal, evidence.columns, known)
    yield _hold(rows, sample, evidence, None, int((~known).sum()))
    for code, name in segments.names.items():
        inside = segments.codes == code
        yield _hold(rows, sample.select(inside[known]), evidence, name, int((inside & ~known).sum()))


def _predict(rows: _Rows, signal: str, columns: Floats, known: Flags) -> _Sample:
    """Predictions are NaN where nothing can be learned: of one listener, or of columns that never differ."""
    columns, target, listeners = columns[known], rows.target[known], rows.listeners[known]
    folds = min(FOLDS, len(np.unique(listeners)))
    predicted = np.full(len(target), np.nan)
    if folds > 1 and np.ptp(columns, axis=0).any():
        predicted = predict_out_of_fold(columns, target, assign_folds(listeners, folds, rows.seed))
    # of a trace the days that are active, as the target counts them
    scores = predicted if signal == TOGETHER else columns.sum(axis=1)
    return _Sample(scores, predicted, target, listeners)


def _hold(rows: _Rows, sample: _Sample, evidence: Evidence, segment: str | None, unknown: int) -> Proxy:
    measures = _list_measures(sample, rows.threshold)
    ones = np.ones(len(sample.target))
    intervals = estimate_intervals(measures, sample.listeners, rows.replicates, rows.seed)
    estimates = {name: Estimate(measure(ones), *intervals[name]) for name, measure in measures.items()}
    bins = list_bins(sample.predicted, sample.target) if np.isfinite(sample.predicted).all() else []
    return Proxy(
        evidence.signal,
        evidence.days,
        segment,
        len(sample.target),
        len(np.unique(sample.listeners)),
        unknown,
        **estimates,
        calibration_error=compute_calibration_error(bins),
        bins=bins,
    )


def _list_measures(sample: _Sample, threshold: float) -> dict[str, Measure]:
    predicted, target, is_positive = sample.predicted, sample.target, sample.target > threshold
    codes, target_codes = (np.unique(each, return_inverse=True)[1] for each in (sample.scores, target))
    return {
        "spearman": lambda weights: compute_spearman(codes, target_codes, weights),
        "auc": lambda weights: compute_auc(codes, is_positive, weights),
        "r2": lambda weights: compute_r2(predicted, target, weights),
        # where a signal never differs, as in a segment, predictions differ by their folds alone
        "slope": lambda weights: compute_slope(predicted, target, weights) if codes.any() else np.nan,
    }
