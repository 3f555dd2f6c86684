"""A drill: five bad nights, and from the alert, with the commands of its runbook page alone, back to what readers need.

    python benchmarks/drill.py            # about ten minutes, with Spark
    python benchmarks/drill.py --only "seconds for milliseconds"

Five weeks of made-up plays are ingested and released. Each bad night is a copy of that project, with a day that is
spoiled in its own way. What somebody does outside of Segue (a source sends a file again) is said; each command is
printed, and must stand on the page that the alert names. Fails where the alert is another one, where it is still there
afterwards, or where that took over ten commands.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests")]

from reference.listening_days import Arrays, ListeningDays  # noqa: E402

DAYS = 36
MOST_COMMANDS = 10
# Plays and sessions are enough for a night; the rest takes minutes.
SKIPPED = (
    "train-track-embeddings",
    "build-user-features",
    "build-track-features",
    "build-artist-features",
    "build-pair-partials",
)
SOURCE = """
name = "app"
format = "json"
[plays]
play_id = "id"
user_id = "user"
track_id = "track"
artist_id = "artist"
played_at = "timestamp_seconds(try_cast(at as bigint))"
ms_played = "ms"
track_ms = "track_ms"
skipped = "skipped"
"""
PROJECT = 'name = "drill"\nsource = "source.toml"\ninput = ["landing"]\n'
WORLD = ListeningDays(plays_a_day=400, listeners=300)


@dataclass(frozen=True)
class Night:
    """`spoil` makes the files of the last day from its plays, `mend` is done outside, `commands` are the page's."""

    name: str
    alert: str
    spoil: Callable[[Path, Arrays], None]
    mend: Callable[[Path, Arrays], str]
    commands: tuple[str, ...]


# --- files of a day


def write_day(folder: Path, n: int, arrays: Arrays, name: str = "", ids: str = "p") -> Path:
    """A line per play; NaN is no value."""
    midnight = int(datetime.combine(WORLD.day(n), datetime.min.time(), UTC).timestamp())
    path = folder / "landing" / f"{name or WORLD.day(n)}.json"
    with path.open("w") as file:
        for k in range(len(arrays["user"])):
            ms = arrays["ms_played"][k]
            row = {
                "id": f"{ids}{n}-{k}",
                "user": f"u{arrays['user'][k]}",
                "track": f"t{arrays['track'][k]}",
                "artist": f"a{arrays['track'][k] % 40}",
                "at": midnight + 60 * int(arrays["minute"][k]) + k % 60,
                "ms": None if np.isnan(ms) else int(ms),
                "track_ms": int(arrays["track_ms"][k]),
                "skipped": bool(arrays["skipped"][k]),
            }
            file.write(json.dumps(row) + "\n")
    return path


def select(arrays: Arrays, rows: np.ndarray) -> Arrays:
    return {name: each[rows] for name, each in arrays.items()}


LAST = DAYS - 1


def send_half(folder: Path, arrays: Arrays) -> None:
    write_day(folder, LAST, select(arrays, arrays["minute"] < 16 * 60))


def send_the_rest(folder: Path, arrays: Arrays) -> str:
    write_day(folder, LAST, select(arrays, arrays["minute"] >= 16 * 60), "rest", "r")
    return "the source sends the other half, as a file of its own"


def send_twice(folder: Path, arrays: Arrays) -> None:
    write_day(folder, LAST, arrays)
    write_day(folder, LAST, arrays, "again", "q")


def send_again(folder: Path, arrays: Arrays) -> str:
    write_day(folder, LAST, arrays)
    return "the source sends the day again, as it should be"


def send_seconds(folder: Path, arrays: Arrays) -> None:
    write_day(folder, LAST, arrays | {"ms_played": (arrays["ms_played"] / 1000).round()})


def lose_durations(folder: Path, arrays: Arrays) -> None:
    lost = np.random.default_rng(3).random(len(arrays["user"])) < 0.5
    write_day(folder, LAST, arrays | {"ms_played": np.where(lost, np.nan, arrays["ms_played"])})


def send_negative_durations(folder: Path, arrays: Arrays) -> None:
    wrong = np.random.default_rng(3).random(len(arrays["user"])) < 0.3
    write_day(folder, LAST, arrays | {"ms_played": np.where(wrong, -1, arrays["ms_played"])})


def take_the_copy_away(folder: Path, arrays: Arrays) -> str:
    (folder / "landing" / "again.json").rename(folder / "again.json")
    return "the second file is moved out of the landing folder"


TAKE_OUT = (
    "segue describe TABLE --root ROOT",
    "segue files --root ROOT",
    "segue retract --of-source NAME --day DAY --dry-run --root ROOT",
    "segue retract --of-source NAME --day DAY --root ROOT",
    "segue run flow --root ROOT",
)
READ = ("segue files --root ROOT", "segue run flow --root ROOT")
TAKE_FILE_OUT = (
    "segue files --root ROOT",
    "segue retract --input FILE --dry-run --root ROOT",
    "segue retract --input FILE --root ROOT",
    "segue run flow --root ROOT",
)
READ_AGAIN = ("segue gate TABLE --root ROOT", "segue run flow --root ROOT")
NIGHTS = (
    Night("half of a day", "volume plays", send_half, send_the_rest, READ),
    Night("a day twice, under other ids", "volume plays", send_twice, take_the_copy_away, TAKE_FILE_OUT),
    Night("seconds for milliseconds", "drift plays", send_seconds, send_again, TAKE_OUT),
    Night("durations lost", "nulls plays", lose_durations, send_again, TAKE_OUT),
    Night("negative durations", "refused plays", send_negative_durations, send_again, READ_AGAIN),
)


# --- the drill


def lay_project(folder: Path) -> None:
    """Released up to the day before the last."""
    (folder / "landing").mkdir(parents=True, exist_ok=True)
    (folder / "source.toml").write_text(SOURCE)
    (folder / "segue.toml").write_text(PROJECT)
    for n in range(LAST):
        write_day(folder, n, WORLD.plays(n))
    run_flow(folder)


def run_flow(folder: Path) -> None:
    run(folder, f"segue run flow --root {folder / 'data'}")


def run(folder: Path, line: str, skipped: Sequence[str] = SKIPPED) -> tuple[int, str]:
    """A command in the project; its exit code and what it prints."""
    from segue.command import main

    words = shlex.split(line)[1:]
    if words[:2] == ["run", "flow"]:
        words += ["--skip", *skipped]
    os.environ["SEGUE_PROJECT"] = str(folder)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    return code, printed.getvalue()


def list_alerts(folder: Path) -> dict[str, str]:
    """What is wrong, by kind and subject."""
    _, printed = run(folder, f"segue health --root {folder / 'data'} --json")
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {f"{row['kind']} {row['subject']}": row["what"] for row in rows if row["status"] == "wrong"}


def drill(folder: Path, night: Night) -> int:
    """How many commands it took."""
    arrays = WORLD.plays(LAST)
    night.spoil(folder, arrays)
    run_flow(folder)
    before = list_alerts(folder)
    print(f"\n{night.name}\n" + "\n".join(f"  alert: {key}: {what}" for key, what in before.items()))
    if list(before) != [night.alert]:
        raise SystemExit(f"expected the alert {night.alert}, got {list(before)}")
    page = (TOP / "docs" / "runbook" / f"{night.alert.split()[0]}.md").read_text()
    print(f"  outside: {night.mend(folder, arrays)}")
    for template in night.commands:
        if template not in re.findall(r"^segue .*$", page, re.MULTILINE):
            raise SystemExit(f"{template!r} does not stand on the page of {night.alert}")
        line = fill(template, folder, night)
        started = time.perf_counter()
        code, printed = run(folder, line)
        print(f"  {line.replace(str(folder), '.')}   exit code {code}, {time.perf_counter() - started:.0f} s")
        if code:
            raise SystemExit(printed)
    after = list_alerts(folder)
    print(f"  after {len(night.commands)} commands: {', '.join(after) or 'nothing is wrong'}")
    if after or len(night.commands) > MOST_COMMANDS:
        raise SystemExit("service is not restored")
    return len(night.commands)


def fill(template: str, folder: Path, night: Night) -> str:
    values = {
        "ROOT": str(folder / "data"),
        "TABLE": night.alert.split()[1],
        "NAME": "app",
        "DAY": str(WORLD.day(LAST)),
        "FILE": str(folder / "again.json"),
    }
    return " ".join(values.get(word, word) for word in template.split())


def list_nights(only: Sequence[str]) -> Iterator[Night]:
    return (night for night in NIGHTS if not only or night.name in only)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NIGHT", help="by name")
    where = "lay the good days out here and keep them, or take those that lie here"
    parser.add_argument("--project", type=Path, metavar="FOLDER", help=where)
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as name:
        base = (args.project or Path(name) / "base").absolute()
        started = time.perf_counter()
        if not (base / "data" / "releases").exists():
            lay_project(base)
            print(f"{DAYS - 1} days are released, {time.perf_counter() - started:.0f} s", flush=True)
        for n, night in enumerate(list_nights(args.only)):
            folder = Path(shutil.copytree(base, Path(name) / f"night-{n}"))
            drill(folder, night)


if __name__ == "__main__":
    main()
