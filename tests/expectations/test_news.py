"""What is new is said before what is known, and what is of one kind once."""

from __future__ import annotations

from expectations.news import MOST_LINES, describe_news

NOT_NULL = "expect_column_values_to_not_be_null"


def make_warning(column, table="plays", expectation=NOT_NULL, severity="warning"):
    return {
        "table_name": table,
        "expectation": expectation,
        "column": column,
        "severity": severity,
        "success": False,
        "expected": "a value in some rows",
        "observed": "5 of 5 rows are null (100 %)",
    }


def key(row):
    return row["table_name"], row["expectation"], row["column"]


def test_describe_news_says_nothing_of_a_run_without_warnings():
    noted = make_warning("saved", severity="info")
    broken = make_warning("track_id", severity="critical")
    assert describe_news([noted, broken, make_warning("artist_id") | {"success": True}], ()) == []


def test_describe_news_names_what_is_new_and_counts_what_is_known():
    new, old = make_warning("saved"), make_warning("artist_id")
    assert describe_news([old, new], {key(old)}) == [
        "New warnings, which the batches before had not:",
        "  plays saved: expected a value in some rows; observed 5 of 5 rows are null (100 %)",
        "1 warning is as in the batches before: in the report",
    ]
    assert describe_news([old, new], {key(old), key(new)}) == [
        "2 warnings are as in the batches before: in the report"
    ]


def test_describe_news_says_once_what_many_columns_of_a_table_have_in_common():
    rows = [make_warning(f"f{n}", "user_features") for n in range(27)]
    others = [make_warning(f"f{n}", "track_features") for n in range(3)]
    lines = describe_news([*rows, *others], ())
    assert lines[1:4] == [
        f"  track_features f{n}: expected a value in some rows; observed 5 of 5 rows are null (100 %)"
        for n in range(3)
    ]
    assert lines[4:] == ["  user_features: 27 columns, such as f0, f1, f2: expected a value in some rows"]


def test_describe_news_cuts_a_long_list_and_says_so():
    rows = [make_warning("c", f"table_{n:02}") for n in range(MOST_LINES + 2)]
    lines = describe_news(rows, ())
    assert len(lines) == 1 + MOST_LINES + 1
    assert lines[-1] == "  … 2 more are in the report"
