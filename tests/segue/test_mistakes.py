"""What is said of wrong settings, declarations and expectations is what `mistakes.txt` says: a line for each mistake.

Run as a script it writes `mistakes.txt` anew: `make golden-help`.
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from jobs import build_training_set
from jobs.errors import JobError
from jobs.health.drift_settings import load_drift_settings
from jobs.health.root import load_promises
from jobs.owners import check_table_names
from jobs.publishing.gate_file import load_gate
from jobs.publishing.warehouse import Warehouse
from jobs.training.manifest import Manifest, save
from jobs.training.request import Request
from schemas.operations import DeclarationError
from schemas.project_declarations import load_declarations
from segue.errors import SegueError
from segue.project import SETTINGS, VARIABLE, find_project

GOLDEN = Path(__file__).with_name("mistakes.txt")
REBUILD = "if that is meant, `make golden-help` writes tests/segue/mistakes.txt anew; review its diff"
FEATURES = "from schemas.declarations import Feature, FeatureGroup\n"
EXPECTATIONS = (
    "from expectations.declarations import Change, TableExpectations, expect_rows\n"
    "from expectations.suite import Bound, SoftBound\n"
)

MORE_PLAYS = (
    "from schemas.contract import Column\nfrom schemas.play_columns import PlayColumns\n"
    "PlayColumns((Column({column}),))\n"
)


def group(
    feature: str, more: str = "", name: str = "G", table: str = "g_features", key: str = "user_id"
) -> str:
    return f'{name} = FeatureGroup("{table}", ("{key}",), "Mine.", ({feature},){more})\n'


def expect(*rules: str, table: str = "plays") -> str:
    return f'P = TableExpectations("{table}", ({", ".join(rules)},))\n'


GOOD = 'Feature("plays", "count", "play_id", "plays")'

# --- one wrong thing in each, but for the last of a kind; the first line of a file of code is its imports

SETTINGS_FILES = {
    "no TOML": "root = ",
    "an unknown setting": 'rot = "x"',
    "an unknown table": "[sparks]\na = 1",
    "a path that is a number": "root = 3",
    "an empty path": 'root = ""',
    "a list for a path": 'root = ["a"]',
    "no paths": "input = []",
    "paths that are numbers": "input = [1]",
    "a name with a space": 'name = "my radio"',
    "days as text": 'release_days = "35"',
    "days out of range": "refused_days = 0",
    "days that are true": "refused_days = true",
    "a schedule of no field": 'schedule = "daily"',
    "a schedule of a day that never comes": 'schedule = "0 4 31 2 *"',
    "a schedule that is a number": "schedule = 4",
    "an owner without a name": 'owner = " "',
    "a setting of Spark without quotes": "[spark]\nspark.driver.memory = '8g'",
    "one value for all of Spark": "spark = 1",
    "an owner that is no text": "[owners]\nplays = 3",
    "a file size that is text": '[file_sizes]\nplays = "256"',
    "a bound beside the tables": "[gate]\nhigh = 3",
    "a source without files": '[sources.radio]\nsource = "radio.toml"',
    "an unknown key of a source": '[sources.radio]\nsource = "a"\ninput = ["b"]\ncatalog = "c"',
    "one source and several": 'source = "a"\n[sources.radio]\nsource = "a"\ninput = ["b"]',
    "one value for all events": "events = 1",
    "events without files": "[events.searches]\nsource = 'x'",
    "a number for files of events": "[events.searches]\ninput = 3",
    "an unknown key of events": "[events.searches]\ninput = 'x'\nsorce = 'x'",
    "a promise that is no duration": '[slo]\nuser_features = "30 hours"\nplays = 30',
    "a promise of no time": '[slo]\nuser_features = "0h"',
    "one value for all promises": 'slo = "30h"',
    "a webhook that is no address": '[alerts]\nwebhook = "hooks.example/hush"',
    "an unknown key of alerts": '[alerts]\nweb_hook = "https://hooks.example/hush"',
    "a number for a file of alerts": "[alerts]\njson_file = 3",
    "a reference that is no day": '[drift]\nreference = "2026-11-31"',
    "a reference that is no release": '[drift]\nreference = "2026-11-20.x"',
    "a limit beside the tables": "[drift]\npsi = 0.3",
    "a limit of a column beside the columns": "[drift.plays]\npsi = 0.3",
    "limits that cannot be": "[drift.plays]\nrows = -1\n[drift.plays.ms_played]\npsi = true\nnulls = 2\nenabled = 1",
    "an unknown limit of a column": "[drift.plays.ms_played]\npsy = 0.3",
    "three at once": 'rot = "x"\nroot = 3\n[owners]\nplays = ""',
}
VARIABLES = {
    "days that are no number": ("SEGUE_RELEASE_DAYS", "soon"),
    "a quote that is not closed": ("SEGUE_INPUT", "'a b"),
    "a project that is not there": (VARIABLE, "nowhere"),
    "a webhook that is no address": ("SEGUE_ALERTS_WEBHOOK", "hooks.example/hush"),
}
GATE_FILES = {
    "an unknown table": "[gate.play.rejected_share]\nhigh = 0.1",
    "an unknown bound": "[gate.plays.rejected_shares]\nhigh = 0.1",
    "an unknown key": "[gate.plays.rejected_share]\nhihg = 0.1",
    "a limit that is text": '[gate.plays.rejected_share]\nhigh = "5 %"',
    "a bound of integrity": "[gate.plays.duplicate_keys]\nhigh = 5",
    "an owner of no table": '[owners]\nuser_featurs = "us"',
    "a file size of no table": "[file_sizes]\nplay = 256",
}
PROMISE_FILES = {
    "a promise of no table": '[slo]\nuser_featurs = "30h"\nquality_results = "1d"',
}
DRIFT_FILES = {
    "a limit of no table": "[drift.user_featurs]\nrows = 0.3",
    "a limit of no column": "[drift.plays.ms_plaid]\npsi = 0.3\n[drift.sessions]\ncompletions.nulls = 0.3",
}
FEATURE_FILES = {
    "no Python": "def (",
    "a module that is missing": "import no_such_module",
    "a name from the package, not from its module": "from schemas import Feature",
    "a name of the package, not of its module": "import schemas\nschemas.FeatureGroups",
    "no group": "X = 1",
    "an unknown operation": group('Feature("plays", "cuont", "play_id", "plays")'),
    "an unknown column": group('Feature("plays", "count", "trak_id", "plays")'),
    "no SQL": group('Feature("plays", "count", "play_id", "plays", where="(skipped")'),
    "a window in weeks": group('Feature("plays", "count", "play_id", "plays", ("1w",))'),
    "a window beyond the longest": group('Feature("tracks", "distinct", "track_id", "tracks", ("91d",))'),
    "an option of another operation": group('Feature("plays", "count", "play_id", "plays", per="track_ms")'),
    "a default of another type": group('Feature("ms", "max", "ms_played", "longest", default=0.5)'),
    "an entity that is no column": group(GOOD, key="album_id"),
    "one column twice": group(f"{GOOD}, {GOOD}"),
    "one table twice": group(GOOD) + group(GOOD, name="H"),
    "a source that is not declared": group(GOOD, ', source="searches"'),
    "a derived key that is no key": group(GOOD, ', derived_keys={"year": "year(released_on)"}'),
    "a table of Segue's": group(GOOD, table="plays"),
    "a column that plays have": MORE_PLAYS.format(column='"skipped", "boolean", ""'),
    "a column of plays that sessions have": MORE_PLAYS.format(column='"position", "int", ""'),
    "a column of plays that tracks have": MORE_PLAYS.format(column='"album", "string", ""') + group(GOOD),
    "a column of plays that is required": MORE_PLAYS.format(
        column='"playlist", "string", "", nullable=False'
    ),
    "a column of plays of no type": MORE_PLAYS.format(column='"playlist", "text", ""'),
    "a column of plays twice": MORE_PLAYS.format(column='"playlist", "string", ""') * 2 + group(GOOD),
}
EXPECTATION_FILES = {
    "nothing expected": "X = 1",
    "an unknown table": expect('Change("rejected_share", "why", high=0.1)', table="play"),
    "no tuple": 'P = TableExpectations("plays", Change("rejected_share", "why", high=0.1))\n',
    "an unknown column": expect('expect_rows("ms_plaid", "ms_played > 0", "over 0")'),
    "no SQL": expect('expect_rows("ms_played", "ms_played >", "over 0")'),
    "a column of SQL that is unknown": expect('expect_rows("ms_played", "length > 0", "over 0")'),
    "an unknown severity": expect('expect_rows("ms_played", "ms_played > 0", "over 0", "fatal")'),
    "a bound without limits": expect('SoftBound("rows", "why", title="few")'),
    "a bound without a reason": expect('SoftBound("rows", "", 5, title="few")'),
    "a bound twice": expect('Bound("rejected_share", "why", high=0.1)'),
    "a bound of what is not counted": expect(
        'Bound("saves", "why", high=0.1)', 'Change("rows", "why", low=2)'
    ),
    "a change of nothing": expect('Change("rejected_share", "why")'),
    "a change without a reason": expect('Change("rejected_share", "", high=0.1)'),
    "a change of what is not there": expect('Change("rejected_shares", "why", high=0.1)'),
    "a change of integrity": expect('Change("duplicate_keys", "why", high=5)'),
    "a limit below the other": expect('Change("rejected_share", "why", low=0.5)'),
    "a severity of integrity of rows": expect(
        'Change("ms_played: expect_column_values_to_be_within", "why", severity="info")'
    ),
}
REPLAYS = {
    "options that the manifest has": (
        "--as-published --max-age 3 --split-at 2026-11-01 --split-by user_id --shares 0.8 0.2 --split-salt b "
        "--groups r --ripe-only --at clicked_at --sample 0.1 --sample-by user_id --provisional --space s1"
    ),
    "features, a release, and what a replay takes": (
        "--features plays --outcomes plays:x_1d --at-label-time plays --release 2026-11-20.1 --format delta "
        "--labels elsewhere"
    ),
}
CASES = [
    (kind, name)
    for kind, cases in (
        ("settings", SETTINGS_FILES),
        ("environment", VARIABLES),
        ("gate", GATE_FILES),
        ("promises", PROMISE_FILES),
        ("drift", DRIFT_FILES),
        ("declarations", FEATURE_FILES),
        ("expectations", EXPECTATION_FILES),
        ("replay", REPLAYS),
    )
    for name in cases
]


def load(kind: str, name: str, folder: Path) -> None:
    """What a command does first with a wrong file or variable."""
    if kind == "settings":
        (folder / "segue.toml").write_text(SETTINGS_FILES[name])
        find_project(folder)
    elif kind == "environment":
        with mock.patch.dict(os.environ, [VARIABLES[name]]):
            list(find_project().describe())
    elif kind == "gate":
        (folder / "segue.toml").write_text(GATE_FILES[name])
        with mock.patch.dict(os.environ, {VARIABLE: str(folder)}):
            check_table_names()
            load_gate(Warehouse(str(folder)))
    elif kind == "promises":
        (folder / "segue.toml").write_text(PROMISE_FILES[name])
        with mock.patch.dict(os.environ, {VARIABLE: str(folder)}):
            load_promises()
    elif kind == "drift":
        (folder / "segue.toml").write_text(DRIFT_FILES[name])
        with mock.patch.dict(os.environ, {VARIABLE: str(folder)}):
            load_drift_settings()
    elif kind == "declarations":
        (folder / "features.py").write_text(FEATURES + FEATURE_FILES[name])
        load_declarations([str(folder)], ["plays", "sessions"])
    elif kind == "replay":
        save(Manifest(Request("labels"), "2026-11-20.1", {}, "code", 0, ""), f"{folder}/")
        arguments = ["--root", f"{folder}/root", "--replay", str(folder), "--out", f"{folder}/out"]
        build_training_set.main([*arguments, *REPLAYS[name].split()])
    else:
        (folder / "plays.py").write_text(EXPECTATIONS + EXPECTATION_FILES[name])
        with mock.patch.dict(os.environ, {"SEGUE_EXPECTATIONS": str(folder)}):
            load_gate(Warehouse(str(folder)))


def describe(kind: str, name: str) -> str:
    """The message, without the folder that the file happens to be in."""
    others = {setting.variable for setting in SETTINGS.values()} | {VARIABLE}
    kept = {key: value for key, value in os.environ.items() if key not in others}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, kept, clear=True):
        try:
            load(kind, name, Path(folder))
        except (SegueError, JobError, DeclarationError) as error:
            assert error.exit_code == 2, (
                f"{kind}, {name} ends with {error.exit_code}; expected 2, wrong usage"
            )
            return re.sub(re.escape(folder), ".", str(error))
    raise AssertionError(f"{kind}, {name}: nothing is said")


def read_golden() -> dict[str, str]:
    _, *parts = re.split(r"^# (.*)\n", GOLDEN.read_text(), flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def rebuild() -> None:
    GOLDEN.write_text("\n".join(f"# {kind}: {name}\n{describe(kind, name)}\n" for kind, name in CASES))


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[": ".join(case) for case in CASES])
def test_mistake_is_described_as_mistakes_txt_has_it(kind, name):
    expected, message = read_golden().get(f"{kind}: {name}", ""), describe(kind, name)
    diff = "\n".join(difflib.ndiff(expected.splitlines(), message.splitlines()))
    assert expected == message, f"{diff}\n{REBUILD}"


def test_mistakes_txt_has_no_section_without_a_case():
    assert read_golden().keys() == {f"{kind}: {name}" for kind, name in CASES}, REBUILD


if __name__ == "__main__":
    rebuild()
