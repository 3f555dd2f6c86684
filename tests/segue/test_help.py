"""What `--help` prints, for every command and step, is what `help.txt` says: a change of words is seen in review.

Run as a script it writes `help.txt` anew: `make golden-help`.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

import pytest

from jobs import EXTRA, FLOW
from jobs.command import WHOLE_FLOW
from segue import command

GOLDEN = Path(__file__).with_name("help.txt")
REBUILD = "if that is meant, `make golden-help` writes tests/segue/help.txt anew; review its diff"
HEADING = re.compile(r"^(\$ segue .*)\n", re.MULTILINE)
# argparse wraps at the terminal's width.
COLUMNS = "100"

# From 3.13 on, argparse wraps usage lines otherwise and adds no defaults to --x, --no-x.
pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="help.txt is as argparse 3.11 prints it")


def command_lines() -> list[str]:
    """Every command and step, as the installed package has them, in the order of their names."""
    names = sorted({*command.COMMANDS, *(point.name for point in entry_points(group=command.GROUP))})
    steps = [WHOLE_FLOW, *(step.name for step in (*FLOW, *EXTRA))]
    return ["", *names, *(f"run {step}" for step in steps)]


def format_heading(line: str) -> str:
    return " ".join(f"$ segue {line} --help".split())


def print_help(line: str) -> str:
    """The help of one command line, printed by this process."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}), redirect_stdout(out), redirect_stderr(err):
        code = command.main([*line.split(), "--help"])
    assert code == 0, f"{format_heading(line)} ends with {code}: {err.getvalue()}"
    return out.getvalue()


def read_golden() -> dict[str, str]:
    """The sections of `help.txt` by heading."""
    _, *parts = HEADING.split(GOLDEN.read_text())
    return {title: text.rstrip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def rebuild() -> None:
    GOLDEN.write_text("\n".join(f"{format_heading(line)}\n{print_help(line)}" for line in command_lines()))


def diff_help(line: str) -> str:
    """What `--help` prints otherwise than `help.txt` has it, as a diff; empty where they agree."""
    golden_text, current_text = read_golden().get(format_heading(line), ""), print_help(line).rstrip()
    diff = difflib.unified_diff(
        golden_text.splitlines(), current_text.splitlines(), "help.txt", "now", lineterm="", n=1
    )
    return "\n".join(diff)


@pytest.mark.parametrize("line", command_lines(), ids=lambda line: line or "segue")
def test_help_equals_help_txt(line):
    assert print_help(line).strip(), f"{format_heading(line)} prints nothing"
    assert not diff_help(line), f"{format_heading(line)}\n{diff_help(line)}\n{REBUILD}"


def test_help_txt_has_no_section_without_a_command():
    stale_headings = read_golden().keys() - map(format_heading, command_lines())
    assert not stale_headings, f"help.txt has {sorted(stale_headings)}, which no command prints; {REBUILD}"


def test_diff_help_shows_a_changed_word(monkeypatch, tmp_path):
    other = tmp_path / "help.txt"
    other.write_text(GOLDEN.read_text().replace("the release to go back to", "the release to restore"))
    monkeypatch.setitem(globals(), "GOLDEN", other)
    diff_rows = [row for row in diff_help("rollback").splitlines() if re.match(r"[-+] ", row)]
    assert [row.split(maxsplit=2) for row in diff_rows] == [
        ["-", "ID", "the release to restore"],
        ["+", "ID", "the release to go back to"],
    ]
    assert diff_help("lookup") == ""


if __name__ == "__main__":
    rebuild()
