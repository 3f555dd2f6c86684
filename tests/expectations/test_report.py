"""The report shows every result, the worst first, in one file that no input can break."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from expectations.report import render
from reference.html_pages import Page

CHECKED = datetime(2026, 11, 20, 3, 4, tzinfo=UTC)
RELEASE = {
    "release_id": "2026-11-19.2",
    "released_at": CHECKED + timedelta(minutes=9),
    "tables": {"plays": {"version": 12, "rows": 1_234_567, "content_hash": "00ff00ff00ff00ff"}},
}


def make_result(table="plays", outcome="published", minute=0, **overrides):
    row = {
        "run_id": "run-1",
        "attempt_id": f"{table}-{outcome}",
        "table_name": table,
        "batch_id": f"b-{table}",
        "first_ds": date(2026, 11, 18),
        "last_ds": date(2026, 11, 19),
        "rows": 54_321,
        "outcome": outcome,
        "checked_at": CHECKED + timedelta(minutes=minute),
        "expectation": "expect_column_values_to_not_be_null",
        "column": "track_id",
        "severity": "critical",
        "success": True,
        "observed": "none of 54,321 rows are null",
        "expected": "not null",
        "unexpected_count": 0,
    }
    return {**row, **overrides}


REFUSED = [
    make_result("sessions", "refused", 5),
    make_result(
        "sessions", "refused", 5, column="completion", success=False, expected="0 to 1", observed="0.5 to 1.5"
    ),
]
RUN = [
    make_result("plays"),
    make_result(
        "plays", column="is_bot", severity="warning", success=False, expected="at most 20 %", observed="31 %"
    ),
    make_result(
        "plays", column="saved", severity="info", success=False, expected="some", observed="all null"
    ),
    make_result("tracks", "passed", 2, first_ds=None, last_ds=None),
    *REFUSED,
]


def render_page(rows=RUN, release=RELEASE, title="Segue: run-1", **more):
    return Page(render(rows, release, title, **more))


def test_render_begins_with_refusals_and_the_release_that_is_served():
    assert "1 of 3 batches refused; readers are served release 2026-11-19.2." in render_page().text
    assert (
        "None of 2 batches refused" in render_page([row for row in RUN if row["outcome"] != "refused"]).text
    )
    assert "readers are served nothing yet" in render_page(release=None).text


def test_render_lists_batches_with_their_counts_refused_ones_first():
    rows = render_page().rows
    head = rows.index(["Table", "Days", "Rows", "Outcome", "Checks held", "Warnings", "Noted"])
    assert rows[head + 1 : head + 4] == [
        ["sessions", "2026-11-18 to 2026-11-19", "54,321", "✕ refused", "1 of 2", "0", "0"],
        ["plays", "2026-11-18 to 2026-11-19", "54,321", "✓ published", "1 of 3", "1", "1"],
        ["tracks", "\N{EN DASH}", "54,321", "= passed, not published", "1 of 1", "0", "0"],
    ]


def test_render_explains_a_refusal_before_everything_else():
    text = render_page().text
    why = "completion: expected 0 to 1; observed 0.5 to 1.5 expect_column_values_to_not_be_null"
    assert (
        text.index("✕ refused sessions, 2026-11-18 to 2026-11-19") < text.index(why) < text.index("Batches")
    )
    assert "54,321 rows not visible to readers; batch b-sessions" in text


def test_render_of_a_clean_run_has_no_headings_of_refusals_and_warnings():
    text = render_page([make_result()]).text
    assert "Refused" not in text
    assert text.count("Warnings") == 2, "only the count, and the head of its column"


def test_render_lists_warnings():
    assert ["plays", "2026-11-18 to 2026-11-19", "is_bot", "at most 20 %", "31 %"] in render_page().rows


def test_render_lists_what_is_new_before_what_the_batch_before_warned_of():
    again = make_result("plays", column="saved", severity="warning", success=False, observed="all null")
    known = {("plays", again["expectation"], "saved"), ("tracks", again["expectation"], "is_bot")}
    text = render_page([*RUN, again], known=known).text
    assert text.index("31 %") < text.index("1 warning as in the batch before") < text.index("all null")
    # without a batch before, all are new
    assert "as in the batch before" not in render_page([*RUN, again]).text


def test_render_says_what_a_source_does_not_have_once():
    why = "source app has no saved"
    rows = [
        make_result(
            table, column=column, severity="info", success=False, observed=f"{why}: 5 of 5 rows are null"
        )
        for table in ("plays", "sessions")
        for column in ("saved", "saves_rate_7d")
    ]
    page = render_page([*rows, make_result(column="pairs", severity="info", success=False, observed="11")])
    assert [why, "4", "plays:saved, plays:saves_rate_7d, sessions:saved"] in page.rows
    assert "What sources do not have" not in render_page([make_result()]).text


def test_render_lists_every_result_the_worst_first():
    rows = [row for row in render_page().rows if len(row) == 6 and row[0] != "Result"]
    assert [(row[0], row[1]) for row in rows] == [
        ("✕ broken", "completion"),
        ("✓ held", "track_id"),
        ("! warning", "is_bot"),
        ("· noted", "saved"),
        ("✓ held", "track_id"),
        ("✓ held", "track_id"),
    ]
    assert rows[0][2:] == ["0 to 1", "0.5 to 1.5", "critical", "expect_column_values_to_not_be_null"]


def test_render_lists_the_table_versions_of_the_release():
    release_page = render_page()
    assert ["plays", "12", "1,234,567", "\N{EN DASH}", "00ff00ff00ff00ff"] in release_page.rows
    assert "2026-11-20 03:13 UTC" in release_page.text


EVIL = "</td><script>alert('x')</script>\"&<b>"


@pytest.mark.parametrize(
    "field", ["run_id", "table_name", "batch_id", "outcome", "expectation", "column", "observed", "expected"]
)
def test_render_escapes_every_field_of_a_result(field):
    rows = [
        make_result(**{field: EVIL}),
        make_result("sessions", success=False, **{"outcome": "refused", field: EVIL}),
    ]
    html = render(rows, RELEASE, "title")
    assert "<script>alert" not in html and "<b>" not in html
    assert Page(html).addresses == []
    if field != "run_id":
        assert EVIL in "".join(Page(html).texts), "the text itself is lost"


def test_render_escapes_title_and_release():
    release = {
        "release_id": EVIL,
        "released_at": CHECKED,
        "tables": {EVIL: {"version": 1, "rows": 1, "content_hash": EVIL}},
    }
    html = render(RUN, release, EVIL)
    assert "<script>alert" not in html and "<b>" not in html
    Page(html)


def test_render_gives_a_page_that_needs_no_other_file():
    html = render(RUN, RELEASE, "Segue: run-1")
    assert Page(html).addresses == []
    assert "http:" not in html and "https:" not in html and "@import" not in html and "url(" not in html
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html
    assert html.startswith("<!doctype html>")


def test_render_lists_the_steps_of_a_flow_with_outcome_and_reason():
    steps = [
        {"step": "ingest-plays", "outcome": "published", "rows": 1200, "seconds": 3.21, "why": ""},
        {
            "step": "build-artist-features",
            "outcome": "not made",
            "rows": 0,
            "seconds": 0.0,
            "why": f"no {EVIL}",
        },
    ]
    flow_page = Page(render(RUN, RELEASE, "run-1", steps))
    assert ["ingest-plays", "✓ published", "1,200", "3.2 s", "\N{EN DASH}"] in flow_page.rows
    assert ["build-artist-features", "· not made", "\N{EN DASH}", "0.0 s", f"no {EVIL}"] in flow_page.rows
    assert "Steps" not in render(RUN, RELEASE, "run-1"), "steps that were run one by one are no flow"


def test_render_shows_the_lag_of_a_table():
    entry = {"version": 3, "rows": 10, "content_hash": "ff", "lag_days": 2}
    release_page = Page(render(RUN, {**RELEASE, "tables": {"candidates": entry}}, "run-1"))
    assert ["candidates", "3", "10", "2 days", "ff"] in release_page.rows
