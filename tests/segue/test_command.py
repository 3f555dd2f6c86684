from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import segue
from segue import command
from segue.command import main
from segue.parser import CommandParser
from segue.releases import TableVersion, append_release

DAY = date(2026, 11, 20)
PROJECT = Path(segue.__file__).parents[1]

# What the installed package may contribute; `order` is left out where the default is meant.
CONTRIBUTED = """
class Command:
    def __init__(self, help, run, order=None):
        self.help, self.run = help, run
        if order is not None:
            self.order = order
    def configure(self, parser):
        parser.add_argument("--code", type=int, default=0)

class Refused(Exception):
    exit_code = 3

def refuse(args):
    raise Refused("batch b7 of plays breaks 2 expectations")

def crash(args):
    raise ZeroDivisionError("a fault of ours")

def sparkle(args):
    import pyspark

def pipe(args):
    raise BrokenPipeError("the pipe to Spark")

MAKE = Command("makes data", lambda args: args.code, 10)
REFUSE = Command("is refused", refuse)
CRASH = Command("crashes", crash)
SPARKLE = Command("needs Spark", sparkle)
PIPE = Command("breaks a pipe", pipe)
REPORT = Command("tells what was seen", lambda args: 0, 70)
"""
NEEDS_SPARK = """
import pyspark.sql
from contributed_commands import MAKE as COMMAND
"""
ENTRY_POINTS = """[segue.commands]
crash = contributed_commands:CRASH
make = contributed_commands:MAKE
pipe = contributed_commands:PIPE
refuse = contributed_commands:REFUSE
report = contributed_commands:REPORT
sparkle = contributed_commands:SPARKLE
unloadable = contributed_with_spark:COMMAND
"""


@pytest.fixture
def root(lake, make_user, make_embedding, monkeypatch):
    hours = [0.25, 0.5, 0.123456, *[0.0] * 21]
    rows = [
        make_user("u1", plays_count_7d=123456, completion_mean_7d=0.123456, plays_hours_30d=hours),
        make_user("u2", plays_count_7d=3, completion_mean_7d=None, plays_hours_30d=hours[:2]),
    ]
    vectors = {
        "t1": ([1, 0], [1, 0]),
        "t2": ([2, 1.5], [0, -0.5]),
        "t3": ([-3, 1], [3, 0]),
        "t4": (None, None),
    }
    embeddings = [make_embedding(track, *both) for track, both in vectors.items()]
    tracks = [
        {"track_id": "t2", "title": "夜曲", "artist_name": "周杰倫"},
        {"track_id": "t3", "title": "Two\nlines", "artist_name": "Abc"},
    ]
    tables = {
        "user_features": lake.publish("user_features", rows),
        "track_embeddings": lake.publish("track_embeddings", embeddings),
        "tracks": lake.publish("tracks", tracks),
    }
    lake.release(**tables)
    lake.release(user_features=tables["user_features"])
    lake.release(**tables)
    monkeypatch.setenv("SEGUE_ROOT", str(lake.root))
    return lake.root


@pytest.fixture
def contributed_package(tmp_path, monkeypatch):
    """An installed package with commands, one of which can only be loaded where Spark is."""
    site = tmp_path / "site"
    info = site / "contributed-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: contributed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "contributed_commands.py").write_text(CONTRIBUTED)
    (site / "contributed_with_spark.py").write_text(NEEDS_SPARK)
    monkeypatch.syspath_prepend(site)
    yield site
    for name in ("contributed_commands", "contributed_with_spark"):
        sys.modules.pop(name, None)


@pytest.fixture
def without_spark(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)


def output(capsys, *argv: str) -> str:
    assert main(argv) == 0, capsys.readouterr().err
    streams = capsys.readouterr()
    assert streams.err == ""
    return streams.out


def run_command(*argv: str, root: Path, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "SEGUE_ROOT": str(root)}
    return subprocess.run(
        [sys.executable, "-m", "segue.command", *argv],
        env=environment, stderr=subprocess.PIPE, text=True, check=False, **options,
    )  # fmt: skip


# --- output for people


def test_lookup_prints_few_wide_rows_as_columns(root, capsys):
    assert output(capsys, "lookup", "user_features", "u2", "u9", "u1") == (
        "user_id             u2                    u9 (absent)  u1\n"
        "feature_at          2026-11-21 00:00:00Z  -            2026-11-21 00:00:00Z\n"
        "plays_count_7d      3                     -            123456\n"
        "completion_mean_7d  -                     -            0.1235\n"
        "plays_hours_30d     [0.25, 0.5]           -            [0.25, 0.5, 0.1235, … 24]\n"
        "available_at        2026-11-21 02:30:00Z  -            2026-11-21 02:30:00Z\n"
        "ds                  2026-11-20            -            2026-11-20\n"
    )


def test_lookup_prints_many_narrow_rows_as_rows(root, capsys):
    columns = "--columns=plays_count_7d,completion_mean_7d"
    assert output(capsys, "lookup", "user_features", columns, "u1", "u2", "u9", "u1", "u1", "u1") == (
        "user_id      plays_count_7d  completion_mean_7d\n"
        "u1                   123456              0.1235\n"
        "u2                        3                   -\n"
        "u9 (absent)               -                   -\n"
        "u1                   123456              0.1235\n"
        "u1                   123456              0.1235\n"
        "u1                   123456              0.1235\n"
    )


def test_lookup_marks_only_keys_without_a_row_as_absent(root, capsys):
    text = output(capsys, "lookup", "user_features", "u2", "u9", "--columns", "completion_mean_7d")
    assert text == "user_id      completion_mean_7d\nu2           -\nu9 (absent)  -\n"


def test_similar_aligns_wide_letters_and_drops_line_breaks(root, capsys):
    assert output(capsys, "similar", "t1") == (
        "track_id   score  title      artist_name\n"
        "t2        0.8944  夜曲       周杰倫\n"
        "t3             0  Two lines  Abc\n"
    )
    assert output(capsys, "similar", "t1", "--next", "-k", "1").splitlines()[1:] == [
        "t3            3  Two lines  Abc"
    ]


def test_releases_lists_the_newest_first(root, capsys):
    lines = output(capsys, "releases").splitlines()
    assert lines[0].split("  ")[0] == "release"
    assert [(line.split()[0], line.split()[5:]) for line in lines[1:]] == [
        ("2026-11-20.3", ["3", "0", "8", "-"]),
        ("2026-11-20.2", ["1", "0", "2", "-"]),
        ("2026-11-20.1", ["3", "0", "8", "-"]),
    ]
    assert ["no end" in line for line in lines[1:]] == [True, False, False], "only the newest has no end"


def test_releases_show_prints_the_tables_of_one_release(root, capsys):
    text = output(capsys, "releases", "show", "2026-11-20.1").splitlines()
    assert text[0].startswith("release 2026-11-20.1, made 20")
    assert text[1:] == [
        "",
        "table             version  rows  lag  against none  content hash",
        "track_embeddings        1     4  -    new           hash-track_embeddings-1",
        "tracks                  1     2  -    new           hash-tracks-1",
        "user_features           1     2  -    new           hash-user_features-1",
    ]


def test_releases_show_prints_the_lag_of_a_table_in_days(tmp_path, capsys):
    tables = {"a": TableVersion(1, 5, "x", 3), "b": TableVersion(1, 5, "x", 1), "c": TableVersion(1, 5, "x")}
    append_release(tmp_path, date(2026, 11, 20), tables)
    root = ["--root", str(tmp_path)]
    text = output(capsys, "releases", "show", *root).splitlines()
    assert [" ".join(line.split()[3:-2]) for line in text[3:6]] == ["3 days", "1 day", "-"]
    assert output(capsys, "releases", *root).splitlines()[1].split()[5:] == ["3", "2", "15", "-"]
    (entry,) = map(json.loads, output(capsys, "releases", "--json", *root).splitlines())
    assert {name: table["lag_days"] for name, table in entry["tables"].items()} == {"a": 3, "b": 1, "c": 0}


def test_releases_show_compares_with_the_release_before(tmp_path, capsys):
    table_sets = [{"a": TableVersion(1, 5, "x"), "b": TableVersion(1, 5, "x"), "c": TableVersion(1, 5, "x")}]
    table_sets.append(
        {"a": TableVersion(2, 9, "y"), "b": TableVersion(2, 5, "x"), "d": TableVersion(1, 1, "z")}
    )
    table_sets.append(
        {"a": TableVersion(3, 9, "z"), "b": TableVersion(2, 5, "x"), "d": TableVersion(1, 1, "z")}
    )
    for tables in table_sets:
        append_release(tmp_path, date(2026, 11, 20), tables)

    def changes(release):
        lines = output(capsys, "releases", "show", release, "--root", str(tmp_path)).splitlines()
        rows = [line.split() for line in lines[3:] if line.endswith(("x", "y", "z"))]
        return {words[0]: " ".join(words[4:-1]) for words in rows}, lines

    second, lines = changes("2026-11-20.2")
    assert second == {"a": "+4 rows", "b": "the same rows", "d": "new"} and lines[-1] == "no longer has c"
    assert changes("2026-11-20.3")[0]["a"] == "other rows, as many"


def test_rollback_prints_the_new_and_the_replaced_release(root, capsys):
    assert output(capsys, "rollback", "2026-11-20.2") == (
        "release 2026-11-20.4 has the tables of 2026-11-20.2; it takes back 2026-11-20.3\n"
    )
    assert output(capsys, "releases").splitlines()[1].endswith("2  2026-11-20.3")
    assert "takes back 2026-11-20.3" in output(capsys, "releases", "show").splitlines()[0]


def test_releases_of_an_empty_root_lists_none(tmp_path, capsys):
    assert output(capsys, "releases", "--root", str(tmp_path)) == f"no releases yet under {tmp_path}\n"
    assert output(capsys, "releases", "--json", "--root", str(tmp_path)) == ""


def test_releases_of_a_root_that_is_misspelt_are_refused(tmp_path, monkeypatch, capsys):
    nowhere = str(tmp_path / "nowhere")
    words = f"segue: root {nowhere!r} is not there; give the folder that holds 'tables' and 'releases'\n"
    assert (main(["releases", "--root", nowhere]), capsys.readouterr().err) == (2, words)
    monkeypatch.setenv("SEGUE_ROOT", nowhere)
    assert (main(["releases"]), capsys.readouterr().err) == (2, words), "one in the environment was typed too"
    monkeypatch.delenv("SEGUE_ROOT")
    assert main(["releases", "--root", f"file://{nowhere}"]) == 2, "one with a scheme is looked for too"
    assert "is not there" in capsys.readouterr().err
    assert output(capsys, "releases", "--root", f"file://{tmp_path}").startswith("no releases yet under")
    (tmp_path / "segue.toml").write_text('root = "lake"')
    monkeypatch.setenv("SEGUE_PROJECT", str(tmp_path))
    assert output(capsys, "releases") == f"no releases yet under {tmp_path}/lake\n", "before the first flow"


# --- output for programs


def test_home_is_found_behind_an_equals_sign_as_a_shell_finds_it_behind_a_space(root, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(Path(root).parent))
    at_home = f"~/{Path(root).name}"
    assert main(["releases", f"--root={at_home}"]) == 0
    assert capsys.readouterr().out.strip(), "the root at home was not read"
    parser = CommandParser()
    parser.add_argument("--training-set", nargs="+")
    parser.add_argument("name")
    args = parser.parse_args(["--training-set=~/a b", "~x"])
    expected = argparse.Namespace(training_set=[f"{Path(root).parent}/a b"], name="~x")
    assert args == expected, "each option takes ~ alike, and nothing else is touched"
    assert parser.parse_args(["--training-set=a~", "x"]).training_set == ["a~"], (
        "~ is home at the start alone"
    )


def test_lookup_prints_rows_as_json(root, capsys):
    columns = "ds,available_at,plays_hours_30d,plays_count_7d"
    text = output(capsys, "lookup", "user_features", "u2", "u9", "--json", "--columns", columns)
    assert [json.loads(line) for line in text.splitlines()] == [
        {
            "user_id": "u2",
            "ds": "2026-11-20",
            "available_at": "2026-11-21T02:30:00.123456+00:00",
            "plays_hours_30d": [0.25, 0.5],
            "plays_count_7d": 3,
        },
        dict.fromkeys(["ds", "available_at", "plays_hours_30d", "plays_count_7d"]) | {"user_id": "u9"},
    ]


def test_lookup_prints_nan_and_infinity_as_null_in_json(lake, make_user, capsys):
    rows = [make_user("u1", completion_mean_7d=float("nan"), plays_hours_30d=[float("inf"), 1.0])]
    lake.release(user_features=lake.publish("user_features", rows))
    text = output(
        capsys, "lookup", "user_features", "u1", "--json", "--root", str(lake.root),
        "--columns", "completion_mean_7d,plays_hours_30d",
    )  # fmt: skip
    assert text == '{"user_id": "u1", "completion_mean_7d": null, "plays_hours_30d": [null, 1.0]}\n'


def test_releases_similar_and_rollback_print_json(root, capsys):
    entries = [json.loads(line) for line in output(capsys, "releases", "--json").splitlines()]
    assert [release["release_id"] for release in entries] == [f"2026-11-20.{n}" for n in (3, 2, 1)]
    about = {"version": 1, "rows": 2, "content_hash": "hash-user_features-1", "lag_days": 0}
    assert entries[1]["tables"] == {"user_features": {**about, "complete_through": None}}
    at = datetime.fromisoformat(entries[0]["released_at"])
    assert timedelta(0) <= datetime.now(UTC) - at < timedelta(minutes=1)
    assert [json.loads(output(capsys, "releases", "show", "2026-11-20.2", "--json"))] == entries[1:2]
    neighbour = json.loads(output(capsys, "similar", "t1", "-k1", "--json"))
    assert neighbour == {
        "track_id": "t2",
        "score": pytest.approx(0.8944, abs=1e-4),
        "title": "夜曲",
        "artist_name": "周杰倫",
    }
    assert json.loads(output(capsys, "rollback", "2026-11-20.1", "--json"))["rollback_of"] == "2026-11-20.3"


def test_lookup_and_similar_read_an_old_release(root, capsys):
    assert main(["similar", "t1", "--release", "2026-11-20.2"]) == 2
    assert "table 'track_embeddings' is unknown in release 2026-11-20.2" in capsys.readouterr().err
    text = output(capsys, "lookup", "tracks", "t2", "--release", "2026-11-20.1", "--columns", "title")
    assert text == "track_id  title\nt2        夜曲\n"


# --- exit codes


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["lookup", "user_features", "nobody"], 0, ""),
        (["lookup", "user_feature", "u1"], 2, "segue: table 'user_feature' is unknown"),
        (["lookup", "user_features", "u1", "--day", "2026-11-21"], 2, "segue: day '2026-11-21' is unknown"),
        (["lookup", "user_features"], 2, "the following arguments are required: KEY"),
        (["similar", "t9"], 1, "segue: track 't9' has no embedding"),
        (["similar", "t4"], 1, "segue: track 't4' is known, but on 2026-11-20 nothing is known of it"),
        (["similar", "t1", "-k", "0"], 2, "segue: k must be 1 or more"),
        (["releases", "show", "x"], 2, "segue: release 'x' is unknown; known: 2026-11-20.3, "),
        (["releases", "shwo"], 2, "invalid choice: 'shwo'"),
        (["rollback", "2026-11-20.3"], 2, "segue: release 2026-11-20.3 is the newest already"),
        (["lokup"], 2, "segue: command 'lokup' is unknown.*Hint: did you mean 'lookup'"),
        ([], 2, "usage: segue COMMAND"),
        (["--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["lookup", "t", "k", "--root", "/nowhere"], 1, "segue: there are no releases under '/nowhere'"),
        (["make", "--code", "0"], 0, ""),
        (["make", "--code", "3"], 3, ""),
        (["refuse"], 3, "segue: batch b7 of plays breaks 2 expectations\n"),
        (["refuse", "--cod", "1"], 2, "unrecognized arguments"),
    ],
)
def test_main_returns_the_exit_code_and_one_line(root, contributed_package, capsys, argv, code, message):
    assert main(argv) == code
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert "Traceback" not in err
    if err.startswith("segue:"):
        assert err.count("\n") == 1, "an error is one line"


def test_help_and_version_exit_with_0(root, capsys):
    assert main(["--help"]) == main(["lookup", "--help"]) == main(["--version"]) == 0
    assert "segue " in capsys.readouterr().out


@pytest.mark.parametrize(("command", "cause"), [("crash", "a fault of ours"), ("pipe", "the pipe to Spark")])
def test_main_tells_the_cause_of_an_unexpected_error_and_keeps_its_traceback(
    contributed_package, capsys, tmp_path, monkeypatch, command, cause
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logging.getLogger("segue.jobs"), "handlers", [])
    assert main([command]) == 1
    (log,) = tmp_path.glob("segue-*.log")
    assert capsys.readouterr().err == (
        f"segue: {cause}\nthe traceback is in {log}; SEGUE_TRACEBACK=1 shows it here\n"
    )
    assert re.search(rf"Traceback .*Error: {cause}", log.read_text(), re.DOTALL)
    monkeypatch.setenv("SEGUE_TRACEBACK", "1")
    assert main([command]) == 1 and "Traceback" in capsys.readouterr().err


def test_main_ends_in_one_line_where_it_is_interrupted(contributed_package, capsys, monkeypatch):
    monkeypatch.setattr(command, "_run", lambda argv: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["make"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


# --- contributed commands


def parse_command_names(text: str) -> list[str]:
    lines = text.split("commands:\n")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines]


def test_help_lists_all_commands_in_order_of_use(contributed_package, monkeypatch, capsys):
    entry_points = [
        each for each in command.entry_points(group="segue.commands") if "contributed" in each.value
    ]
    monkeypatch.setattr(command, "entry_points", lambda group: entry_points)
    names = parse_command_names(output(capsys, "--help"))
    assert names == [
        "init", "make", "unloadable", "crash", "pipe", "refuse", "sparkle",
        "releases", "lookup", "similar", "skew", "rollback", "report", "pack", "schedule", "config",
    ]  # fmt: skip


def test_help_lists_a_command_that_cannot_be_loaded(contributed_package, without_spark, capsys):
    text = output(capsys, "--help")
    assert "makes data" in text
    assert re.search(r"unloadable +\(this command needs the Spark half: pip install", text), text


@pytest.mark.parametrize("name", ["sparkle", "unloadable"])
def test_command_without_spark_says_what_to_install(contributed_package, without_spark, capsys, name):
    assert main([name]) == 1
    message = capsys.readouterr().err
    assert message == "segue: this command needs the Spark half: pip install 'segue-platform[spark]'\n"


def test_lookup_loads_no_contributed_command(root, contributed_package, capsys):
    output(capsys, "lookup", "user_features", "u1")
    assert "contributed_commands" not in sys.modules
    assert main(["make"]) == 0
    assert "contributed_commands" in sys.modules
    assert "contributed_with_spark" not in sys.modules


# --- in a process of its own


def test_lookup_process_exits_with_0_five_times(root):
    """Some ways to read Delta abort at exit about every second time."""
    for attempt in range(5):
        process = run_command(
            "lookup", "user_features", "u1", "u9", "--json", root=root, stdout=subprocess.PIPE
        )
        assert (process.returncode, process.stderr) == (0, ""), f"attempt {attempt}"
        assert [json.loads(line)["plays_count_7d"] for line in process.stdout.splitlines()] == [123456, None]


def test_scan_process_exits_with_0_when_abandoned_halfway(root):
    code = f"import segue; print(next(segue.open({str(root)!r}).scan('user_features')).num_rows > 0)"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    for _ in range(2):
        process = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stdout, process.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_releases_into_a_closed_pipe_prints_no_traceback(root, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    read, write = os.pipe()
    os.close(read)
    try:
        process = run_command("releases", root=root, stdout=write)
    finally:
        os.close(write)
    assert (process.returncode, process.stderr) == (1, "")


def test_import_of_the_client_loads_no_heavy_package():
    code = (
        "import sys, segue, segue.command\n"
        "heavy = {'pyspark', 'pandas', 'pyarrow', 'deltalake', 'numpy'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & heavy))"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout == "[]\n"


def test_package_resolves_its_names_lazily():
    from segue.releases import list_releases
    from segue.store import Store

    assert segue.Store is Store
    assert segue.releases is list_releases, "the module of the same name hides the function"
    assert segue.__version__ is None or segue.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = segue.nonsense


def test_a_look_up_from_a_shell_does_not_wait_for_pandas(root):
    code = (
        "import sys; from segue.command import main; sys.argv = ['segue', 'lookup', 'user_features', 'u1']; "
        "print(main(), 'pyarrow.dataset' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert done.stdout.endswith("\n0 True False\n"), (
        f"is pandas imported by a command that needs none?\n{done.stdout}{done.stderr}"
    )
