"""One fault for each expectation of rows of every suite, and what else must fail with it.

A fault is four good rows, spoiled in the first or in all. What fails with it is written down, never computed from what
was seen: an expectation that begins to fail with another's fault, or no longer fails, is a change to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from great_expectations.expectations.expectation import Expectation

from expectations.requirements import describe_expectation
from expectations.suite import Bound, Suite
from reference.batches import DAY, NEXT_MIDNIGHT, NOON, batch
from reference.rows import Row
from schemas import Contract

ROWS = 4
NAN = float("nan")
SECOND = timedelta(seconds=1)
# Column, and what is expected of it, in words.
Name = tuple[str, str]


@dataclass(frozen=True)
class Fault:
    """`others` fail too, as no value can break the one alone."""

    values: Mapping[str, Any]
    others: frozenset[Name] = frozenset()
    in_all_rows: bool = False


def _fault(*others: Name, in_all_rows: bool = False, **values: Any) -> Fault:
    return Fault(values, frozenset(others), in_all_rows)


@dataclass(frozen=True)
class Seed:
    name: Name
    fault: Fault
    rows: list[Row] = field(repr=False)


SOME_VALUE, NOT_NULL, NOT_EMPTY, FINITE = (
    "a value in some rows", "not null", "not empty", "no NaN, no infinity",
)  # fmt: skip
NO_NULL, ALL_FINITE = "no element null", "no element NaN or infinite"
SIZE, DIMENSIONS = "one size per day", "as many dimensions as vector"
ONE_SPACE, ONE_VERSION = "one space per day", "one version per day"
DIRECTION, LENGTH = ("vector", "in + out, divided by norm"), ("norm", "the length of in + out")
WHERE_NONE = "null where source is none, and only there"
SUM = "a sum of 1, or of 0"
JOINED = ("semantic_id", "codes and collision, joined")
SKIPPED = ("skipped", "1 % to 95 % of plays skipped")
COVERAGE = ("support", "at least 95 % of plays are of tracks learned")
IS_STATUS, UNTIL_OVER = "ripe, unripe or censored", "null until 1d are over"
FIRST_PLAY, UNTIL_NONE = "none, and no first play, or some and one", "null until no play can come any more"
BEYOND = "no bit beyond days_observed"
WITH_LEVEL, OWN_VALUE = "there where value_level is", "value where value_level is level, else null"
LONG_AGO, AHEAD = datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)

# By what is expected of which column, in any table.
ANYWHERE: dict[Name, Fault] = {
    ("reasons", "at least one reason"): _fault(reasons=[]),
    ("feature_at", "midnight after ds, UTC"): _fault(feature_at=NEXT_MIDNIGHT - timedelta(days=1)),
    ("span", "divides the days up to ds"): _fault(span=3),
    ("plays_hours_30d", "24 hours"): _fault(plays_hours_30d=[1 / 23] * 23),
    ("plays_hours_30d", "no share below 0"): _fault(plays_hours_30d=[-1.0, 2.0] + [0.0] * 22),
    ("plays_hours_30d", SUM): _fault(plays_hours_30d=[1.0] + [1 / 24] * 23),
    ("plays_hours_30d", ALL_FINITE): _fault(("plays_hours_30d", SUM), plays_hours_30d=[NAN] + [1 / 24] * 23),
    ("artists_top_k_30d", "at most 5 values"): _fault(artists_top_k_30d=["a"] * 6),
    ("space_id", ONE_SPACE): _fault(space_id="another"),
    ("version_id", ONE_VERSION): _fault(version_id="another"),
    ("codebook_id", "one codebook per day"): _fault(codebook_id="another"),
    # in all rows, as of one row they would be another value of the day
    ("space_id", NOT_EMPTY): _fault(space_id="", in_all_rows=True),
    ("version_id", NOT_EMPTY): _fault(version_id="", in_all_rows=True),
    ("codebook_id", NOT_EMPTY): _fault(codebook_id="", in_all_rows=True),
    ("skipped", "1 % to 95 % of plays skipped"): _fault(skipped=True, in_all_rows=True),
    ("is_bot", "at most 20 % of plays by bots"): _fault(is_bot=True, in_all_rows=True),
}
_TIMES = {
    ("played_at", "from 1999 on"): _fault(played_at=LONG_AGO, ds=LONG_AGO.date()),
    ("played_at", "not in the future"): _fault(played_at=AHEAD, ds=AHEAD.date()),
    ("ds", "the day of played_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
}
# What no column has by its type.
GOOD: dict[str, Row] = {"attributions": {"delay_ms": 0}}
_VECTORS = ("vector", "in_vector", "out_vector")
# Of rewards: completed, replayed_1d and ms_after.
_OF_STATUS: dict[Name, Fault] = {
    ("status_1d", IS_STATUS): _fault(status_1d="soon", replayed_1d=None, ms_after=None),
    ("status_1d", NOT_EMPTY): _fault(("status_1d", IS_STATUS), status_1d="", replayed_1d=None, ms_after=None),
    ("replayed_1d", UNTIL_OVER): _fault(status_1d="unripe", ms_after=None),
    ("ms_after", UNTIL_OVER): _fault(status_1d="censored", replayed_1d=None),
}
# Of thresholds, where all groups are too small.
_NONE: Row = {"value": None, "value_level": None, "own_value": None}
_NO_VALUE: list[Name] = [("value", SOME_VALUE), ("value_level", SOME_VALUE), ("own_value", SOME_VALUE)]
_NOT_OVER = {"status_0d": "unripe", "plays": None, "play_id": None, "delay_ms": None, "completed": None}
BY_TABLE: dict[str, dict[Name, Fault]] = {
    "plays": _TIMES,
    "late_plays": {
        ("played_at", "from 1999 on"): _fault(played_at=LONG_AGO),
        ("played_at", "not in the future"): _fault(played_at=AHEAD),
        ("ds", "the day of arrived_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
    },
    "sessions": {
        ("played_at", "from 1999 on"): _fault(
            played_at=LONG_AGO, session_started_at=LONG_AGO, ds=LONG_AGO.date()
        ),
        ("played_at", "not in the future"): _fault(
            played_at=AHEAD, session_started_at=AHEAD, ds=AHEAD.date()
        ),
        ("ds", "the day of played_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
        ("session_started_at", "not after the play"): _fault(session_started_at=NOON + SECOND, position=2),
        ("session_started_at", "for a first play, the instant of it"): _fault(
            session_started_at=NOON - SECOND
        ),
        ("skipped", SOME_VALUE): _fault(SKIPPED, skipped=None, in_all_rows=True),
    },
    "impressions": {
        ("shown_at", "from 1999 on"): _fault(shown_at=LONG_AGO, ds=LONG_AGO.date()),
        ("shown_at", "not in the future"): _fault(shown_at=AHEAD, ds=AHEAD.date()),
        ("ds", "the day of shown_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
        ("shelf_position", ">= 1"): _fault(shelf_position=0),
        ("position", ">= 1"): _fault(position=0),
        ("propensity", "> 0 and propensity <= 1"): _fault(propensity=0.0),
        ("propensity", FINITE): _fault(("propensity", "> 0 and propensity <= 1"), propensity=NAN),
        ("candidate_count", ">= 1"): _fault(candidate_count=0),
    },
    "attributions": {
        ("ds", "the day of played_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
        ("shown_at", "not after the play"): _fault(shown_at=NOON + SECOND, delay_ms=-1000),
        ("delay_ms", "from shown_at to played_at"): _fault(delay_ms=4),
    },
    "tracks": {
        ("released_on", "not before there were recordings"): _fault(released_on=date(1600, 1, 1)),
        ("released_on", "within a year from now"): _fault(released_on=date(2999, 1, 1)),
        ("released", "1994, 1994-05 or 1994-05-02"): _fault(released="1994-5"),
        ("isrc", "an ISRC without hyphens"): _fault(isrc="QZ-AAA-26-00001"),
        ("recording_mbid", "a UUID in lower case"): _fault(recording_mbid="b1a9c0e9"),
    },
    "track_changes": {("field", "another value than before"): _fault(before="x", after="x")},
    "embedding_versions": {
        ("status", "rejected with reasons, else accepted"): _fault(status="rejected"),
        ("start", "cold or warm"): _fault(start="lukewarm", space_id="another"),
        ("start", NOT_EMPTY): _fault(("start", "cold or warm"), start="", space_id="another"),
        ("space_id", "its own for cold, the parent's for warm"): _fault(space_id="another"),
        ("space_id", NOT_EMPTY): _fault(start="warm", space_id=""),
        ("version_id", NOT_EMPTY): _fault(start="warm", version_id=""),
        ("parent", "not null for warm"): _fault(start="warm", space_id="another", parent=None),
        ("reasons", NO_NULL): _fault(reasons=[None], status="rejected"),
    },
    "track_embeddings": {
        ("vector", SIZE): _fault(
            ("in_vector", DIMENSIONS), ("out_vector", DIMENSIONS), vector=[0.6, 0.8, 0.0]
        ),
        ("in_vector", SIZE): _fault(("in_vector", DIMENSIONS), in_vector=[0.3, 0.4, 0.0]),
        ("out_vector", SIZE): _fault(("out_vector", DIMENSIONS), out_vector=[0.3, 0.4, 0.0]),
        # where all have three, the day has one size
        ("in_vector", DIMENSIONS): _fault(in_vector=[0.3, 0.4, 0.0], in_all_rows=True),
        ("out_vector", DIMENSIONS): _fault(out_vector=[0.3, 0.4, 0.0], in_all_rows=True),
        ("vector", "two dimensions or more"): _fault(
            vector=[1.0], in_vector=[0.5], out_vector=[0.5], in_all_rows=True
        ),
        # without plays, so that they are missing from no share of them
        ("source", "one of learned, artist, content, none"): _fault(source="other", support=0),
        ("source", NOT_NULL): _fault(source=None, support=0),
        ("source", NOT_EMPTY): _fault(
            ("source", "one of learned, artist, content, none"), source="", support=0
        ),
        **{(name, WHERE_NONE): _fault(**{name: None}) for name in (*_VECTORS, "norm")},
        **{
            (name, SOME_VALUE): _fault((name, WHERE_NONE), in_all_rows=True, **{name: None})
            for name in (*_VECTORS, "norm")
        },
        DIRECTION: _fault(vector=[0.8, 0.6]),
        ("vector", "of length 1"): _fault(DIRECTION, vector=[0.0, 0.0]),
        ("vector", ALL_FINITE): _fault(("vector", "of length 1"), DIRECTION, vector=[NAN, 0.8]),
        ("in_vector", ALL_FINITE): _fault(LENGTH, DIRECTION, in_vector=[NAN, 0.4]),
        ("out_vector", ALL_FINITE): _fault(LENGTH, DIRECTION, out_vector=[NAN, 0.4]),
        LENGTH: _fault(DIRECTION, norm=1.1),
        ("norm", "over 0, under 1,000"): _fault(in_vector=[600.0, 800.0], out_vector=[0.0, 0.0], norm=1000.0),
        ("norm", FINITE): _fault(("norm", "over 0, under 1,000"), norm=NAN),
        ("support", "1 or more where learned"): _fault(support=0),
        ("support", "at least 0"): _fault(source="artist", support=-1),
        COVERAGE: _fault(source="artist"),
        ("source", "at least 99 % of plays are of tracks with a vector"): _fault(
            COVERAGE, source="none", vector=None, in_vector=None, out_vector=None, norm=None
        ),
    },
    "user_embeddings": {
        ("vector", SIZE): _fault(("in_vector", DIMENSIONS), vector=[0.6, 0.8, 0.0]),
        ("vector", "of length 1"): _fault(vector=[0.0, 0.0]),
        ("vector", ALL_FINITE): _fault(("vector", "of length 1"), vector=[NAN, 0.8]),
        ("in_vector", DIMENSIONS): _fault(in_vector=[0.3, 0.4, 0.0]),
        ("weight", "over 0, at most 1 per play"): _fault(weight=0.0),
        ("weight", FINITE): _fault(("weight", "over 0, at most 1 per play"), weight=NAN),
        ("support", "at least 1"): _fault(("weight", "over 0, at most 1 per play"), support=0),
    },
    "similar_tracks": {
        ("neighbours", "not the track itself"): _fault(neighbours=["track_id-0", "b"]),
        ("neighbours", "each once"): _fault(neighbours=["a", "a"]),
        ("scores", "one per neighbour"): _fault(scores=[0.9]),
        ("scores", "falling"): _fault(scores=[0.8, 0.9]),
        ("scores", "from -1 to 1"): _fault(scores=[1.5, 0.9]),
        ("scores", ALL_FINITE): _fault(("scores", "from -1 to 1"), scores=[NAN, 0.9]),
        ("search", "exact or ivf"): _fault(search="random"),
        ("search", NOT_EMPTY): _fault(("search", "exact or ivf"), search=""),
    },
    "candidates": {
        ("track_ids", "one candidate or more"): _fault(track_ids=[], scores=[], origins=[]),
        ("track_ids", "each once"): _fault(track_ids=["a", "a"]),
        ("scores", "one per candidate"): _fault(scores=[0.9]),
        ("origins", "one per candidate"): _fault(origins=["next_track"]),
        ("origins", "each next_track or similar_to_recent"): _fault(origins=["next_track", "other"]),
    },
    "play_rewards": {
        ("ds", "the day of played_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
        **_OF_STATUS,
    },
    "impression_rewards": {
        ("ds", "the day of shown_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
        ("plays", FIRST_PLAY): _fault(plays=0),
        ("play_id", SOME_VALUE): _fault(("plays", FIRST_PLAY), in_all_rows=True, play_id=None),
        ("plays", UNTIL_NONE): _fault(("plays", FIRST_PLAY), **{**_NOT_OVER, "plays": 3}),
        ("play_id", UNTIL_NONE): _fault(**{**_NOT_OVER, "play_id": "p"}),
        ("delay_ms", UNTIL_NONE): _fault(**{**_NOT_OVER, "delay_ms": 3}),
        ("completed", "null until 0d are over"): _fault(**{**_NOT_OVER, "completed": True}),
        ("status_0d", IS_STATUS): _fault(**{**_NOT_OVER, "status_0d": "soon"}),
        ("status_0d", NOT_EMPTY): _fault(("status_0d", IS_STATUS), **{**_NOT_OVER, "status_0d": ""}),
        **_OF_STATUS,
    },
    "discovery_traces": {
        ("ds", "the day of discovered_at, in UTC"): _fault(ds=DAY + timedelta(days=1)),
        ("status", IS_STATUS): _fault(status="soon"),
        ("status", NOT_EMPTY): _fault(("status", IS_STATUS), status=""),
        ("trace", BEYOND): _fault(trace=8),
        ("trace", "known where status is ripe or unripe"): _fault(trace=None),
        ("trace", SOME_VALUE): _fault(in_all_rows=True, trace=None, status="censored"),
        ("days_observed", "all days where status is ripe"): _fault(status="ripe"),
        ("days_observed", "from 0 to 59"): _fault(days_observed=60),
    },
    "reward_thresholds": {
        ("level", NOT_NULL): _fault(("own_value", OWN_VALUE), level=None),
        ("value_level", "not over level"): _fault(value_level=3, own_value=None),
        ("value", WITH_LEVEL): _fault(value=None, own_value=None, level=3),
        ("own_value", OWN_VALUE): _fault(own_value=None),
        ("value", SOME_VALUE): _fault(*_NO_VALUE[1:], in_all_rows=True, **_NONE),
        ("value_level", SOME_VALUE): _fault(_NO_VALUE[0], _NO_VALUE[2], in_all_rows=True, **_NONE),
        ("value", FINITE): _fault(value=NAN, own_value=None, level=3),
        ("own_value", FINITE): _fault(("value", FINITE), own_value=NAN, value=NAN),
        ("own_value", SOME_VALUE): _fault(in_all_rows=True, own_value=None, level=3),
        ("listeners", "at most as many as plays"): _fault(listeners=10),
    },
    "semantic_codebooks": {("centroid", SIZE): _fault(centroid=[0.6, 0.8, 0.0])},
    "track_semantic_ids": {
        ("codes", "as many levels per day"): _fault(codes=[7, 0, 1], semantic_id="7-0-1-0"),
        ("codes", "no code below 0"): _fault(codes=[-1, 0], semantic_id="-1-0-0"),
        ("codes", NO_NULL): _fault(JOINED, codes=[7, None]),
        ("codes", NOT_NULL): _fault(JOINED, codes=None),
        ("collision", NOT_NULL): _fault(JOINED, collision=None),
        ("semantic_id", JOINED[1]): _fault(semantic_id="9"),
        ("semantic_id", NOT_EMPTY): _fault(JOINED, semantic_id=""),
    },
}


def seed_faults(suite: Suite, contract: Contract) -> Iterator[Seed]:
    """One for each expectation of rows, and for each bound of a share of them."""
    good = batch(contract, ROWS, **GOOD.get(suite.table, {}))
    for name, expectation in list_names(suite).items():
        fault = _find_fault(name, expectation, suite, contract, good[0])
        spoiled = good if fault.in_all_rows else good[:1]
        yield Seed(name, fault, [{**row, **fault.values} for row in spoiled] + good[len(spoiled) :])


def list_names(suite: Suite) -> dict[Name, Expectation | Bound]:
    names: dict[Name, Expectation | Bound] = {}
    for each in suite.expectations:
        about = describe_expectation(each)
        names[about.column or "", about.expected] = each
    return names | {(bound.column or "", bound.limits): bound for bound in suite.bounds if bound.share}


def _find_fault(
    name: Name, expectation: Expectation | Bound, suite: Suite, contract: Contract, row: Row
) -> Fault:
    known = {**ANYWHERE, **BY_TABLE.get(suite.table, {})}
    if name in known:
        return known[name]
    assert not isinstance(expectation, Bound), f"{suite.table}: no fault is written down for {name}"
    column, expected = name
    bucket = [("bucket", words) for of, words in list_names(suite) if of == "bucket" and words != NOT_NULL]
    of_entity = bucket if column == contract.entity else []
    if expected == NOT_NULL:
        return _fault(*of_entity, **{column: None})
    if expected == NOT_EMPTY:
        return _fault(*of_entity, **{column: ""})
    if expected == SOME_VALUE:
        return _fault(in_all_rows=True, **{column: None})
    if expected == NO_NULL:
        return _fault(**{column: [None, *row[column][1:]]})
    if expected == ALL_FINITE:
        return _fault(**{column: [NAN, *row[column][1:]]})
    if column == "bucket":
        return _fault(bucket=row["bucket"] + 1)
    return _find_number_fault(name, expectation, suite, row)


def _find_number_fault(name: Name, expectation: Expectation, suite: Suite, row: Row) -> Fault:
    column, expected = name
    kwargs = expectation.configuration.kwargs
    if "condition" in kwargs:
        # features: of two windows the shorter, of two days the later
        smaller = kwargs["condition"].split(" ")[0]
        assert expected in (f"at least {smaller}", f"at most {kwargs['condition'].split(' ')[-1]}"), (
            f"{suite.table}: no fault is written down for {name}"
        )
        return _fault(**{smaller: row[smaller] + (0.4 if isinstance(row[smaller], float) else 1)})
    if expected == FINITE:
        return _fault(*_fail_with_nan(column, suite), **{column: NAN})
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    # too small for what the column must not be less than, too
    return (
        _fault(*_name_lower_limits(column, suite), **{column: type(row[column])(low - 1)})
        if high is None
        else _fault(**{column: type(row[column])(high + 1)})
    )


def _fail_with_nan(column: str, suite: Suite) -> Iterator[Name]:
    """A NaN is more than any number."""
    for name, each in list_names(suite).items():
        kwargs = {} if isinstance(each, Bound) else each.configuration.kwargs
        if name[0] == column and kwargs.get("max_value") is not None:
            yield name
        if kwargs.get("condition", "").startswith(f"{column} <= "):
            yield name


def _name_lower_limits(column: str, suite: Suite) -> Iterator[Name]:
    for name, each in list_names(suite).items():
        condition = "" if isinstance(each, Bound) else each.configuration.kwargs.get("condition", "")
        if condition.endswith(f" <= {column}") or f" <= {column} * " in condition:
            yield name


def list_number_faults(suite: Suite) -> Iterator[tuple[Bound, dict[str, float], set[str]]]:
    """Of each bound on a number of the batch: numbers that break it, and the names of bounds that do not hold then."""
    bounds = [bound for bound in suite.bounds if not bound.share]
    good: dict[str, float] = {}
    for bound in bounds:
        of_measure = [each for each in bounds if each.measure == bound.measure]
        lows, highs = _limits(of_measure, "low"), _limits(of_measure, "high")
        good[bound.measure] = max(lows) if lows else min(highs)
        good |= {bound.applies_if: 1.0} if bound.applies_if else {}
    for bound in bounds:
        beyond = _beyond(bound)
        broken = {each.name for each in bounds if each.measure == bound.measure and _is_beyond(each, beyond)}
        yield bound, {**good, bound.measure: beyond}, broken


def _limits(bounds: Sequence[Bound], which: str) -> list[float]:
    return [limit for each in bounds if (limit := getattr(each, which)) is not None]


def _beyond(bound: Bound) -> float:
    return bound.high * 1.001 + 1e-6 if bound.high is not None else (bound.low or 0.0) * 0.999 - 1e-6


def _is_beyond(bound: Bound, value: float) -> bool:
    return not (bound.low is None or bound.low <= value) or not (bound.high is None or value <= bound.high)
