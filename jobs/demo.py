"""The demo: a project with weeks of made-up listening, a bad day that is refused, its repair, and two look-ups."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from textwrap import indent
from typing import NoReturn

import segue
from expectations.verdict import Refused
from features.synthetic.world import World
from jobs.errors import JobError, WrongUsage
from jobs.flow import run_flow, run_step
from jobs.job import new_run_id
from segue import show
from segue.new_project import create_project
from segue.project import SETTINGS, VARIABLE, find_project

FIRST_DAY = World().first_day
# Says that a folder was made by the demo: all else could be somebody's.
MARKER = ".segue-demo"
# What a reader of the demo's look-up can take in; the table has over thirty more.
LOOKUP_COLUMNS = (
    "plays_count_1d", "plays_count_7d", "plays_count_30d", "ms_played_sum_7d", "skips_rate_30d",
    "tracks_distinct_30d", "artists_distinct_30d", "plays_decayed_7d", "plays_trend_7d", "available_at",
)  # fmt: skip
# Tracks that a listener is shown before each session.
SLATE = 3
SHOWN_COLUMNS = ("surface", "position", "item_id", "shown_at", "delay_ms", "completion", "skipped", "saved")
RANKED = ("track_features:plays_count_7d", "track_features:skips_rate_30d")


def run_demo(root: str, users: int, days: int) -> int:
    """Lays the demo's project out in `root`, in place of a demo of before, and runs it in a process of its own."""
    if days < 5 or users < 10:
        raise WrongUsage(f"the demo needs 5 days and 10 users or more; got {days} days and {users} users")
    # of --root=~/demo a shell leaves the ~
    root = os.path.expanduser(root)
    if not _is_new_project(root):
        _delete_demo(root)
        create_project(root, "demo")
        Path(root, MARKER).write_text(
            "Made by `segue demo`, which deletes this folder when it runs here again.\n"
        )
        _restart(root, "--users", str(users), "--days", str(days))
    started = time.monotonic()
    demo = _Demo(root, users, days)
    demo.generate()
    demo.release_first_days()
    demo.refuse_bad_day()
    demo.repair()
    track = demo.look_up()
    demo.rank()
    print(f"\nDone in {time.monotonic() - started:.0f} s. The data stays in {root}; to go on:\n")
    root = shlex.quote(root)
    for command in (f"releases --root {root}", f"lookup track_features {track} --root {root}", "--help"):
        print(f"  segue {command}")
    return 0


def _delete_demo(root: str) -> None:
    """Makes room; nothing is done where nothing is in the way.

    Raises:
        WrongUsage: what is there was not made by the demo.
        JobError: it cannot be deleted.
    """
    # without a slash at its end, which would follow a link
    path = Path(os.path.abspath(root))
    # a flow would publish there
    is_remote = "://" in root
    if not is_remote and (not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))):
        return
    if other := "it is no folder of this machine" if is_remote else _describe_other(path):
        raise WrongUsage(
            f"--root {root}: {other}; the demo needs a new or empty folder, or one of a demo of before, which it "
            "deletes. Give another folder, or clear this one yourself"
        )
    try:
        shutil.rmtree(path)
    except OSError as problem:
        raise JobError(
            f"--root {root}: the demo of before could not be deleted as a whole: {problem}; delete the rest yourself, "
            "or give another folder"
        ) from problem


def _describe_other(path: Path) -> str:
    """What is there, if it is not what a demo left."""
    if path.is_symlink() or not path.is_dir():
        return "it is a link" if path.is_symlink() else "it is no folder"
    place = path.resolve()
    for name, inside in {
        "the folder that you are in": Path.cwd(),
        "your home": Path("~").expanduser(),
    }.items():
        if inside.resolve().is_relative_to(place):
            return f"{name} is there"
    return "" if (path / MARKER).is_file() else f"it has files, and no {MARKER}"


def _restart(root: str, *options: str) -> NoReturn:
    """What was imported are the declarations of another project, or of none: this process cannot take them back."""
    others = {setting.variable for setting in SETTINGS.values()}
    variables = {name: value for name, value in os.environ.items() if name not in others}
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "segue.command", "demo", "--root", root, *options]
    os.execve(sys.executable, command, variables | {VARIABLE: os.path.abspath(root)})


def _is_new_project(root: str) -> bool:
    """Whether it is the project that this process has imported, just laid out."""
    path = find_project().path
    if not isinstance(path, Path) or not Path(root).is_dir() or not path.parent.samefile(root):
        return False
    return not any(Path(root, name).exists() for name in ("landing", "tables"))


class _Demo:
    """The demo's state: where its files are, and how many chapters and flows there were."""

    def __init__(self, root: str, users: int, days: int) -> None:
        self.root, self.run_id, self._chapter, self._runs = root, new_run_id(), 0, 0
        self.landing, self.days = Path(root) / "landing", days
        *self.first_days, self.last_day = [FIRST_DAY + timedelta(days=n) for n in range(days)]
        # of both calls: a day is written again only into the very same world
        self.generator_arguments = ["--out", str(self.landing), "--users", str(users), "--days", str(days)]
        self.generator_arguments += ["--slate", str(SLATE)]

    def generate(self) -> None:
        self._say(f"{self.days} days of listening are generated; on the last one, a client has a bug")
        spoiled = ["--spoil-day", str(self.last_day), "--spoil-share", "0.4"]
        run_step("generate-plays", [*self.generator_arguments, *spoiled])

    def release_first_days(self) -> None:
        self._say(f"All days but the last are ingested, checked, published and released ({FIRST_DAY} …)")
        self._run_flow(self.first_days, self.first_days, expected=0)

    def refuse_bad_day(self) -> None:
        released = segue.open(self.root).release
        self._say(f"{self.last_day} is ingested: two plays of five report a negative listening time")
        # eight times the share of rejected rows that the gate lets pass; what was shown on the day comes later
        self._run_flow([self.last_day], self.first_days, expected=Refused.exit_code)
        if segue.open(self.root).release != released:
            raise RuntimeError("the bad day changed what readers get; look at jobs/release_tables.py")
        print(f"\n  The flow exits with {Refused.exit_code}. Readers still get release {released}.")

    def repair(self) -> None:
        self._say(
            "The source sends the day again, repaired; the days that late plays touch are computed again"
        )
        run_step("generate-plays", [*self.generator_arguments, "--only-day", str(self.last_day)])
        self._run_flow([self.last_day], [self.last_day], expected=0)

    def look_up(self) -> str:
        """Shows what a trainer sees; the track that is played most."""
        store = segue.open(self.root)
        # one batch of the newest day: the first listener is as good as any
        first = next(store.scan("user_features", ["user_id"], store.days("user_features")[-1]))
        user = first["user_id"][0].as_py()
        self._say(f"What a trainer sees: release {store.release}, without Spark")
        features = store.lookup("user_features", [user], columns=LOOKUP_COLUMNS).to_pylist()
        self._show(f"lookup('user_features', [{user!r}])", show.format_records(features, "user_id"))
        most_played = _find_most_played_track(store)
        track = store.lookup("tracks", [most_played], columns=["title", "artist_name"]).to_pylist()[0]
        similar = store.similar_tracks(most_played, k=8)
        self._show(
            f"similar_tracks({most_played!r}, k=8)   # {track['title']} by {track['artist_name']}",
            show.format_table(similar.column_names, [list(row.values()) for row in similar.to_pylist()]),
        )
        self._show_candidates(store, user)
        return most_played

    def _show_candidates(self, store: segue.Store, user: str) -> None:
        row = store.lookup("candidates", [user]).to_pylist()[0]
        # a listener who only skipped has none
        tracks, origins = row["track_ids"] or [], row["origins"] or []
        names = store.lookup("tracks", tracks[:5], columns=["title", "artist_name"]).to_pylist()
        cells = [
            (name["title"], name["artist_name"], origin) for name, origin in zip(names, origins, strict=False)
        ]
        self._show(
            f"lookup('candidates', [{user!r}])   # {len(tracks)} tracks; the first five",
            show.format_table(("title", "artist_name", "origin"), cells),
        )

    def rank(self) -> None:
        """Shows what an impression led to, and the first request of a ranking set."""
        store = segue.open(self.root)
        day = store.days("attributions")[-2]
        self._say("What was shown, and what came of it")
        row = (
            next(store.scan("attributions", ["impression_id", *SHOWN_COLUMNS], day))
            .slice(0, 1)
            .to_pylist()[0]
        )
        call = f"scan('attributions', day='{day}')   # the first: an impression, and the play that it led to"
        self._show(call, show.format_records([row], "impression_id"))
        ranking = store.ranking_set(RANKED, days=(day, day), taken_within=timedelta(hours=1))
        size, names = int(ranking.sizes[0]), [name.replace(":", "__") for name in RANKED]
        first = ranking.rows.slice(0, size).select(["position", "item_id", *names, "taken"]).to_pylist()
        call = f"ranking_set({[*RANKED]!r}, days=('{day}', '{day}'),\n      taken_within=timedelta(hours=1))"
        cells = show.format_table(list(first[0]), [list(each.values()) for each in first])
        self._show(f"{call}   # the first request", f"{ranking}\n\n{cells}")

    def _show(self, call: str, result: str) -> None:
        print(f"\n  segue.open({self.root!r}).{call}\n")
        print(indent(result, "  "))

    def _run_flow(self, days: Sequence[object], days_shown: Sequence[object], expected: int) -> None:
        """`segue run flow` on the plays of the one, and the impressions of the other days of delivery."""
        # a number each: flows that begin within one second would have one id, which is made from the clock
        self._runs += 1
        files = ["--input", *self._list_folders("plays", days)]
        files += ["--events", "impressions", *self._list_folders("impressions", days_shown)]
        # the root as it was given, for the lines that are printed; all else is the project's
        code = run_flow(["--root", self.root, "--run-id", f"{self.run_id}-{self._runs}", *files])
        if code != expected:
            raise RuntimeError(
                f"the flow ended with {code}, expected {expected}; its table above says which step"
            )

    def _list_folders(self, events: str, days: Sequence[object]) -> list[str]:
        return [str(self.landing / events / f"delivered={day}") for day in days]

    def _say(self, text: str) -> None:
        self._chapter += 1
        print(f"\n{self._chapter}. {text}", flush=True)


def _find_most_played_track(store: segue.Store) -> str:
    # its neighbours are the best that the demo has: an embedding is as good as its track has plays
    day = store.days("track_features")[-1]
    batches = store.scan("track_features", ["track_id", "plays_count_30d"], day)
    rows = (row for batch in batches for row in batch.to_pylist())
    # of equal counts the greatest id, so that the same demo shows the same track
    return str(max((row["plays_count_30d"], row["track_id"]) for row in rows)[1])
