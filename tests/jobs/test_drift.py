"""What of a day is news, at the limits and on either side of them; and what follows from what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.column_drift import Comparison, Finding, Limits, judge_column, share_nulls
from expectations.column_profiles import INSTANT, NUMBER, TEXT, ColumnProfile, bin_of
from jobs.catalogue.inventory import Inventory
from jobs.errors import WrongUsage
from jobs.health.drift import describe_comparisons, describe_verdicts, list_causes
from jobs.health.drift_settings import (
    DriftSettings,
    list_compared_tables,
    load_drift_settings,
)
from jobs.health.history import DAY, WEEK, TableHistory, list_compared_days
from jobs.health.indicators import NOTE, WRONG
from jobs.health.judgement import Verdict, judge_sameness, judge_table, judge_volume
from jobs.health.root import Root
from segue.project import VARIABLE

TODAY = date(2026, 6, 10)
ROWS = 100_000
COLUMN = "ms_played"


def numbers(*counts, nulls=0):
    """So many rows of 1, 2, 3, ..."""
    bins = {int(bin_of(n)): rows for n, rows in enumerate(counts, 1) if rows}
    return ColumnProfile(NUMBER, sum(counts) + nulls, nulls, mean=1.0, bins=bins)


def texts(**rows):
    return ColumnProfile(TEXT, sum(rows.values()), distinct_values=len(rows), top_values=rows)


def find(now, before, usual=(), **limits):
    """Kind and unit of what is beyond the limits."""
    pairs = [Comparison(*pair) for pair in usual]
    found = judge_column("x", Comparison(now, before), pairs, Limits(**limits), "then")
    return [(each.kind, each.unit) for each in found]


EVEN = numbers(*[ROWS // 10] * 10)


# --- a column against another day


def test_a_column_is_equal_to_itself():
    for profile in (EVEN, texts(a=50, b=50), ColumnProfile(INSTANT, 9, bins={0: 9}), numbers(nulls=100)):
        assert find(profile, profile, psi=0, nulls=0, distinct=1) == []


@pytest.mark.parametrize(("gone", "expected"), [(9_900, []), (10_400, [("nulls", "share")])])
def test_nulls_are_news_beyond_a_tenth_and_chance(gone, expected):
    # the normal quantile of 0.999 is 0.3 % for so many rows
    now = numbers(*[(ROWS - gone) // 10] * 10, nulls=gone)
    assert find(now, EVEN) == expected
    assert find(EVEN, now) == expected


def test_not_a_number_is_no_value():
    assert share_nulls(ColumnProfile(NUMBER, 10, 2, 3)) == 0.5
    assert share_nulls(ColumnProfile(NUMBER, 0)) == 0


def test_few_rows_prove_nothing():
    shares = (0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2), (0.2, *[0.1] * 7, 0.05, 0.05)
    for rows, expected in ((40, []), (4_000, [("drift", "index")])):
        now, before = (numbers(*(round(share * rows) for share in each)) for each in shares)
        assert find(now, before) == expected


def test_what_differs_as_much_each_week_is_no_news():
    now, before = texts(a=ROWS, b=ROWS), texts(a=ROWS, b=5 * ROWS)
    assert find(now, before) == [("drift", "index")]
    assert find(now, before, [(now, before)] * 3) == []
    # the median: one week like it is not enough, nor are two of four
    assert find(now, before, [(now, before), (now, now), (now, now)]) == [("drift", "index")]


def test_values_of_text_are_compared_where_they_are_nearly_all():
    shares = {f"v{n}": 100 for n in range(20)}
    moved = {**shares, "v0": 1500, "v1": 600}
    listed, other = texts(**shares), texts(**moved)
    assert find(other, listed) == [("drift", "index")]
    # of twice as many rows the values that are listed say little
    assert find(replace(other, rows=8_000), replace(listed, rows=4_000)) == []
    # a column whose values became too many to be counted
    assert ("drift", "index") in find(ColumnProfile(TEXT, 2_000, distinct_values=1_900), listed)
    assert find(texts(a=800, b=800, new=400), texts(a=900, b=900)) == [("drift", "index")]


def test_values_of_too_few_listeners_are_not_gone():
    before = texts(android=1_200, ios=420)
    # nineteen of them had ios, which is not listed then
    hidden = ColumnProfile(TEXT, 1_600, distinct_values=2, top_values={"android": 1_220})
    none_listed = replace(hidden, top_values={})
    assert find(hidden, before) == find(none_listed, before) == []
    # of a day of many small batches, each lists some: the counts are of a part of the rows
    assert find(replace(hidden, top_values={"android": 900, "ios": 200}), before) == []
    rest = replace(hidden, top_values={"android": 1_500})
    assert Comparison(rest, texts(android=1_500, ios=100)).psi == 0


def test_a_value_is_gone_where_all_others_are_listed_or_too_few_rows_are_left():
    before = texts(android=1_200, ios=420)
    assert find(texts(android=1_620), before) == [("drift", "index")]
    rest = ColumnProfile(TEXT, 1_620, distinct_values=2, top_values={"android": 1_610})
    assert find(rest, before) == [("drift", "index")]


@pytest.mark.parametrize(
    ("count", "expected"), [(200, []), (201, [("drift", "doublings")]), (49, [("drift", "doublings")])]
)
def test_different_values_are_news_beyond_twice_as_many(count, expected):
    profiles = [ColumnProfile(TEXT, ROWS, distinct_values=n) for n in (count, 100)]
    assert find(*profiles) == expected
    assert find(ColumnProfile(TEXT, 9, distinct_values=19), ColumnProfile(TEXT, 9, distinct_values=2)) == []


def test_limits_are_of_the_column():
    now, before = numbers(0, 0, ROWS, nulls=ROWS), EVEN
    assert find(now, before) == [("nulls", "share"), ("drift", "index")]
    assert find(now, before, nulls=0.6) == [("drift", "index")]
    assert find(now, before, psi=100) == [("nulls", "share")]
    assert find(now, before, enabled=False) == []


def test_words_say_what_moved():
    def say(now, before):
        return next(judge_column("x", Comparison(now, before), [], Limits(), "2026-06-03")).what

    seconds = replace(numbers(ROWS), mean=1.0)
    before = ColumnProfile(NUMBER, ROWS, mean=1_000.0, bins={int(bin_of(1_000)): ROWS})
    assert say(seconds, before).startswith("x: median from 1,008 to 1 and mean from 1,000 to 1 since")
    hours = [ColumnProfile(INSTANT, ROWS, bins={int(bin_of(hour)): ROWS}) for hour in (20, 10)]
    assert say(*hours) == "x: hour 10 UTC from 100 % to 0 % of rows since 2026-06-03"
    said = say(texts(a=ROWS, b=ROWS, new=2 * ROWS), texts(a=ROWS, b=ROWS))
    assert said == "x: other values, such as 'new', from 0 % to 50 % of rows since 2026-06-03"
    assert say(numbers(9, nulls=1_000), numbers(1_000, nulls=9)).startswith(
        "x: no value in 99.11 % of rows, which were 0.89 %"
    )


# --- a day of a table


def history(*, day=TODAY, rows=None, **profiles_by_age):
    """`d7=...`: the profile of the column seven days before."""
    profiles = {(day - int(age[1:]) * DAY, COLUMN): each for age, each in profiles_by_age.items()}
    return TableHistory("plays", day, rows or {}, profiles)


FAR, NEAR = numbers(ROWS), EVEN


def judge(drift=DriftSettings(), **ages):  # noqa: B008
    verdict = judge_table(history(**ages), drift)
    return [each.kind for each in verdict.news], [each.kind for each in verdict.changes]


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ({}, ([], [])),
        ({"d7": NEAR, "d28": NEAR}, (["drift"], [])),
        # one of the two days was a fault
        ({"d7": NEAR, "d28": FAR}, ([], [])),
        # it has moved over weeks
        ({"d7": FAR, "d28": NEAR}, ([], ["drift"])),
        # in the first month there is a week before, or not even that
        ({"d7": NEAR}, (["drift"], [])),
        ({"d28": NEAR}, (["drift"], [])),
        ({"d1": NEAR, "d14": NEAR}, ([], [])),
    ],
)
def test_news_is_what_is_far_from_both_days(ages, expected):
    assert judge(d0=FAR, **ages) == expected


# A crawler plays little of each track: far more rows among the shortest than a day without it has.
QUIET = numbers(10, *[100] * 99, *[10_000] * 9)
CRAWLER = numbers(200_000, *[100] * 99, *[10_000] * 9)


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ({"d14": QUIET, "d21": QUIET}, []),
        # one of two may be as odd as the day itself
        ({"d14": QUIET, "d21": CRAWLER}, ["drift"]),
        ({"d14": CRAWLER, "d21": QUIET}, ["drift"]),
        ({"d14": QUIET}, ["drift"]),
    ],
)
def test_a_day_like_those_between_is_no_news_though_a_week_and_four_weeks_before_were_odd(between, expected):
    assert judge(d0=QUIET, d7=CRAWLER, d28=CRAWLER, **between)[0] == expected


def test_what_no_weekday_of_the_month_is_like_is_news():
    assert judge(d0=FAR, d7=NEAR, d14=NEAR, d21=NEAR, d28=NEAR) == (["drift"], [])


def test_a_reference_that_is_set_stands_for_itself():
    # of the weekday of the day, in the week up to it
    fixed = DriftSettings(TODAY - 50 * DAY)
    assert fixed.find_reference(TODAY) == TODAY - 56 * DAY
    assert judge(fixed, d0=FAR, d7=FAR, d56=NEAR) == (["drift"], [])
    assert judge(fixed, d0=FAR, d7=NEAR, d56=FAR) == ([], [])
    # what was as far a week ago stays news
    assert judge(fixed, d0=FAR, d7=FAR, d14=FAR, d21=FAR, d28=FAR, d56=NEAR) == (["drift"], [])


@given(st.dates(date(2025, 1, 1), date(2027, 1, 1)), st.dates(date(2025, 1, 1), date(2027, 1, 1)))
def test_a_reference_is_of_the_same_weekday_in_the_week_up_to_it(day, reference):
    found = DriftSettings(reference).find_reference(day)
    assert found.weekday() == day.weekday() and 0 <= (reference - found).days < 7
    assert DriftSettings().find_reference(day) == day - 4 * WEEK


def test_what_is_compared_is_read():
    days = list_compared_days(TODAY, DriftSettings())
    assert days == {TODAY, TODAY - DAY, *(TODAY - n * WEEK for n in range(1, 8))}
    fixed = DriftSettings(date(2026, 1, 1))
    assert fixed.find_reference(TODAY) in list_compared_days(TODAY, fixed)


def counts(share, by=1.0):
    """A hundred days of 1,000 rows, on Saturdays twice as many; `share` of it today."""
    days = [TODAY - n * DAY for n in range(100)]
    rows = {day: round(1_000 * (1 + (day.weekday() == 5)) * by ** (100 - n)) for n, day in enumerate(days)}
    return rows | {TODAY: round(share * rows[TODAY])}


@pytest.mark.parametrize(
    ("share", "is_news"), [(0.64, True), (0.66, False), (1, False), (1.34, False), (1.36, True)]
)
def test_volume_is_news_beyond_a_third(share, is_news):
    found = list(judge_volume(history(rows=counts(share)), DriftSettings()))
    assert [each.column for each in found] == (["rows"] if is_news else [])


@pytest.mark.parametrize(("share", "is_news"), [(0.36, False), (0.34, True)])
def test_volume_is_allowed_what_somebody_set_though_it_is_over_half_a_day(share, is_news):
    settings = DriftSettings(tables={"plays": {"rows": 0.65}})
    assert bool(list(judge_volume(history(rows=counts(share)), settings))) == is_news


def test_growth_is_no_news_and_a_table_of_windows_varies_less():
    assert not list(judge_volume(history(rows=counts(1, by=1.01)), DriftSettings()))
    daily = replace(history(rows=counts(0.8)), table="user_features")
    assert list(judge_volume(daily, DriftSettings()))
    assert not list(judge_volume(daily, DriftSettings(tables={"user_features": {"rows": 0.3}})))
    few = replace(history(rows=counts(1)), listeners=counts(0.5))
    assert [each.column for each in judge_volume(few, DriftSettings())] == ["listeners"]


def test_a_day_once_more_has_columns_that_move():
    def frozen(**changes):
        week, before, today = numbers(5, 5, 90), numbers(5, 10, 85), numbers(5, 10, 85)
        profiles = {
            (day, column): each
            for column in ("a", "b")
            for day, each in ((TODAY - WEEK, week), (TODAY - DAY, before), (TODAY, today))
        }
        profiles |= changes.pop("profiles", {})
        rows = {TODAY: 100, TODAY - DAY: 100} | changes.pop("rows", {})
        return [each.kind for each in judge_sameness(TableHistory("plays", TODAY, rows, profiles))]

    assert frozen() == ["frozen"]
    assert frozen(rows={TODAY: 101}) == frozen(rows={TODAY: 99, TODAY - DAY: 99}) == []
    other = numbers(5, 11, 84)
    assert frozen(profiles={(TODAY, "b"): other}) == []
    # what never moves says nothing: with one column left, two days may well be equal
    assert frozen(profiles={(TODAY - WEEK, "b"): numbers(5, 10, 85)}) == []
    same = {(TODAY - n * DAY, "c"): EVEN for n in (0, 1, 7)}
    assert frozen(profiles=same) == ["frozen"]
    # a weekday that cannot be compared, and the one before it
    unlike = {(TODAY - WEEK, "b"): texts(a=1)}
    assert frozen(profiles=unlike) == []
    assert frozen(profiles=unlike | {(TODAY - 2 * WEEK, "b"): numbers(5, 5, 90)}) == ["frozen"]


# --- what follows from what


def finding(kind, column="x"):
    return Finding(kind, column, 2.0, 1.0, "index", f"{column} moved")


def describe(tmp_path, **news):
    verdicts = {table: Verdict(tuple(found)) for table, found in news.items()}
    root = Root(Inventory(str(tmp_path), now=datetime(2026, 6, 11, tzinfo=UTC)))
    found = describe_verdicts(root, dict.fromkeys(news, TODAY), verdicts)
    return {each.key: (each.status, each.what) for each in found}


def test_tables_follow_from_those_they_are_made_of():
    assert list_causes("plays") == []
    assert list_causes("sessions")[0] == "plays"
    assert {"plays", "sessions", "user_partials"} <= {*list_causes("user_features")}
    assert "semantic_codebooks" in list_causes("track_semantic_ids")
    assert "track_semantic_ids" not in list_causes("semantic_codebooks")
    assert "user_features" not in list_causes("candidates")


def test_one_cause_is_one_alert(tmp_path):
    found = describe(tmp_path, sessions=[finding("drift")], user_features=[finding("volume")], plays=[])
    assert found["drift sessions"] == (WRONG, "2026-06-10: x moved")
    assert found["volume user_features"] == (NOTE, "2026-06-10: x moved; follows from sessions")
    # what is made of neither has an alert of its own
    found = describe(tmp_path, user_features=[finding("drift")], candidates=[finding("drift")])
    assert {status for status, _ in found.values()} == {WRONG}


def test_a_table_has_one_alert_the_first_kind(tmp_path):
    news = [finding("drift"), finding("nulls", "y"), finding("drift", "z")]
    found = describe(tmp_path, plays=news)
    assert found["nulls plays"][0] == WRONG
    assert found["drift plays"] == (NOTE, "2026-06-10: x moved; z moved; beside its alert of nulls")


def test_of_many_columns_three_are_said_and_all_are_the_state(tmp_path):
    news = [replace(finding("drift", f"c{n}"), value=float(n)) for n in range(5)] + [finding("drift", "c4")]
    root = Root(Inventory(str(tmp_path)))
    (found,) = describe_verdicts(root, {"plays": TODAY}, {"plays": Verdict(tuple(news))})
    assert found.what == "2026-06-10: c4 moved; c3 moved; c2 moved; and 2 more columns"
    assert (found.state, found.value) == ("c0 c1 c2 c3 c4", 4.0)


def test_what_moved_over_weeks_is_a_note(tmp_path):
    root = Root(Inventory(str(tmp_path)))
    (found,) = describe_verdicts(root, {"plays": TODAY}, {"plays": Verdict(changes=(finding("drift"),))})
    assert (found.key, found.status) == ("drift plays", NOTE) and "over weeks" in found.what


def test_a_table_whose_newest_day_has_no_profile_was_not_compared():
    whole = history(d0=NEAR, d7=NEAR)
    without = replace(history(d1=NEAR, d7=NEAR), table="sessions")
    found = {each.subject: each for each in describe_comparisons([whole, without], DriftSettings())}
    assert found["tables"].what == "1 of 2 tables have profiles of days to be compared with"
    assert (found["newest day"].status, found["newest day"].value) == (NOTE, 1)
    assert found["newest day"].what.endswith("was not compared: sessions")
    assert [each.subject for each in describe_comparisons([whole], DriftSettings())] == ["tables"]


@pytest.mark.parametrize(
    ("days", "compared"),
    [({"d1": NEAR, "d8": NEAR}, 0), ({"d7": NEAR}, 1), ({"d28": NEAR}, 1), ({"d35": NEAR}, 0)],
)
def test_a_table_is_compared_where_a_week_ago_or_the_reference_has_a_profile(days, compared):
    """Other days are on record too, of yesterday for one, and of them alone nothing is judged."""
    (found,) = describe_comparisons([history(d0=NEAR, **days)], DriftSettings())
    assert found.value == compared, f"profiles of days before: {', '.join(days)}"


def test_tiles_and_records_are_not_compared():
    tables = list_compared_tables()
    assert {"plays", "sessions", "user_features", "track_embeddings", "semantic_codebooks"} <= {*tables}
    assert not {"user_partials", "rejected_plays", "late_plays", "tracks", "embedding_versions"} & {*tables}


# --- settings


@settings(deadline=None)
@given(st.sampled_from(["psi", "nulls"]), st.floats(0, 1))
def test_a_limit_is_that_of_its_column_alone(name, value):
    limits = DriftSettings(tables={"plays": {COLUMN: {name: value}}})
    assert limits.limits("plays", COLUMN) == replace(Limits(), **{name: value})
    assert limits.limits("plays", "skipped") == limits.limits("sessions", COLUMN) == Limits()


def test_limits_are_read_from_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "segue.toml").write_text(
        '[drift]\nreference = "2026-05-01.2"\nplays.rows = 0.5\n[drift.plays.ms_played]\npsi = 0.4\nenabled = false\n'
    )
    found = load_drift_settings()
    assert found.reference == date(2026, 5, 1) and found.rows_off("plays") == 0.5
    assert found.limits("plays", COLUMN) == Limits(psi=0.4, enabled=False)
    (tmp_path / "segue.toml").write_text("[drift.user_partials]\nrows = 0.5\n")
    with pytest.raises(WrongUsage, match="'user_partials' is unknown"):
        load_drift_settings()
    (tmp_path / "segue.toml").write_text("")
    assert load_drift_settings() == DriftSettings()
