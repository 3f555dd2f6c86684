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


def heading(line: str) -> str:
    return " ".join(f"$ segue {line} --help".split())


def printed(line: str) -> str:
    """The help of one command line, printed by this process."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}), redirect_stdout(out), redirect_stderr(err):
        code = command.main([*line.split(), "--help"])
    assert code == 0, f"{heading(line)} ends with {code}: {err.getvalue()}"
    return out.getvalue()


def golden() -> dict[str, str]:
    """The sections of `help.txt` by heading."""
    _, *parts = HEADING.split(GOLDEN.read_text())
    return {title: text.rstrip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def rebuild() -> None:
    GOLDEN.write_text("\n".join(f"{heading(line)}\n{printed(line)}" for line in command_lines()))


def change(line: str) -> str:
    """What `--help` prints otherwise than `help.txt` has it, as a diff; empty where they agree."""
    written, now = golden().get(heading(line), ""), printed(line).rstrip()
    diff = difflib.unified_diff(written.splitlines(), now.splitlines(), "help.txt", "now", lineterm="", n=1)
    return "\n".join(diff)


@pytest.mark.parametrize("line", command_lines(), ids=lambda line: line or "segue")
def test_help_is_as_written(line):
    assert printed(line).strip(), f"{heading(line)} prints nothing"
    assert not change(line), f"{heading(line)}\n{change(line)}\n{REBUILD}"


def test_nothing_is_written_that_is_no_command():
    gone = golden().keys() - map(heading, command_lines())
    assert not gone, f"help.txt has {sorted(gone)}, which no command prints; {REBUILD}"


def test_a_changed_word_is_seen(monkeypatch, tmp_path):
    other = tmp_path / "help.txt"
    other.write_text(GOLDEN.read_text().replace("the release to go back to", "the release to restore"))
    monkeypatch.setitem(globals(), "GOLDEN", other)
    changed = [row for row in change("rollback").splitlines() if re.match(r"[-+] ", row)]
    assert [row.split(maxsplit=2) for row in changed] == [
        ["-", "ID", "the release to restore"],
        ["+", "ID", "the release to go back to"],
    ]
    assert change("lookup") == ""


if __name__ == "__main__":
    rebuild()
