"""What people read under a root without an erased listener, or rows that are not kept any more. Without Spark."""

from __future__ import annotations

import json

import pytest

from expectations.report import render
from jobs.publishing.warehouse import Warehouse
from jobs.written_texts import erase_from_texts, remove_rows_of_pages

ID = "ada <1>"
WHY = f"file /landing/{ID}.csv cannot be read: no such file"
SHOWN = '<section class="kept-rows" data-table="plays" data-attempt="a1">0af3</section>'
LOG = f"""2026-11-20 04:00:00 ERROR cannot cast '{ID}' to bigint
no time: 2026, {ID}2 and /x/{ID}.csv
"""


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(str(tmp_path))


def test_rows_go_from_reports_and_sites_and_no_other_page_is_written(warehouse, tmp_path):
    pages = ("quality/run-1.html", "quality/site/batches/a1.html", "site/batches/a1.html", "mine.html")
    for name in (*pages, "tables/plays/x.html", "quality/other.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SHOWN if name != "quality/other.html" else SHOWN.replace("a1", "a2"))
    (tmp_path / "latin.html").write_bytes(b"\xe9 of somebody else")
    assert remove_rows_of_pages(warehouse, lambda table, attempt: attempt == "a1", "Gone.") == len(pages)
    left = {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.html") if b"0af3" in path.read_bytes()
    }
    assert left == {"tables/plays/x.html", "quality/other.html"}, "folders of tables hold no pages of ours"


def test_a_listener_goes_from_outcomes_of_steps_and_their_report(warehouse, tmp_path):
    steps = [
        {"step": step, "outcome": "failed", "rows": 0, "seconds": 1.0, "why": why}
        for step, why in (
            ("ingest-plays", WHY),
            ("build-sessions", WHY.replace(ID, f"{ID}2")),
            ("release", ""),
        )
    ]
    path, report = tmp_path / "quality" / "run-1.steps.json", tmp_path / "quality" / "run-1.html"
    path.parent.mkdir()
    path.write_text(json.dumps(steps))
    report.write_text(render([], None, "run-1", steps))
    assert "ada &lt;1&gt;.csv" in report.read_text(), "the report does not show it: the test shows nothing"
    assert erase_from_texts(warehouse, [ID]) == 1
    reasons = [step["why"] for step in json.loads(path.read_text())]
    assert reasons == ["(it named an erased listener)", steps[1]["why"], ""], "ids are whole words"
    assert "ada &lt;1&gt;.csv" not in report.read_text() and "ada &lt;1&gt;2.csv" in report.read_text()
    assert erase_from_texts(warehouse, [ID]) == 0


def test_a_listener_is_redacted_in_logs_in_place(warehouse, tmp_path):
    log = tmp_path / "logs" / "segue.log"
    log.parent.mkdir()
    log.write_text(LOG)
    with log.open("a") as appender:  # as another process that is at work
        assert erase_from_texts(warehouse, [ID, "2026"]) == 1
        appender.write("and on\n")
    redacted = LOG.replace(f"{ID}'", f"{'*' * len(ID)}'").replace(f"{ID}.csv", f"{'*' * len(ID)}.csv")
    expected = redacted.replace("no time: 2026", "no time: ****") + "and on\n"
    assert log.read_text() == expected, "all but the id stays, times of lines too, and what others append"
