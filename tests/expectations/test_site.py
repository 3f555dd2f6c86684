"""Pages of the site: what became of each day, what is new, the verdict first; and no input can break them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.attempts import group_attempts
from expectations.pages import file_stem
from expectations.site import cells as c
from expectations.site.batch import Command
from expectations.site.cells import map_days
from expectations.site.facts import RootFacts, TableFacts
from expectations.site.files import batch_file
from expectations.site.index import describe_amount
from expectations.site.news import list_news
from expectations.site.site import LONGEST_PAGE, Site
from expectations.site.table import TableTrends
from expectations.site.trends import History
from reference.html_pages import Page

LAST = date(2026, 11, 20)
WINDOW = [LAST - timedelta(days=n) for n in range(6, -1, -1)]
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


def result(expectation="expect_x", column="saved", status="held", **overrides):
    severity = {"held": "critical", "broken": "critical", "warning": "warning", "noted": "info"}[status]
    row = {
        "expectation": expectation,
        "column": column,
        "severity": severity,
        "success": status == "held",
        "observed": f"{status} it is",
        "expected": "at most 3",
        "unexpected_count": None,
        "reason": None,
        "owner": None,
    }
    return {**row, **overrides}


def attempt(table="plays", day=LAST, outcome="published", results=(), number=0, **overrides):
    """Audited in the morning after its last day."""
    last = overrides.pop("last", day)
    checked_at = datetime(last.year, last.month, last.day, 4, tzinfo=UTC) + timedelta(days=1, minutes=number)
    about = {
        "run_id": f"run-{last}",
        "attempt_id": f"{table}-{day}-{number}",
        "table_name": table,
        "batch_id": f"f{day}-{number}",
        "first_ds": day,
        "last_ds": last,
        "rows": 1000,
        "outcome": outcome,
        "checked_at": checked_at,
    } | overrides
    rows = [{**about, **each} for each in (results or [result()])]
    return group_attempts(rows)[0]


def table(*attempts, name="plays", days=WINDOW, **more):
    ordered = sorted(attempts, key=lambda each: each.checked_at)
    return TableFacts(name, ordered, rows_by_day=dict.fromkeys(days, 1000), nightly=True, rows=7000, **more)


def facts(*tables, **more):
    return RootFacts("Segue", NOW, WINDOW, tables, **more)


def render(*tables, **more):
    site = Site(
        facts(*tables, **more), list_commands=lambda each: [Command("look", f"segue report {each.run_id}")]
    )
    return dict(site.render())


def statuses(one, nights=None):
    return [cell.status for cell in map_days(one, WINDOW, nights or {})]


# --- the map


def test_each_status_has_its_cell():
    day = WINDOW.__getitem__
    unseen = result(status="broken", observed="could not be evaluated: no result")
    one = table(
        attempt(day=day(0)),
        attempt(day=day(1), results=[result(status="warning")]),
        attempt(day=day(2), outcome="refused", results=[result(status="broken")]),
        attempt(day=day(3), outcome="refused", results=[unseen]),
        attempt(day=day(4), outcome="failed", results=[result(status="broken")]),
        attempt(day=day(6)),
        days=[day(0), day(1), day(6)],
        provisional={day(6): NOW},
    )
    assert statuses(one) == [
        c.PASSED, c.WARNED, c.REFUSED, c.NOT_EVALUATED, c.NOT_EVALUATED, c.MISSING, c.PROVISIONAL
    ]  # fmt: skip
    # a record of what was rejected may have no rows
    assert statuses(replace(one, nightly=False))[5] == c.NO_ROWS
    # nothing is missing before the first day
    assert statuses(table(days=WINDOW[3:]))[:3] == [c.NO_ROWS] * 3


def test_a_batch_that_was_refused_is_over_once_another_passes():
    bad = attempt(outcome="refused", results=[result(status="broken")])
    good = attempt(number=1)
    assert statuses(table(bad, good))[-1] == c.PASSED
    assert (
        statuses(table(good, attempt(number=2, outcome="refused", results=[result(status="broken")])))[-1]
        == c.REFUSED
    )


def attempt_days_apart(n, outcome, status, days):
    at = NOW + timedelta(minutes=n)
    ends = {"day": WINDOW[1], "last": WINDOW[6]}
    return attempt(
        outcome=outcome, results=[result(status=status)], batch_id=f"f{n}-1", days=days, checked_at=at, **ends
    )


def test_days_between_those_of_a_refused_batch_were_not_refused():
    """Two days, far apart, are refused, and published once they are mended."""
    nights = [attempt(day=day, batch_id=f"night{day}-1") for day in WINDOW[:6]]
    names = {day: f"night{day}" for day in WINDOW[:6]}
    two = [WINDOW[1], WINDOW[6]]
    bad = attempt_days_apart(1, "refused", "broken", two)
    one = table(*nights, bad, days=WINDOW[:6], fingerprints=names)
    refused, passed = [c.REFUSED], [c.PASSED]
    assert statuses(one) == passed + refused + 4 * passed + refused, "only its own two days were refused"
    for days in (two, None):
        # without its days, as it was recorded before they were: once it is mended, its ends say nothing of others
        mended = [
            attempt_days_apart(1, "refused", "broken", days),
            attempt_days_apart(2, "published", "held", days),
        ]
        one = table(*nights, *mended, fingerprints=names | dict.fromkeys(two, "f2"))
        assert statuses(one) == 7 * passed, f"the batch was mended, days on record: {days}"


def test_a_table_without_days_stands_at_the_night_of_its_run():
    plays = attempt(day=WINDOW[4])
    model = attempt("models", run_id=plays.run_id, first_ds=None, last_ds=None)
    one = table(model, name="models", days=(), by_day=False)
    found = statuses(one, facts(table(plays), one).nights)
    assert found == [c.NO_ROWS] * 4 + [c.PASSED] + [c.NO_ROWS] * 2


def find_status_by_loops(one, day):
    """What a person would say who reads the attempts from the newest to the oldest."""
    covering, passed_since = [], []
    for each in reversed(one.attempts):
        mended = any(p.first_ds <= each.first_ds and each.last_ds <= p.last_ds for p in passed_since)
        passes = each.outcome in ("passed", "published")
        # where its days are not on record, those that another one has mended may be all that it had
        known = passes or each.listed_days or not mended
        if known and each.first_ds <= day <= each.last_ds and day in (each.listed_days or [day]):
            covering.append(each)
        passed_since += [each] if passes else []
    passed = [each for each in covering if each.outcome in ("passed", "published")]
    published = [each for each in passed if each.batch_id.rsplit("-", 1)[0] == one.fingerprints.get(day)]
    newest = None
    for each in covering:
        if each.outcome in ("refused", "failed", "unchanged") or not published or each in published:
            newest = each
            break
    if newest is not None and newest.outcome == "refused":
        return c.REFUSED
    if newest is not None and newest.outcome == "failed":
        return c.NOT_EVALUATED
    if day not in one.rows_by_day:
        return c.MISSING if not one.rows_by_day or day > min(one.rows_by_day) else c.NO_ROWS
    if newest is not None and any(not row["success"] for row in newest.results):
        return c.WARNED
    return c.PROVISIONAL if newest is not None and day in one.provisional else c.PASSED


drawn_attempts = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(0, 3),
        st.sampled_from(["published", "passed", "refused", "failed", "unchanged"]),
        st.booleans(),
        st.sampled_from(["ends", "all", "apart"]),
    ),
    max_size=6,
)


@given(drawn_attempts, st.sets(st.sampled_from(WINDOW)), st.sets(st.sampled_from(WINDOW)), st.data())
@settings(max_examples=150, deadline=None)
def test_cells_are_what_loops_make_of_them(drawn, days, provisional, data):
    attempts = []
    for n, (first, length, outcome, warns, known) in enumerate(drawn):
        status = "broken" if outcome in ("refused", "failed") else "warning" if warns else "held"
        last = min(first + length, 6)
        days_of = {"ends": None, "all": WINDOW[first : last + 1], "apart": [WINDOW[first], WINDOW[last]]}
        attempts.append(
            attempt(
                day=WINDOW[first],
                last=WINDOW[last],
                outcome=outcome,
                results=[result(status=status)],
                attempt_id=f"a{n}",
                batch_id=f"f{n}-1",
                days=days_of[known],
                checked_at=NOW + timedelta(minutes=n),
            )
        )
    names = [f"f{n}" for n in range(len(attempts))] + ["older"]
    one = table(
        *attempts,
        days=sorted(days),
        fingerprints={day: data.draw(st.sampled_from(names)) for day in days},
        provisional=dict.fromkeys(provisional & days, NOW),
    )
    assert statuses(one) == [find_status_by_loops(one, day) for day in WINDOW]


# --- words


def list_words(*tables, **more):
    known = facts(*tables, **more)
    return [
        (each.status, each.subject, each.words)
        for each in list_news(known, {t.name: History(t.attempts) for t in tables})
    ]


def test_news_are_what_changed_since_yesterday_the_worst_first():
    warning = result("expect_a", "saved", "warning")
    again = result("expect_b", "completion", "warning")
    before = [again, result("expect_a"), result("expect_c", "rows", "broken")]
    plays = table(
        attempt(day=WINDOW[5], outcome="refused", results=before),
        attempt(results=[again, warning, result("expect_c", "rows")]),
    )
    sessions = table(
        attempt("sessions", outcome="refused", results=[result("expect_d", "position", "broken")]),
        name="sessions",
    )
    quiet = table(
        attempt("tracks", day=WINDOW[3], outcome="refused", results=[result(status="broken")]), name="tracks"
    )
    assert list_words(plays, sessions, quiet) == [
        (
            "refused",
            "sessions",
            "the batch of 2026-11-20 was refused: position: expected at most 3; observed broken it is",
        ),
        ("warned", "plays", "saved: expected at most 3; observed warning it is; held in 1 batch before"),
        ("over", "plays", "passes again; the batch before was refused"),
        ("over", "plays", "1 expectation holds again: rows"),
    ]


def test_a_table_found_up_to_date_after_a_refused_batch_is_over_and_says_that_nothing_was_published():
    settled = result("expect_table_to_be_up_to_date", None, observed="this very batch is published")
    tracks = table(
        attempt("tracks", day=WINDOW[5], outcome="refused", results=[result(status="broken")]),
        attempt("tracks", outcome="unchanged", results=[settled]),
        name="tracks",
    )
    assert list_words(tracks) == [("over", "tracks", "is up to date again; the batch before was refused")]
    page = Page(render(tracks)[batch_file(tracks.attempts[-1].attempt_id)])
    assert "= unchanged: nothing had to be published: this very batch is published." in page.text


def test_news_name_releases_with_what_lags_more_than_before():
    entry = {"version": 1, "rows": 1, "content_hash": "ff"}
    releases = [
        {
            "release_id": "2026-11-20.1",
            "released_at": NOW - timedelta(hours=1),
            "tables": {"plays": entry | {"lag_days": 2}},
        },
        {
            "release_id": "2026-11-19.1",
            "released_at": NOW - timedelta(hours=25),
            "tables": {"plays": entry, "tracks": entry},
        },
    ]
    ((status, subject, words),) = list_words(releases=releases)
    assert (status, subject) == ("released", "release 2026-11-20.1")
    assert words == "made of 1 table; plays is 2 days behind; without tracks, which the release before had"


def test_a_night_without_any_batch_is_said():
    text = Page(render(table(attempt(day=WINDOW[3])))["index.html"]).text
    assert "New on 18 November 2026 No batch was audited since 2026-11-18 04:00 UTC, 3 days ago." in text


def test_a_batch_begins_with_its_verdict_and_shows_since_when():
    bad = result(
        "expect_null", "saved", "broken", unexpected_count=250, observed="250 of 1,000 rows are null"
    )
    held = [
        attempt(day=day, results=[result("expect_null", "saved", unexpected_count=0)]) for day in WINDOW[:5]
    ]
    broken = [attempt(day=day, outcome="refused", results=[bad, result()]) for day in WINDOW[5:]]
    page = Page(render(table(*held, *broken))[batch_file("plays-2026-11-20-0")])
    verdict = "✕ refused: 1 of 2 expectations is broken. Readers have what was published before."
    assert page.text.index(verdict) < page.text.index("Broken")
    (row,) = [row for row in page.rows if row[0] == "saved"]
    assert row[2:] == ["250 of 1,000 rows are null", "25 %", "✓✓✓✓✓✕ held in 5 of 6 batches before"]
    assert "segue report run-2026-11-20" in page.text


# --- pages


def list_dead_links(files):
    dead = []
    for name, text in files.items():
        if name.endswith(".html"):
            for link in Page(text).addresses:
                target = PurePosixPath("/", PurePosixPath(name).parent, link.partition("#")[0])
                parts = []
                for part in target.parts[1:]:
                    parts = parts[:-1] if part == ".." else [*parts, part]
                if link != "#main" and "/".join(parts) not in files:
                    dead.append((name, link))
    return dead


def list_levels(text):
    return [int(tag[1]) for tag in Page(text).tags if re.fullmatch("h[1-6]", tag)]


FULL = table(
    attempt(
        day=WINDOW[5],
        results=[
            result(status="warning"),
            result("expect_y", status="noted", observed="source app has no x: all"),
        ],
    ),
    attempt(
        results=[result(status="warning"), result("expect_z", "rows", "broken"), result("expect_y")],
        outcome="refused",
    ),
    meaning="One row per play.",
)
INDICATOR = {
    "kind": "stale", "subject": "plays", "status": "wrong", "what": "older than promised",
    "to_do": "segue describe plays",
    "page": "docs/runbook/stale.md",
    "value": 40.0, "bound": 30.0, "unit": "hours", "since": NOW, "owner": "Ada",
}  # fmt: skip
RELEASE = {
    "release_id": "2026-11-19.1", "released_at": NOW, "complete_through": NOW,
    "tables": {"plays": {"version": 3, "rows": 7000, "content_hash": "ff", "lag_days": 1}},
}  # fmt: skip
MORE = {"indicators": [INDICATOR, INDICATOR | {"status": "fine", "value": None}], "releases": [RELEASE]}


def test_every_link_leads_to_a_file_of_the_site_and_headings_are_in_order():
    files = render(FULL, **MORE)
    assert not list_dead_links(files)
    assert list_dead_links({name: text for name, text in files.items() if name != "tables/plays.html"})
    for name, text in files.items():
        if name.endswith(".html"):
            levels = list_levels(text)
            assert levels[0] == 1 and levels.count(1) == 1, name
            assert all(after <= before + 1 for before, after in pairwise(levels)), name
            assert '<html lang="en">' in text and "<title>" in text and 'name="viewport"' in text
            assert 'href="#main"' in text and 'id="main"' in text, "the keyboard skips what is on every page"


def test_every_sign_of_the_map_has_a_name():
    text = render(FULL, **MORE)["index.html"]
    body = text[
        text.index("<tbody>", text.index('class="map"')) : text.index("</div>", text.index('class="map"'))
    ]
    signs = re.findall(r'<(?:a|span) class="cell ([\w-]+)"[^>]*>(.?)</', body)
    assert len(signs) == len(re.findall(r'aria-label="plays, 2026-11-\d\d: [^"]+"', body)) == 7
    assert all(sign for _, sign in signs), "none is said by its colour alone"
    assert {status for status, _ in signs} == {"passed", "warned", "refused"}
    assert "prefers-color-scheme: dark" in render(FULL)["site.css"]


def test_pages_need_nothing_from_elsewhere():
    for name, text in render(FULL, **MORE).items():
        assert not re.search(r"(https?:)?//\w|@import|url\(|fetch\(|XMLHttp", re.sub(r"// .*", "", text)), (
            name
        )


def test_an_alert_says_what_to_look_at_since_when_and_whom_to_ask():
    text = Page(render(FULL, **MORE)["index.html"]).text
    assert "1 alert is on. Readers are served release 2026-11-19.1 with 1 table, 1 of them behind." in text
    assert (
        "Look: segue describe plays Page: docs/runbook/stale.md; on since 2026-11-21 06:00 UTC; owner: Ada"
        in text
    )


def test_nulls_come_from_profiles_where_there_are_some_else_from_audits():
    counted = result("expect_column_values_to_not_be_null", "saved", unexpected_count=100, status="warning")
    one = table(attempt(results=[counted]))
    by_audit = Page(render(one)["tables/plays.html"])
    assert ["saved", "10 %", "10 %", "10 %"] in [row[:4] for row in by_audit.rows]
    assert "no profile of the days shown is on record" in by_audit.text
    trends = TableTrends(
        {"saved": {WINDOW[5]: 0.5, WINDOW[6]: 0.25}}, {"saved": {LAST: 0.125}}, "by an index"
    )
    by_day = Page(dict(Site(facts(one), {"plays": trends}).render())["tables/plays.html"])
    assert ["saved", "25 %", "25 %", "50 %"] in [row[:4] for row in by_day.rows]
    assert ["saved", "0.125", "0.125", "0.125"] in [
        row[:4] for row in by_day.rows
    ] and "by an index" in by_day.text


# --- limits and hostile names

EVIL = [
    "</td><script>document.title='x'</script>",
    "\"'><img src=x onerror=document.title='x'>",
    "../../../etc/passwd",
    "javascript:document.title='x'",
    "{{ 1 + 1 }} &amp; \x00\x1b[31m \u202e",
    "n" * 5000,
]


def spoil(evil, n):
    """Everything that a root may call something."""
    everything = {
        "expectation": evil,
        "column": evil,
        "observed": evil,
        "expected": evil,
        "reason": evil,
        "owner": evil,
    }
    one = attempt(
        evil, number=n, attempt_id=evil, run_id=evil, batch_id=evil, outcome="refused",
        results=[result(status="broken") | everything, result(status="warning") | everything, result() | everything],
    )  # fmt: skip
    return table(one, name=evil, meaning=evil, owner=evil)


def test_hostile_names_are_text_and_no_file_leaves_the_folder():
    tables = [spoil(evil, n) for n, evil in enumerate(EVIL)]
    indicators = [
        INDICATOR | dict.fromkeys(("kind", "subject", "what", "to_do", "page", "owner", "unit"), evil)
        for evil in EVIL
    ]
    release = RELEASE | {"release_id": EVIL[0], "tables": dict.fromkeys(EVIL, RELEASE["tables"]["plays"])}
    files = render(*tables, indicators=indicators, releases=[release])
    assert len(files) == 3 + 2 * len(EVIL), "two names share a file"
    for name, text in files.items():
        assert re.fullmatch(r"(index\.html|site\.(css|js)|(tables|batches)/[a-z0-9_-]+\.html)", name)
        if name.endswith(".html"):
            page = Page(text)
            assert page.tags.count("script") == 1 and "img" not in page.tags
            assert not [each for each in page.addresses if "script:" in each or "etc" in each]
            assert "\x1b" not in text and "\x00" not in text and "\u202e" not in text
            assert len(text.encode()) < LONGEST_PAGE and "n" * 700 not in text
    assert not list_dead_links(files)
    assert EVIL[0] in Page(files["index.html"]).text, "the name itself is lost"


def test_names_of_files_differ_where_names_do():
    names = [
        "plays",
        "Plays",
        "PLAYS",
        "plays.",
        "plays/",
        "..",
        "",
        "a.b",
        "table-plays",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "n" * 101,
    ]
    stems = [file_stem("table", name) for name in names]
    assert len({stem.lower() for stem in stems}) == len(names)
    # no name is that of another's file
    assert file_stem("table", stems[1]) != stems[1]


def test_a_page_that_would_be_too_long_says_what_it_leaves_out():
    results = [result(f"expect_{n}_{'x' * 300}", f"c{n}", "broken", observed="o" * 300) for n in range(2000)]
    many = table(attempt(outcome="refused", results=results))
    text = next(text for name, text in render(many).items() if name.startswith("batches/"))
    assert 100_000 < len(text.encode()) < LONGEST_PAGE
    shown = sum(row[0] in {each["column"] for each in results} for row in Page(text).rows)
    assert 0 < shown < 2000 and f"{2000 - shown:,} more of them are left out here." in Page(text).text


def test_amounts_below_one_keep_their_digits():
    amounts = (0.0009, 0.001, 0.35, 0.666, 0, 12.34, -0.0666, None)
    found = [describe_amount({"value": each, "unit": "share"}, "value") for each in amounts]
    assert found == [
        *("0.0009 share", "0.001 share", "0.35 share", "0.67 share", "0 share", "12.3 share", "-0.067 share"),
        None,
    ]
