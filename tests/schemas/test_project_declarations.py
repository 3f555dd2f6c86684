"""Feature groups of files outside the package: which are taken, and what is said of those that are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from schemas import CONTRACTS
from schemas.operations import DeclarationError
from schemas.project_declarations import load_declarations
from schemas.starting_set import STARTING_SET

TOP = Path(__file__).parents[2]
HEAD = "from schemas.declarations import Feature, FeatureGroup\n"
EVENING = """
EVENING = FeatureGroup(
    "evening_features", ("user_id",), "What a listener plays at night.",
    (Feature("plays", "count", "play_id", "plays", ("7d",)),), where="hour(played_at) >= 20",
)
"""


def write(folder, name, text):
    path = folder / name
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def load(*paths, other_tables=()):
    return load_declarations([str(path) for path in paths], other_tables).groups


def test_without_paths_the_starting_set_is_declared():
    assert load() == STARTING_SET


def test_groups_are_those_bound_to_names_of_the_files_in_order(tmp_path):
    write(tmp_path, "b.py", "from schemas.starting_set import TRACK_FEATURE_GROUP\n")
    write(tmp_path, "a.py", EVENING)
    write(tmp_path, "_helpers.py", "raise RuntimeError('is not loaded')")
    assert [group.table for group in load(tmp_path)] == ["evening_features", "track_features"]
    assert [group.table for group in load(tmp_path / "b.py")] == ["track_features"]


@pytest.mark.parametrize("name", ["USER_FEATURE_GROUP", "MORE"])
def test_a_group_of_the_starting_set_is_taken_whole_with_what_extends_it(tmp_path, name):
    extend = f'{name} = USER_FEATURE_GROUP.extend(Feature("longest", "max", "ms_played", "ms", ("7d",)))'
    write(tmp_path, "a.py", f"from schemas.starting_set import *\n{extend}")
    groups = load(tmp_path)
    assert sorted(group.table for group in groups) == sorted(group.table for group in STARTING_SET)
    (users,) = (group for group in groups if group.table == "user_features")
    assert users.features[-1].what == "longest" and users.features[:-1] == STARTING_SET[0].features


WRONG = """
A = Feature("Plays", "count", "play_id", "plays")
B = Feature("plays", "cuont", "play_id", "plays")
C = Feature("plays", "sum", "user_id", "plays", ("7d", "0d"))
GROUP = FeatureGroup("a_features", ("user_id",), "", (A, B, C))
OTHER = FeatureGroup("b_features", ("genre",), "", (Feature("plays", "count", "play_id", "plays"),))
D, E = Feature("x", "count", "play_id", "a"), Feature("x", "count", "track_id", "b")
TWICE = FeatureGroup("c_features", ("user_id",), "", (D, E))
"""


def test_every_mistake_of_every_file_is_in_one_error_with_its_line(tmp_path):
    wrong, broken = write(tmp_path, "wrong.py", WRONG), write(tmp_path, "broken.py", "def (")
    raising = write(tmp_path, "raising.py", "import no_such_module\n")
    with pytest.raises(DeclarationError) as refused:
        load(tmp_path, tmp_path / "nowhere.py")
    head, *lines = str(refused.value).splitlines()
    assert head == "8 mistakes in declarations of features"
    expected = [
        f"{tmp_path / 'nowhere.py'}: there is no such file or folder",
        f"{broken}:2: SyntaxError: ",
        f"{raising}:2: ModuleNotFoundError: No module named 'no_such_module'",
        f"{wrong}:3: feature Plays: its name 'Plays' is no column's",
        f"{wrong}:4: feature plays: operation 'cuont' is unknown",
        f"{wrong}:5: feature plays: window '0d' is none; write days as '7d', or 'lifetime'; sum takes ",
        f"{wrong}:7: table b_features: genre is no column of sessions or tracks",
        f"{wrong}:9: table c_features: x_count_1d, x_count_30d, x_count_7d declared twice",
    ]
    assert all(any(line.startswith(text) for line in lines) for text in expected), "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            EVENING + EVENING.replace("EVENING", "SECOND"),
            r"a.py:8: table evening_features is declared twice, also in .*a.py:3; give",
        ),
        (EVENING.replace("evening_features", "plays"), "table plays is one of Segue's own"),
        # rewards would take their own for it
        (EVENING.replace("evening_", "session_"), "table session_features is one of Segue's own"),
        (
            EVENING.replace("evening_", "session_").replace(" where", " daily=False, where"),
            "table session_features is one of Segue's own",
        ),
        ("X = 1", "no FeatureGroup is bound to a name there"),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path, text, message):
    with pytest.raises(DeclarationError, match=message):
        load(write(tmp_path, "a.py", text), other_tables=["plays", "sessions"])


def test_a_declaration_in_code_is_refused_at_once_after_files_were_loaded(tmp_path):
    with pytest.raises(DeclarationError):
        load(write(tmp_path, "a.py", WRONG))
    with pytest.raises(DeclarationError, match="'cuont' is unknown"):
        STARTING_SET[0].features[0].__class__("plays", "cuont", "play_id", "plays")


def run(folder, *arguments):
    command = [sys.executable, "-m", "segue.command", *arguments]
    environment = {"PYTHONPATH": str(TOP), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_commands_in_a_project_know_its_groups_and_say_what_is_wrong_with_them(tmp_path):
    (tmp_path / "declarations").mkdir()
    (tmp_path / "segue.toml").write_text('declarations = ["declarations"]')
    write(tmp_path / "declarations", "a.py", EVENING)
    shown = run(tmp_path / "declarations", "features")
    assert (shown.returncode, shown.stderr) == (0, ""), shown.stderr
    assert "evening_features: by user_id" in shown.stdout and "user_features" not in shown.stdout
    assert (
        "build-evening-features    What a listener plays at night\n" in run(tmp_path, "run", "--help").stdout
    )
    write(tmp_path / "declarations", "a.py", EVENING.replace("count", "cuont"))
    refused = run(tmp_path, "features")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert f"{tmp_path / 'declarations' / 'a.py'}:5: feature plays: operation 'cuont'" in refused.stderr
    assert "evening" not in CONTRACTS
