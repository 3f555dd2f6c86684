"""Each alert has a page and each page an alert; every command on a page is one, and those that change nothing run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import segue
from jobs import FLOW, command, flow, release_tables, session
from jobs.health.indicators import KINDS
from reference.golden import unpack
from segue.builtin_commands import COMMANDS
from segue.command import main
from segue.parser import CommandParser

TOP = Path(__file__).parents[2]
FOLDER = TOP / "docs" / "runbook"
SECTIONS = ["Cause", "Look", "Do", "Undo"]
VALUES = {
    "TABLE": "user_features",
    "RUN": "run-20261127T114416",
    "DAY": "2026-01-09",
    "NAME": "ranker",
}


def read_commands(text):
    """The lines of its shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def read_section(text, name):
    return re.split(r"^## ", text, flags=re.MULTILINE)[1 + SECTIONS.index(name)]


PAGES = {path.stem: path.read_text() for path in FOLDER.glob("*.md") if path.stem != "README"}
LINES = [(kind, line) for kind, text in sorted(PAGES.items()) for line in read_commands(text)]
# several pages begin alike
LOOKS = sorted({line for text in PAGES.values() for line in read_commands(read_section(text, "Look"))})


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """What the names in capitals stand for here: a golden root, and what a ranker logged of it."""
    folder = tmp_path_factory.mktemp("runbook")
    unpack(folder)
    store = segue.open(folder / "root")
    rows = store.lookup("user_features", ["u1", "u2"])
    names = ["user_id" if name == "user_id" else f"user_features__{name}" for name in rows.column_names]
    pq.write_table(rows.rename_columns(names), folder / "served.parquet")
    logged = str(folder / "served.parquet")
    return VALUES | {"ROOT": str(folder / "root"), "FILE": logged, "RELEASE": store.release}


def fill(line, values):
    words = shlex.split(line)
    return [values.get(word, word) for word in words]


def find_commands():
    """Every command by its name, as the entry points have them: `segue X` is `X` in capitals."""
    of_jobs = {name.lower().replace("_", "-"): each for name, each in vars(command).items() if name.isupper()}
    return {**of_jobs, **COMMANDS}


def test_alerts_and_pages_match():
    assert PAGES.keys() == KINDS.keys()
    readme = (FOLDER / "README.md").read_text()
    rows = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (.*) \|$", readme, re.MULTILINE))
    assert {kind: text.replace("`", "") for kind, text in rows.items()} == KINDS
    assert list(rows) == list(KINDS), "the most urgent comes first there, too"


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_has_cause_look_do_and_undo_and_is_short(kind):
    text = PAGES[kind]
    assert text.startswith(f"# {kind}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert len(text.split()) < 300
    # names in capitals are those that the first page explains
    assert set(re.findall(r"\b[A-Z]{3,}\b", "\n".join(read_commands(text)))) <= {
        *VALUES,
        "ROOT",
        "FILE",
        "RELEASE",
    }
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (FOLDER / target).is_file(), f"{kind}: no page {target}"


@pytest.mark.parametrize(("kind", "line"), LINES)
def test_every_command_can_be_parsed(kind, line, values):
    program, name, *rest = fill(line, values)
    assert program == "segue" and name in find_commands(), line
    parser = CommandParser(prog=f"segue {name}", allow_abbrev=False)
    find_commands()[name].configure(parser)
    args = parser.parse_args(rest)
    if name == "run":
        step = rest[0]
        assert step == "flow" or step in {each.name for each in FLOW}
        parse = flow._parser(False) if step == "flow" else release_tables.new_parser("", step)
        parse.parse_args(args.arguments)


@pytest.mark.parametrize("line", LOOKS)
def test_what_is_looked_at_can_be_looked_at_without_a_session(line, values, capfd, monkeypatch):
    monkeypatch.setattr(session, "open_session", None)
    monkeypatch.setenv("SEGUE_SCHEDULE", "30 4 * * *")
    before = list_tables(values["ROOT"])
    assert main(fill(line, values)[1:]) in (0, 1, 4)
    streams = capfd.readouterr()
    assert "Traceback" not in streams.err and "the traceback is in" not in streams.err, streams.err
    assert streams.out.strip(), "nothing is shown"
    assert list_tables(values["ROOT"]) == before


def list_tables(root):
    """Files of tables, releases and records, and when they changed."""
    # a report may be written beside them, and a lock and a line of a log
    files = (path for path in Path(root).rglob("*") if path.suffix in (".parquet", ".json"))
    return {str(path): path.stat().st_mtime for path in files}
