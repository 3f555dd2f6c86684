"""What plays were worth: rewards as they are declared, null where they are not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil, log

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.joins.ripeness import CENSORED, RIPE, UNRIPE, add_erasures
from features.windows.label_passes import DayCount, Windows, add_values
from features.windows.label_time import label_time_features
from schemas.common import MICROS_A_DAY, quote_name
from schemas.reward_terms import name_next
from schemas.rewards import OF_PLAY, Reward, Rewards, status_name

AT = "played_at"
# A later play that weighs less than this beside the first is left out of a return.
_LEAST_WEIGHT = 1e-12


@dataclass(frozen=True)
class Evidence:
    """All that rewards of some days are made of, beside the plays themselves."""

    # by day and horizon, whether the horizon is over
    statuses: Mapping[date, Mapping[str, str]]
    windows: Sequence[Windows] = ()
    day_counts: Sequence[DayCount] = ()
    # plays of the sessions of these days, up to the longest horizon of a return
    later_plays: DataFrame | None = None
    # by the SHA-256 of a listener's id, the last instant before which their plays were erased
    erased: Mapping[str, datetime] | None = None


def reward_plays(plays: DataFrame, declared: Rewards, evidence: Evidence) -> DataFrame:
    """Rows of `play_rewards`: one for each of these.

    Args:
        plays: rows of `sessions`, of the days that `evidence.statuses` has.
    """
    rows = _add_statuses(plays, declared, evidence)
    fitting = [each for each in evidence.windows if each.fits]
    rows = add_values(rows, plays, "play_id", AT, fitting, evidence.day_counts)
    for each in evidence.windows:
        if not each.fits:
            labels = _select_days(plays, each.label_days)
            rows = label_time_features(labels, each.partials, each.plays, each.request, AT, base=rows)
    if evidence.later_plays is not None:
        rows = _add_session_values(rows, evidence.later_plays, declared)
    rewards = [_value(reward, rows.columns).alias(reward.name) for reward in declared.rewards]
    statuses = map(status_name, declared.horizons)
    return rows.select(*OF_PLAY, *rewards, *statuses, "ds")


def _value(reward: Reward, columns: Sequence[str]) -> Column:
    # of no day the horizon is over, so nothing was read for it
    named = (*(term.column for term in reward.terms), *map(name_next, reward.next_columns))
    if any(name not in columns for name in named):
        return F.lit(None).cast(reward.type)
    # a return has its name already
    value = F.expr(reward.value) if reward.discount is None else F.col(_return_name(reward))
    value = value.cast(reward.type)
    # of the plays so far there would be too few: zeros that mean "not yet"
    return F.when(F.col(reward.status) == RIPE, value) if reward.status else value


def _add_statuses(plays: DataFrame, declared: Rewards, evidence: Evidence) -> DataFrame:
    rows = add_day_statuses(plays, declared.horizons, evidence.statuses)
    if not evidence.erased:
        return rows
    rows, erased_at = add_erasures(rows, evidence.erased)
    lost = F.coalesce(F.unix_micros(AT) < erased_at, F.lit(False))
    names = map(status_name, declared.horizons)
    return rows.withColumns({name: F.when(lost, CENSORED).otherwise(F.col(name)) for name in names})


def add_day_statuses(
    rows: DataFrame, horizons: Sequence[str], statuses: Mapping[date, Mapping[str, str]]
) -> DataFrame:
    """`rows` with a status for each horizon, which is that of their day."""
    names = [status_name(horizon) for horizon in horizons]
    if not names:
        return rows
    days = [(day, *(of_day[horizon] for horizon in horizons)) for day, of_day in statuses.items()]
    schema = ", ".join(["ds date", *(f"{name} string" for name in names)])
    of_days = rows.sparkSession.createDataFrame(days, schema)
    joined = rows.join(F.broadcast(of_days), "ds", "left")
    # every day has one: what comes to null is to the planner what may be
    return joined.withColumns({name: F.coalesce(F.col(name), F.lit(UNRIPE)) for name in names})


def _select_days(rows: DataFrame, days: Sequence[date]) -> DataFrame:
    return rows.where(F.col("ds").isin(list(days)))


def _add_session_values(rows: DataFrame, later_plays: DataFrame, declared: Rewards) -> DataFrame:
    """Returns, and columns of the session's next play, by one pass over the plays of each session in order.

    A return is the discounted sum over a play and those after it in its session, before the horizon; null where no
    value is known. A play whose value is unknown adds nothing, and is a step all the same.
    """
    returns = [reward for reward in declared.rewards if reward.discount is not None]
    gains = [F.expr(reward.value).cast("double").alias(_return_name(reward)) for reward in returns]
    following = [F.col(quote_name(name)).alias(name_next(name)) for name in declared.next_columns]
    # plays of one instant in the order of their ids, so that a rerun gives the same
    play = F.struct(F.unix_micros(AT).alias("at"), "play_id", *gains, *following)
    ordered = F.array_sort(F.collect_list(play))
    sessions = later_plays.groupBy("user_id", "session_id").agg(ordered.alias("_plays"))
    values = {_return_name(reward): _return_sql(reward) for reward in returns}
    values |= {name: _next_sql(name) for name in map(name_next, declared.next_columns)}
    fields = ", ".join(f"'{name}', {sql}" for name, sql in values.items())
    each = F.expr(f"transform(_plays, (one, n) -> named_struct('play_id', one.play_id, {fields}))")
    named = sessions.select(F.explode(each).alias("_each")).select("_each.*")
    return rows.join(named, "play_id", "left")


def _next_sql(name: str) -> str:
    following = "get(_plays, n + 1)"
    return f"if({following}.at < one.at + {MICROS_A_DAY}L, {following}.`{name}`, null)"


def _return_name(reward: Reward) -> str:
    return f"_return_of_{reward.name}"


def _return_sql(reward: Reward) -> str:
    # interpolated: F.aggregate takes functions of columns, and four of them in each other read worse than SQL
    discount, horizon = float(reward.discount or 0), reward.days * MICROS_A_DAY
    gain = _return_name(reward)
    # so that a session of a bot costs its plays times this, and not times each other
    steps = 1 + ceil(log(_LEAST_WEIGHT) / log(discount))
    return f"""aggregate(
        slice(_plays, n + 1, {steps}),
        named_struct('total', 0d, 'weight', 1d, 'known', false),
        (state, play) -> if(play.at < one.at + {horizon}L, named_struct(
            'total', state.total + state.weight * coalesce(play.{gain}, 0d),
            'weight', state.weight * {discount!r}d,
            'known', state.known or play.{gain} is not null), state),
        state -> if(state.known, state.total, null))"""
