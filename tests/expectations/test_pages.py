"""What all pages have in common. No Spark."""

from __future__ import annotations

import re
from pathlib import Path

import expectations
import jobs
from expectations.pages import LONGEST_TEXT, make_environment

# Short, whatever the data: ids that we make, and types.
SHORT = {"table.content_hash", "row.key", "attempt.batch_id", "entry.type"}


def test_what_is_to_be_copied_is_whole_and_escaped():
    text = "SELECT '<b>' AS \x1b, " + "x + " * LONGEST_TEXT
    template = make_environment().from_string("{{ text | whole }}\n{{ text }}\n{{ text[:900] | command }}")
    copied, value, command = template.render(text=text).split("\n")
    whole = "SELECT &#39;&lt;b&gt;&#39; AS \\x1b, " + "x + " * LONGEST_TEXT
    assert copied == whole, "SQL is copied as it is"
    assert whole.startswith(command) and len(command) > 900, "a command is copied as it is"
    assert value.endswith(f"({len(text):,} characters)"), "values of data are cut"


def test_templates_cut_no_code():
    found = 0
    for package in (expectations, jobs):
        for path in Path(package.__file__).parent.rglob("*.html"):
            for value in re.findall(r"<(?:pre|code)>{{ (.*?) }}", path.read_text(encoding="utf-8")):
                found += 1
                assert value in SHORT or value.endswith(("| whole", "| command")), (
                    f"{path}: {value} is cut where it is long"
                )
    assert found >= len(SHORT) + 5, "no code was found in templates: mend the pattern above"


def test_a_command_that_is_too_long_is_left_out_not_cut():
    text = make_environment().from_string("{{ text | command }}").render(text="segue try " + "n" * 5000)
    assert text == "(a command of 5,010 characters, too long for a page)"
